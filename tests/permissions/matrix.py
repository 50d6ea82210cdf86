"""The reviewed matrix, `schema/permissions.txt`, read by itself: what each built-in role should reach.

Knows nothing of the permission compiler. Tests ask this file what is granted and the product what is answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

FILE = Path(__file__).parents[2] / "schema" / "permissions.txt"
PLACES = ("own", "team", "outside")
"""Where a row of the viewer's workspace stands to the viewer: theirs, a teammate's, somebody else's."""
ELSEWHERE = "elsewhere"
"""The place of rows of the viewer's workspace that have nothing to do with anybody in the world."""
_COVERED: Mapping[str, tuple[str, ...]] = {
    "ALL": (*PLACES, ELSEWHERE),
    "TEAM": ("own", "team"),
    **dict.fromkeys(("OWN", "ACCOUNT_TEAM", "ACCOUNT", "PUBLIC_ACCOUNT", "QUEUE"), ("own",)),
    "TEAM_ACCOUNT": ("own", "outside"),
    "NONE": (),
}
"""Where the rows of a scope stand in the world of these tests (`world.py`): there the customer of somebody else's row
is a teammate's, and that of a teammate's row somebody else's."""


class Shown(IntEnum):
    """How much of a field is shown or may be written, as the file spells it."""

    NONE = 0
    MASKED = 1
    READ = 2
    WRITE = 3


LIKE = {
    "Opportunity": {"baseAmount": "amount", "rate": "amount", "rateOn": "amount"},
    "Order": {"baseTotal": "total", "rate": "total", "rateOn": "total"},
}
"""The fields that have the rights of another one, of which they tell."""


def _in_clear(level: Shown) -> Shown:
    return Shown.NONE if level is Shown.MASKED else level


_SHOWN = {"MEASURE": "NONE"}
"""What is shown at a level that is called otherwise: of what may be measured, no value."""


@dataclass(frozen=True, slots=True)
class TypeGrants:
    """A role's lines about one type."""

    verbs: Mapping[str, str] = field(default_factory=dict)
    default: Shown = Shown.NONE
    fields: dict[str, tuple[tuple[Shown, str], ...]] = field(default_factory=dict)
    measured: set[str] = field(default_factory=set)
    """The fields that may be summed and not be read."""

    def scopes(self, verb: str) -> list[str]:
        """Return the row scopes of a verb; a transition that is not listed follows `update`."""
        fallback = self.verbs.get("update", "NONE") if verb not in {"read", "create", "delete", "export"} else "NONE"
        return self.verbs.get(verb, fallback).split("|")

    def allows(self, verb: str, place: str | None = None) -> bool:
        """Return whether a verb is granted on rows of a place; on any row, without one."""
        covered = {each for scope in self.scopes(verb) for each in _COVERED[scope]}
        return bool(covered) if place is None else place in covered

    def shown(self, name: str, place: str | None = None) -> Shown:
        """Return how much of a field is granted on the rows of a place that may be read; the most anywhere, without
        one."""
        if place is None:
            return max((self.shown(name, each) for each in PLACES), default=Shown.NONE)
        if not self.allows("read", place):
            return Shown.NONE
        given = self.fields.get(name, ((self.default, "ALL"),))
        return max((level for level, scope in given if place in _COVERED[scope]), default=Shown.NONE)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole file: by role, then by type."""

    roles: Mapping[str, Mapping[str, TypeGrants]]

    def of(self, role: str, type_name: str) -> TypeGrants:
        """Return a role's grants on a type; nothing for a type that the file does not name."""
        found = self.roles[role].get(type_name, TypeGrants())
        for name, of in LIKE.get(type_name, {}).items():
            if of in found.fields:
                found.fields.setdefault(name, tuple((_in_clear(level), scope) for level, scope in found.fields[of]))
            if of in found.measured:
                found.measured.add(name)
        return found


_LINE = re.compile(r"  (?P<type>\w+): (?:nothing|(?P<verbs>.*); fields (?P<default>\w+))\Z")
_FIELD = re.compile(r"    \.(?P<name>\w+): (?P<given>.*)\Z")


def parse(text: str) -> Matrix:
    """Return the matrix. Raises ValueError for a line that it does not understand, so that none is passed over."""
    roles: dict[str, dict[str, TypeGrants]] = {}
    types: dict[str, TypeGrants] = {}
    fields: dict[str, tuple[tuple[Shown, str], ...]] = {}
    measured: set[str] = set()
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("role "):
            types = roles.setdefault(line.removeprefix("role "), {})
        elif found := _LINE.match(line):
            fields, measured = {}, set()
            verbs = dict(_pair(each) for each in (found["verbs"] or "").split(", ") if each)
            types[found["type"]] = TypeGrants(verbs, Shown[found["default"] or "NONE"], fields, measured)
        elif found := _FIELD.match(line):
            pairs = [_pair(each) for each in found["given"].split(", ")]
            measured.update(found["name"] for level, _ in pairs if level == "MEASURE")
            fields[found["name"]] = tuple((Shown[_SHOWN.get(level, level)], scope) for level, scope in pairs)
        else:
            raise ValueError(f"{FILE.name} has a line that this test cannot read: {line!r}")
    return Matrix(roles)


def _pair(text: str) -> tuple[str, str]:
    first, second = text.split(" ")
    return first, second


MATRIX = parse(FILE.read_text(encoding="utf-8"))
