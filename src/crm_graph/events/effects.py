"""What an event does to the record that it is about: said by its class, and read nowhere else.

`class CustomerCreated(Creates)` is a frozen dataclass whose fields are the event's data. The log keeps the class's name
and no effect: whoever reads an event of the log asks `Effects`. So a class stays in the code while events of it are
kept; one that is not known is read as a change.

Decided in D-events-01 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import Field, dataclass
from enum import Enum
from typing import Any, ClassVar, dataclass_transform


class Effect(Enum):
    """What becomes of the record, which is the row that the log's `entity` and `entity_id` name."""

    CREATES = "CREATES"
    CHANGES = "CHANGES"
    REMOVES = "REMOVES"
    MENTIONS = "MENTIONS"


@dataclass_transform(frozen_default=True)
class DomainEvent:
    """The base of all events, named in the past tense. A class says its effect by the one of the four bases below that
    it derives from, and its version, where that is not the first, beside it: `class StageMoved(Changes, version=2)`.
    The version moves with the fields or the effect of the class; `make contracts` refuses to write what did not move.
    """

    effect: ClassVar[Effect]
    version: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init_subclass__(cls, *, version: int = 1) -> None:
        """Make the class a dataclass. Raises TypeError where it does not say its effect, or for a version below 1."""
        super().__init_subclass__()
        if not hasattr(cls, "effect"):
            raise TypeError(
                f"{cls.__name__} does not say its effect: derive it from Creates, Changes, Removes or Mentions"
            )
        if version < 1:
            raise TypeError(f"{cls.__name__} has version {version}: the first one is 1")
        cls.version = version
        dataclass(frozen=True)(cls)


class Creates(DomainEvent):
    """An event by which a record comes to be."""

    effect: ClassVar[Effect] = Effect.CREATES


class Changes(DomainEvent):
    """An event of a record that is another one now, or of a whole with whose parts something happened."""

    effect: ClassVar[Effect] = Effect.CHANGES


class Erases(Changes):
    """An event by which a person is erased: the log keeps what stands in their place, and nothing of what they were."""


class Removes(DomainEvent):
    """An event by which a record goes. Its `changes` keep the values that the record had, its id among them."""

    effect: ClassVar[Effect] = Effect.REMOVES


class Mentions(DomainEvent):
    """An event that leaves its record as it is: that somebody signed in, was refused, or read."""

    effect: ClassVar[Effect] = Effect.MENTIONS


class Effects:
    """The effects of a product's events, by the names that the log keeps."""

    def __init__(self, events: Iterable[type[DomainEvent]] = ()) -> None:
        """Raises ValueError where two classes have one name."""
        self._effects: dict[str, Effect] = {}
        self._erasing: set[str] = set()
        for event in events:
            if event.__name__ in self._effects:
                raise ValueError(f"two events are called {event.__name__}")
            self._effects[event.__name__] = event.effect
            if issubclass(event, Erases):
                self._erasing.add(event.__name__)

    def of(self, type_: str) -> Effect:
        """Return the effect of events of this name; CHANGES of a name that is not known."""
        return self._effects.get(type_, Effect.CHANGES)

    def erases(self, type_: str) -> bool:
        """Return whether events of this name erase a person."""
        return type_ in self._erasing

    def names(self, effect: Effect) -> list[str]:
        """Return the names of the events with an effect, sorted."""
        return sorted(name for name, its_effect in self._effects.items() if its_effect is effect)
