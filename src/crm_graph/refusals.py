"""Refusals of the unit of work, in words that name the field of the input."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import asyncpg

from crm_graph.db.base import Row, table_of
from crm_graph.db.coherence import misfits_of
from crm_graph.db.minor_units import too_fine_of
from crm_graph.db.rows import changes
from crm_graph.db.rules import (
    blankable_of,
    closed_of,
    currencies_of,
    disorder_of,
    judges_of,
    needed_of,
    rules_of,
)
from crm_graph.db.session import Record
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.naming import camel, one, sentence, snake, words
from crm_graph.permissions.policy import Policy


def refuse_unwritable(found: Record, policy: Policy, given: Iterable[str], prefix: str = "write_") -> None:
    """Raise Refused FORBIDDEN at the first of the fields that may not be written on the row that was found."""
    for name in given:
        if not found.get(prefix + name, True):  # null where a row has no owner: then it is nobody's to write
            message = f"Your roles do not allow to write `{name}` of this {words(policy.type)}."
            raise Refused("FORBIDDEN", message, (input_field(policy, name),))


def input_field(policy: Policy, name: str) -> str:
    """Return what an input calls a GraphQL field of a type: `ownerId`, where the field is `owner`."""
    return f"{name}Id" if f"{snake(name)}_id" in policy.table.c else name


T = TypeVar("T")


@contextmanager
def below(*path: str | int) -> Iterator[None]:
    """Put the path of a refusal below a place of the input: `quantity` is `lines.0.quantity`."""
    try:
        yield
    except Refused as refused:
        raise Refused(refused.code, refused.message, (*map(str, path), *refused.field), refused.current) from refused


def required(value: T | None, path: str) -> T:
    """Return a value that must not be null. Raises Refused REQUIRED at `path`."""
    if value is None:
        raise Refused("REQUIRED", f"`{path}` must have a value.", (path,))
    return value


def settle(row: Row, written: Collection[str]) -> bool:
    """Put what is stored of a value into its place, of the columns that are `written`: a blank text is none, and the
    currency goes with the last of its amounts. Returns whether that changed the row."""
    table, changed = table_of(type(row)), False
    for name in blankable_of(table).intersection(written):
        value = getattr(row, name)
        if value is not None and not value.strip():
            setattr(row, name, None)
            changed = True
    for currency, amounts in currencies_of(table).items():
        if any(name in written for name in amounts) and all(getattr(row, name) is None for name in amounts):
            changed = changed or getattr(row, currency) is not None
            setattr(row, currency, None)
    return changed


def refuse_unfit(row: Row, written: Collection[str]) -> None:
    """Raise Refused for a value that its column does not take, of the columns that are `written`: INVALID where one is
    longer than its declared size, blank, out of its bounds, no choice or before another one; REQUIRED where there must
    be one. What was stored when the rules were others stays."""
    table = table_of(type(row))
    judges, needed = judges_of(table), needed_of(table)
    for name in written:
        judge = judges.get(name)
        if judge is not None:
            for path, reason in judge.faults(getattr(row, name)):
                raise Refused("INVALID", f"`{camel(name)}` {reason}.", (camel(name), *path))
    for amount, currency, reason in too_fine_of(table, partial(getattr, row)):
        if amount in written or currency in written:
            raise Refused("INVALID", f"`{camel(amount)}` {reason}.", (camel(amount), "amount"))
    for last, first in disorder_of(table, partial(getattr, row)):
        if last in written or first in written:
            raise Refused("INVALID", f"`{camel(last)}` is before `{camel(first)}`.", (camel(last),))
    for name, state, at, wanted in misfits_of(type(row), partial(getattr, row), written):
        message = f"`{camel(name)}` must be {wanted} where `{camel(state)}` is {at}."
        raise Refused("INVALID", message, (camel(name),))
    for name in written:
        if name in needed and getattr(row, name) is None:
            raise Refused("REQUIRED", f"`{camel(name)}` must have a value.", (camel(name),))


def undeletable(type_: str, why: str) -> Refused:
    """Return the refusal to delete what is to be kept: `it is WON`."""
    message = f"This {words(type_)} cannot be deleted, since {why}: archive it."
    return Refused("ILLEGAL_TRANSITION", message, ("id",))


def refuse_closed(row: Row, policy: Policy) -> None:
    """Raise Refused LOCKED at the first changed column that stays as it is in the state that a loaded row is in."""
    if not type(row).__closed__:
        return
    changed = changes(row)

    def state(name: str) -> Any:
        return changed[name][0] if name in changed else getattr(row, name)

    for name, at in closed_of(type(row), state, changed):
        what = f"This {words(policy.type)} is {at}"
        raise Refused("LOCKED", f"{what}: `{camel(name)}` cannot be changed any more.", (camel(name),))


def refuse_mixed(row: Row, sent: Mapping[str, Any], policy: Policy) -> None:
    """Raise Refused INVALID at an amount that is sent in another currency than one that stays: they share a column.
    `row` is as it was before."""
    for currency, amounts in currencies_of(table_of(type(row))).items():
        stays = any(name not in sent and getattr(row, name) is not None for name in amounts)
        if stays and sent.get(currency, getattr(row, currency)) != getattr(row, currency):
            name = next(name for name in amounts if name in sent)
            raise Refused("INVALID", one_currency(words(policy.type)), (camel(name), "currency"))


def one_currency(what: str) -> str:
    """Return what is said of amounts in two currencies that share one."""
    return f"The amounts of one {what} are in one currency."


def input_of(error: asyncpg.PostgresError) -> tuple[str, ...]:
    """Return the input field that a constraint is about: its last column, camel-cased as the API spells it."""
    detail = str(getattr(error, "detail", "") or "")
    inside = detail.partition("(")[2].partition(")")[0]
    last = inside.split(", ")[-1].removeprefix("lower(").strip('"') if inside else ""
    return (camel(last),) if last else ()


def taken(error: asyncpg.UniqueViolationError, policy: Policy) -> str:
    names = ".".join(input_of(error))
    return f"Another {words(policy.type)} has this {names or 'value'} already."


_OF_SHARD = re.compile(r"_\d{6,}\Z")
"""What a cluster puts behind the name of a constraint: the shard."""


def misfit(error: asyncpg.CheckViolationError, policy: Policy) -> Refused:
    """Return the refusal of a row that breaks a rule of its table which nothing has judged before: of one column, as
    that column says it; of several, by the name of the rule."""
    name = _OF_SHARD.sub("", str(error.constraint_name or "")).removeprefix(f"ck_{policy.table.name}_")
    rule = rules_of(policy.table).get(name)
    if rule is not None:
        return Refused("INVALID", f"`{camel(name)}` must be {rule}.", (camel(name),))
    return Refused("INVALID", f"{sentence(one(policy.type))} must hold to its rule `{name}`.")
