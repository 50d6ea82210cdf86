"""What an event does to its record is said by its class, whatever the class is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields

import pytest

from crm_graph.events.effects import Changes, Creates, DomainEvent, Effect, Effects, Mentions, Removes
from crm_graph.graph.schema.build import BuiltSchema

BASES = {Creates, Changes, Removes, Mentions}


def classes_below(cls: type[DomainEvent]) -> Iterator[type[DomainEvent]]:
    for below in cls.__subclasses__():
        yield below
        yield from classes_below(below)


def test_every_event_says_what_it_does(schema: BuiltSchema) -> None:
    """And every class that says so is listed by a slice, or nobody who reads the log would know it."""
    listed = [event for each in schema.slices for event in each.events]
    assert len(listed) > 130
    for event in listed:
        assert len(BASES & {*event.__mro__}) == 1, event
        assert isinstance(event.effect, Effect)
        assert event.version >= 1
        assert schema.registry.effects.of(event.__name__) is event.effect
    rooms = ("crm_graph.domains.", "crm_graph.keeping")
    defined = {each for each in classes_below(DomainEvent) if each.__module__.startswith(rooms)}
    assert defined == {*listed}


def test_the_event_of_a_whole_changes_it(schema: BuiltSchema) -> None:
    """That of its parts is made by the unit of work, which knows no fields."""
    events = {policy.in_version for policy in schema.policies if policy.in_version}
    assert len(events) >= 5
    for event in events:
        assert issubclass(event, Changes)
        assert fields(event) == ()


def test_an_event_is_frozen_and_keeps_its_fields_in_order() -> None:
    class Moved(Changes, version=2):
        """Somebody moved."""

        before: str
        after: str = "here"

    assert [field.name for field in fields(Moved)] == ["before", "after"]
    assert (Moved.effect, Moved.version, Moved.__doc__) == (Effect.CHANGES, 2, "Somebody moved.")
    moved = Moved("there")
    assert moved == Moved(before="there", after="here")
    with pytest.raises(FrozenInstanceError):
        moved.after = "there"  # type: ignore[misc]


def test_a_class_that_does_not_say_it_is_none() -> None:
    with pytest.raises(TypeError, match="CustomerCreated does not say its effect: derive it from Creates"):
        type("CustomerCreated", (DomainEvent,), {})
    with pytest.raises(TypeError, match="CustomerCreated has version 0"):
        type("CustomerCreated", (Creates,), {}, version=0)


def test_a_name_says_nothing() -> None:
    class RoleCreated(Removes):
        """A role that is called Created went."""

    class Unlinked(Creates):
        """A link to `Un` came."""

    effects = Effects((RoleCreated, Unlinked))
    assert effects.of("RoleCreated") is Effect.REMOVES
    assert effects.of("Unlinked") is Effect.CREATES
    assert (effects.names(Effect.CREATES), effects.names(Effect.CHANGES)) == (["Unlinked"], [])


def test_an_event_that_no_class_is_left_of_is_a_change() -> None:
    assert Effects().of("CustomerCreated") is Effect.CHANGES


def test_two_events_of_one_name() -> None:
    one, other = (type("Moved", (Changes,), {}) for _ in range(2))
    with pytest.raises(ValueError, match="two events are called Moved"):
        Effects((one, other))
