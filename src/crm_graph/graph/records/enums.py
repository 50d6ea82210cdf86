"""Enums of the domains in the schema, every value described."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry


def describe(enum: type[Enum], description: str, values: Mapping[str, str], *, name: str | None = None) -> None:
    """Make a domain's enum an enum of the schema. Raises ValueError unless each value is described, and no other."""
    if set(values) != set(enum.__members__):
        raise ValueError(f"{enum.__name__}: described are {sorted(values)}, there are {sorted(enum.__members__)}")
    made: Any = strawberry.enum(enum, name=name, description=description)
    for value in made.__strawberry_definition__.values:
        value.description = values[value.name]
