"""What roles grant, as the JSON of a role file; read here anew, and made at random.

{"Customer": {"read": "TEAM", "create": "OWN", "approve": "ALL", "default": "READ",
              "fields": {"phone": ["WRITE OWN", "MASKED ALL"], "amount": ["WRITE ALL on create"]}}}

A verb has a scope, or a list of scopes of which any suffices.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.permissions.oracle.kinds import VERBS, Field, Kind, kinds

NONE, MEASURE, MASKED, READ, WRITE = range(5)
NAMES = ("NONE", "MEASURE", "MASKED", "READ", "WRITE")
SUMMED = frozenset({"int", "decimal", "money"})
GrantText = Mapping[str, Any]
RoleText = Mapping[str, GrantText]
_FIELD = re.compile(r"(?P<level>[A-Z]+) (?P<scope>[A-Z_]+)( on (?P<verbs>[\w,]+))?( audited)?$")


@dataclass(frozen=True, slots=True)
class FieldGrant:
    """A level on the rows of a scope; WRITE for some verbs only, and else READ, unless `on` is None."""

    level: int
    scope: str
    on: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What one role grants on one type."""

    verbs: Mapping[str, frozenset[str]]
    fields: Mapping[str, tuple[FieldGrant, ...]]
    default: int
    by_name: frozenset[str] = frozenset()

    def scopes(self, verb: str) -> frozenset[str]:
        """Return the scopes of a verb; a transition that is not named follows `update`, if it ever does."""
        nowhere: frozenset[str] = frozenset()
        follows = verb not in VERBS and verb not in self.by_name
        return self.verbs.get(verb, self.verbs.get("update", nowhere) if follows else nowhere)

    def does(self, verb: str, scopes: frozenset[str]) -> bool:
        """Return whether a verb is granted on a row in these scopes."""
        return not self.scopes(verb).isdisjoint(scopes)

    def level(self, field: Field, scopes: frozenset[str]) -> int:
        """Return the best level on a field of a row in these scopes. A default does not hide what is never null."""
        name = field.like or field.name
        if name in self.fields:
            return max((each.level for each in self.fields[name] if each.scope in scopes), default=NONE)
        if field.required and self.default < READ:
            return MASKED if self.default == MASKED and field.mask is not None else READ
        return self.default

    def measures(self, field: Field, scopes: frozenset[str]) -> bool:
        """Return whether a field of a row in these scopes may be summed with others, whatever else is granted."""
        name = field.like or field.name
        if name in self.fields:
            return any(each.level == MEASURE and each.scope in scopes for each in self.fields[name])
        return self.default == MEASURE and not field.required

    def writes(self, field: str, scopes: frozenset[str], verb: str) -> bool:
        """Return whether a verb may write a field of a row in these scopes."""
        given = self.fields.get(field, (FieldGrant(self.default, "ALL"),))
        return any(
            each.level == WRITE and each.scope in scopes and (each.on is None or verb in each.on) for each in given
        )


def grant_of(role: RoleText, kind: Kind) -> Grant | None:
    """Return what a role grants on a type. A part without a grant has its whole's, of whose fields only the default."""
    if kind.name in role:
        return read_grant(role[kind.name], kind.by_name)
    whole = None if kind.whole is None else grant_of(role, kind.whole)
    return None if whole is None else Grant(whole.verbs, {}, whole.default)


def read_grant(text: GrantText, by_name: frozenset[str] = frozenset()) -> Grant:
    """Return a grant from its JSON; `by_name` are the transitions that it must name."""
    given = {name: scopes for name, scopes in text.items() if name not in {"default", "fields"}}
    verbs = {
        name: frozenset({scopes} if isinstance(scopes, str) else scopes) - {"NONE"} for name, scopes in given.items()
    }
    fields = {name: tuple(_field_grant(each) for each in given) for name, given in text.get("fields", {}).items()}
    return Grant(verbs, fields, NAMES.index(text.get("default", "WRITE")), by_name)


def _field_grant(text: str) -> FieldGrant:
    found = _FIELD.match(text)
    assert found is not None, text
    on = None if found["verbs"] is None else frozenset(found["verbs"].split(","))
    return FieldGrant(NAMES.index(found["level"]), found["scope"], on)


def everything() -> dict[str, Any]:
    """Return the role that may do everything."""
    return {name: dict.fromkeys((*VERBS, *kind.by_name), "ALL") for name, kind in kinds().items() if kind.part is None}


def invent_role(dice: random.Random) -> dict[str, Any]:
    """Return a random role. Most types are granted, most of what is granted has its edges."""
    often = dice.choice((0.5, 0.8, 0.95))
    granted = [kind for kind in kinds().values() if dice.random() < (often if kind.part is None else 0.25)]
    return {kind.name: _invent_grant(dice, kind) for kind in granted}


def _invent_grant(dice: random.Random, kind: Kind) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for verb in VERBS:
        if verb == "read":
            made[verb] = _invent_scopes(dice, kind, (*kind.scopes, *kind.scopes, *kind.scopes, "ALL", "NONE"))
        elif dice.random() < 0.6:
            made[verb] = _invent_scopes(dice, kind, (*kind.scopes, "ALL", "NONE"))
    for verb in kind.verbs:
        if dice.random() < (0.5 if verb in kind.by_name else 0.15):
            made[verb] = _invent_scopes(dice, kind, (*kind.scopes, "NONE"))
    if dice.random() < 0.5:
        made["default"] = dice.choice(("NONE", "MEASURE", "MASKED", "READ", "READ", "READ", "WRITE"))
    share = dice.choice((0, 0.1, 0.3, 0.6)) if made.get("default") not in {"NONE", "MEASURE", "MASKED"} else 0.7
    fields = {each.name: _invent_levels(dice, kind, each) for each in kind.named if dice.random() < share}
    if fields:
        made["fields"] = fields
    return made


def _invent_scopes(dice: random.Random, kind: Kind, choice: Sequence[str]) -> str | list[str]:
    """Return the scopes of a verb: one of a choice, or some of the type's."""
    narrow = [scope for scope in kind.scopes if scope != "ALL"]
    if narrow and dice.random() < 0.3:
        return dice.sample(narrow, dice.randint(1, len(narrow)))
    return dice.choice(choice)


def _invent_levels(dice: random.Random, kind: Kind, each: Field) -> list[str]:
    levels: Sequence[str] = NAMES if each.mask or dice.random() < 0.2 else ("NONE", "READ", "READ", "WRITE")
    if each.of in SUMMED and dice.random() < 0.5:
        levels = ("MEASURE", "MEASURE", "READ")
    made = []
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3))):
        level = dice.choice(levels)
        bound = (
            f" on {dice.choice(('create', 'update', *kind.verbs))}" if level == "WRITE" and dice.random() < 0.3 else ""
        )
        made.append(f"{level} {dice.choice((*kind.scopes, 'ALL'))}{bound}")
    if each.required:  # it cannot be withheld, at most masked
        made.append(f"{'MASKED' if each.mask and dice.random() < 0.6 else 'READ'} ALL")
    return made
