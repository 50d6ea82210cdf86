"""What is kept of a payload: its plain values, as JSON, and never a secret.

A payload holds ids, counts and errors; the records that it leads to are read by whoever asks, when they ask, so they
are no part of it. What is shown once (`shown_once`) is left out: a replay has an error in its place.

Decided in D-idempotency-02 (ARCHITECTURE.md).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson
import strawberry
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField

from crm_graph.graph.records.record import spec_of
from crm_graph.kernel.errors import NotFound

P = TypeVar("P")
_ONCE = "crm_graph.once"
_PLAIN = frozenset({str, int, float, bool})
Reader = Callable[[Any], Any]
"""Makes a value of what was kept of it."""


def shown_once(description: str, instead: str, **options: Any) -> Any:
    """Return a nullable field of a payload that holds something secret. It is in the first answer and kept nowhere;
    `instead` tells whoever lost that answer what to do."""
    return strawberry.field(description=description, metadata={_ONCE: instead}, **options)


@dataclass(frozen=True, slots=True)
class Form:
    """What a payload type holds, by Python name; `once` are the fields that are shown once, with what to do instead."""

    cls: type
    readers: Mapping[str, Reader]
    once: Mapping[str, str]

    def kept(self, payload: Any) -> dict[str, Any]:
        """Return what is kept of a payload: of what is shown once, whether it was there."""
        return {
            name: getattr(payload, name) is not None if name in self.once else _kept(getattr(payload, name))
            for name in self.readers
        }

    def payload(self, kept: Mapping[str, Any]) -> Any:
        """Return the payload of which this was kept; where it showed something once, an error is in its place, which
        both executors answer as the error of that field."""
        values = {
            name: (_gone(self.once[name]) if kept[name] else None) if name in self.once else read(kept[name])
            for name, read in self.readers.items()
        }
        return self.cls(**values)


def pack(payload: Any) -> bytes:
    """Return what is kept of a payload."""
    return orjson.dumps(form_of(type(payload)).kept(payload))


def unpack(cls: type[P], kept: bytes) -> P:
    """Return the payload of which this was kept."""
    payload: P = form_of(cls).payload(orjson.loads(kept))
    return payload


def form_of(cls: Any) -> Form:
    """Return what a payload type holds. Raises TypeError for what cannot be kept: anything but texts, numbers, truth
    values, enums, objects of these, and lists."""
    return _form(cls)


@cache
def _form(cls: Any) -> Form:
    hints = get_type_hints(cls)
    readers = {each.name: _reader(hints[each.name], f"{cls.__name__}.{each.name}") for each in _own(cls)}
    definition = get_object_definition(cls, strict=True)
    once = {each.python_name: each.metadata[_ONCE] for each in definition.fields if _ONCE in each.metadata}
    return Form(cls, readers, once)


def _own(cls: type) -> list[Any]:
    """Return the dataclass fields that a payload is made of: not its methods, and not its edges to records."""
    return [
        each
        for each in fields(cls)
        if each.init and not (isinstance(each, StrawberryField) and spec_of(each) is not None)
    ]


def _kept(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, list):
        return [_kept(item) for item in value]
    return form_of(type(value)).kept(value) if is_dataclass(value) else value


def _reader(hint: Any, where: str) -> Reader:
    """Return how a value of a type is made of what was kept of it."""
    hint = getattr(hint, "__supertype__", hint)  # of a NewType: strawberry.ID
    arguments = [each for each in get_args(hint) if each is not types.NoneType]
    if get_origin(hint) in (Union, types.UnionType) and len(arguments) == 1:
        inner = _reader(arguments[0], where)
        return lambda kept: None if kept is None else inner(kept)
    if get_origin(hint) is list:
        item = _reader(arguments[0], where)
        return lambda kept: [item(each) for each in kept]
    if hint in _PLAIN:
        return lambda kept: kept
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda kept: hint[kept]
    if isinstance(hint, type) and is_dataclass(hint):
        return form_of(hint).payload
    raise TypeError(f"{where} is a {hint}, of which no answer can be kept under an idempotency key")


def _gone(instead: str) -> NotFound:
    return NotFound(f"This was shown in the first answer to this idempotency key, and is kept nowhere. {instead}")
