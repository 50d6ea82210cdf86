"""What one member may see and do: the rules of roles, applied to rows one by one.

Written from what the roles are said to mean, not from how they are compiled:

- A member has the union of their roles. A role grants verbs on the rows of a scope: NONE, OWN (rows they own), TEAM
  (rows owned in their circle: themselves and all members of the teams that they manage or belong to and of the teams
  below), ALL. A part has the rows of its whole, and its whole's grant unless it has one of its own.
- A role shows a field of the rows that it lets read, at a level, on the rows of the grant's scope. The best level that
  any role gives on that very row counts. Below READ there is a mask where the field has one, and nothing otherwise.
- Fields that are never null come with the row, at most masked.
- A verb writes a field of a row where one role grants both on it: the verb of one and the field of another are no
  right.
- What is in the recycle bin does not exist, but for lists of the bin, which show it to whoever may see and delete it.
- What may not be seen does not exist: an edge to it is null, and it is in no list.
- As of a time there are the rows as they were, of types whose history is kept, and of the others those of now. A
  member sees of a row as it was what the roles of today show of such a row.
- What may be compared (filters, orders, groups, measures, cursors) is what may be read in clear.
- At the level MEASURE a field may be summed where it may not be read, of five such rows of a group or more, rounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any

from tests.permissions.oracle.grants import MASKED, NONE, READ, Grant, grant_of
from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.permissions.oracle.world import Row, World

_OWN, _TEAM, _ALL = frozenset({"OWN", "TEAM", "ALL"}), frozenset({"TEAM", "ALL"}), frozenset({"ALL"})
"""The scopes in which rows lie that are one's own, in one's circle, anybody's."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a member shows: a token of everything they may do, or one with a scope, or that of an API client."""

    scope: frozenset[str] | None = None
    client: str | None = None

    @property
    def read_only(self) -> bool:
        """Whether it is good for reading only."""
        return self.scope is not None and "crm" not in self.scope

    def counting(self, world: World, held: Sequence[str]) -> tuple[str, ...]:
        """Return the roles that count, of those held: the client's, where it has some; none without a scope of ours."""
        if self.scope is not None and not self.scope & {"crm", "crm.read"}:
            return ()
        allowed = None if self.client is None else world.of("ApiClient")[self.client]["roles"]
        return tuple(role for role in held if allowed is None or role in allowed)


EVERYTHING = Credential()


class Sight:
    """A member's view of a world, by what they show."""

    def __init__(self, world: World, member: str, shown: Credential = EVERYTHING, today: Sight | None = None) -> None:
        self.world = world
        self.today = today or self
        """The sight of the world as it is, of one of the world as it was: by which rights follow from other rows."""
        self.member = member
        self.credential = shown
        self.read_only = shown.read_only
        self.held = shown.counting(world, world.held.get(member, ()))
        self.teams = teams(world, member)
        members = world.of("Member").values()
        self.circle = frozenset({member, *(row["id"] for row in members if row["team_id"] in self.teams)})
        self.roles = [world.roles[name] for name in self.held if name in world.roles]
        self._grants: dict[str, Sequence[Grant]] = {}
        self._relations: dict[tuple[str, str], frozenset[str]] = {}
        self._levels: dict[tuple[str, str, str], int] = {}
        self.measured: Counter[str] = Counter()
        """What was measured by this member, by how it came out."""

    def grants(self, kind: Kind) -> Sequence[Grant]:
        """Return what each role grants on a type."""
        if kind.name not in self._grants:
            found = (grant_of(role, kind) for role in self.roles)
            self._grants[kind.name] = [each for each in found if each is not None]
        return self._grants[kind.name]

    def scopes(self, kind: Kind, row: Row) -> frozenset[str]:
        """Return the scopes in which a row lies for this member."""
        key = kind.name, row["id"]
        if key not in self._relations:
            self._relations[key] = self._scopes(kind, row)
        return self._relations[key]

    def _scopes(self, kind: Kind, row: Row) -> frozenset[str]:
        follows = kind.part or kind.like
        if follows is not None:
            each = kind.fields[follows]
            today = self.today
            scopes = today.scopes(kinds()[each.target], today.world.stored(each.target)[row[each.column]])
            if kind.account is not None and "ACCOUNT_TEAM" in scopes:
                scopes |= {"ACCOUNT"}
            return scopes | ({"PUBLIC_ACCOUNT"} if "ACCOUNT" in scopes and row.get("public") else frozenset())
        if kind.owner is None:
            return _ALL
        owner = row[kind.owner]
        found = _OWN if owner == self.member else _TEAM if owner in self.circle else _ALL
        more = {kind.also[0]} if kind.also and (found is _OWN or self._also(kind.also, row)) else set()
        by_account = () if kind.account is None else self._by_account(kind, row, found is _OWN)
        return found.union(more, by_account)

    def _by_account(self, kind: Kind, row: Row, own: bool) -> Iterator[str]:
        """Yield the scopes in which a row lies by whose its customer is."""
        each = kind.fields[kind.account or ""]
        customer = self.today.world.of("Customer").get(row[each.column] or "")
        of_customer = frozenset() if customer is None else self.today.scopes(kinds()["Customer"], customer)
        if own or "ACCOUNT_TEAM" in of_customer:
            yield "ACCOUNT"
        if "TEAM_ACCOUNT" in kind.extra and "TEAM" in of_customer:
            yield "TEAM_ACCOUNT"

    def _also(self, also: Sequence[str], row: Row) -> bool:
        """Return whether a row lies in the scope that its type has beside the usual ones."""
        if len(also) == 2:
            return row[also[1]] in self.teams
        _, entry, of, member = also
        return any(
            each[of] == row["id"] and each[member] == self.member for each in self.today.world.stored(entry).values()
        )

    def may(self, kind: Kind, row: Row, verb: str) -> bool:
        """Return whether a verb is granted on a row."""
        if self.read_only and verb != "read":
            return False
        scopes = self.scopes(kind, row)
        return any(each.does(verb, scopes) for each in self.grants(kind))

    def may_somewhere(self, kind: Kind, verb: str) -> bool:
        """Return whether a verb is granted on any row there could be."""
        if self.read_only and verb != "read":
            return False
        return any(each.scopes(verb) for each in self.grants(kind))

    def sees(self, kind: Kind, row: Row) -> bool:
        """Return whether a row exists for this member."""
        return self.may(kind, row, "read")

    def seen(self, kind: Kind) -> Iterator[Row]:
        """Yield the rows of a type that exist for this member."""
        return (row for row in self.world.of(kind.name).values() if self.sees(kind, row))

    def in_bin(self, kind: Kind) -> list[Row]:
        """Return the rows of a type in the recycle bin that this member is shown: who may not delete them is not."""
        rows = self.world.binned.get(kind.name, {}).values()
        return [row for row in rows if self.sees(kind, row) and self.may(kind, row, "delete")]

    def level(self, kind: Kind, row: Row, each: Field) -> int:
        """Return the best level that a role gives on a field of a row that it lets read."""
        key = kind.name, row["id"], each.name
        if key not in self._levels:
            self._levels[key] = self._level_within(kind, each, self.scopes(kind, row))
        return self._levels[key]

    def _level_within(self, kind: Kind, each: Field, scopes: frozenset[str]) -> int:
        held = (grant.level(each, scopes) for grant in self.grants(kind) if grant.does("read", scopes))
        return max(held, default=NONE)

    def writes(self, kind: Kind, row: Row, verb: str, field: str) -> bool:
        """Return whether one role lets do a verb on a row and write a field of it. Two roles do not add up to it."""
        if self.read_only:
            return False
        scopes = self.scopes(kind, row)
        return any(grant.does(verb, scopes) and grant.writes(field, scopes, verb) for grant in self.grants(kind))

    def writes_somewhere(self, kind: Kind, verb: str, field: str) -> bool:
        """Return whether there could be a row on which one role lets do a verb and write a field."""
        return not self.read_only and any(
            grant.does(verb, scopes) and grant.writes(field, scopes, verb)
            for grant in self.grants(kind)
            for scopes in self._possible(kind)
        )

    def comparable(self, kind: Kind, each: Field) -> bool:
        """Return whether a field may be read in clear on any row there could be; else comparing it is forbidden."""
        return any(self._level_within(kind, each, scopes) >= READ for scopes in self._possible(kind))

    def summable(self, kind: Kind, each: Field) -> bool:
        """Return whether a field may be summed on any row there could be; else measuring it is forbidden."""
        return self.comparable(kind, each) or self.sums_unread(kind, each)

    def sums_unread(self, kind: Kind, each: Field) -> bool:
        """Return whether there could be a row on which a field may be summed and not be read."""
        return any(
            self._sums_within(kind, each, scopes) and self._level_within(kind, each, scopes) < READ
            for scopes in self._possible(kind)
        )

    def sums(self, kind: Kind, row: Row, each: Field) -> bool:
        """Return whether a field of a row may be summed, or read in clear."""
        return self.level(kind, row, each) >= READ or self._sums_within(kind, each, self.scopes(kind, row))

    def _sums_within(self, kind: Kind, each: Field, scopes: frozenset[str]) -> bool:
        return any(grant.measures(each, scopes) for grant in self.grants(kind) if grant.does("read", scopes))

    def withheld(self, kind: Kind, each: Field) -> bool:
        """Return whether a field is hidden or masked on any row there could be that may be read."""
        readable = [scopes for scopes in self._possible(kind) if self._readable(kind, scopes)]
        return not readable or any(self._level_within(kind, each, scopes) < READ for scopes in readable)

    def reads(self, kind: Kind) -> bool:
        """Return whether there could be a row that may be read."""
        return self.may_somewhere(kind, "read")

    def _possible(self, kind: Kind) -> list[frozenset[str]]:
        if "OWN" not in kind.scopes:
            return [_ALL]
        more = sorted(frozenset(kind.scopes) - _OWN)
        found = []
        for count in range(len(more) + 1):
            for some in map(frozenset, combinations(more, count)):
                found += [_TEAM | some, _ALL | some]
                if some >= frozenset(more) - kind.free:
                    found.append(_OWN | some)
        return found

    def _readable(self, kind: Kind, scopes: frozenset[str]) -> bool:
        return any(grant.does("read", scopes) for grant in self.grants(kind))

    def clear(self, kind: Kind, row: Row, each: Field, column: int = 0) -> Any:
        """Return the value of a column of a field that may be compared: None where it may not be read in clear.

        An edge leads only to what may be seen. A currency that several amounts share is, beside one of them, that of
        this one: without an amount there is none, whatever the others are.
        """
        if self.level(kind, row, each) < READ:
            return None
        value = row[each.columns[column]]
        if value is None or (column and row[each.column] is None and kind.shares(each)):
            return None
        if each.of == "one":
            target = kinds()[each.target]
            there = self.world.of(each.target).get(value)
            return value if there is not None and self.sees(target, there) else None
        return value

    def shown(self, kind: Kind, row: Row, each: Field) -> Any:
        """Return what is shown of a leaf or an amount: its value, its mask, or None."""
        value = row[each.column]
        level = self.level(kind, row, each)
        if level >= READ or value is None:
            return value
        return masked(each.mask, value) if level == MASKED and each.mask is not None else None

    def edge(self, kind: Kind, row: Row, each: Field) -> Row | None:
        """Return the row at the end of an edge to one, if it exists for this member."""
        key = self.clear(kind, row, each)
        return None if key is None else self.world.of(each.target)[key]

    def linked(self, row: Row, each: Field) -> list[Row]:
        """Return the rows at the end of an edge to many: those whose way back to this row may be read."""
        other = kinds()[each.target]
        back = other.fields[each.back]
        return [one for one in self.seen(other) if self.clear(other, one, back) == row["id"]]


def teams(world: World, member: str) -> frozenset[str]:
    """Return the teams that a member manages or belongs to, and all teams below."""
    teams = world.of("Team")
    reached = {
        row["id"]
        for row in teams.values()
        if row["manager_id"] == member or row["id"] == world.of("Member")[member]["team_id"]
    }
    while True:
        below = {row["id"] for row in teams.values() if row["parent_id"] in reached} - reached
        if not below:
            return frozenset(reached)
        reached |= below


def masked(how: str, value: Any) -> Any:
    """Return a mask: `A***` of a text, `a***@example.com` of a mail, `***45` of a phone, an amount's power of ten,
    `***002X` of a number that people are known by."""
    if how == "amount":
        return Decimal(0) if abs(value) < 1 else Decimal(1).scaleb(value.adjusted()).copy_sign(value)
    text = str(value)
    if how == "email":
        parts = text.split("@")
        return f"{text[:1]}***@{parts[1] if len(parts) > 1 else ''}"
    if how == "last":  # four, and never more than half
        return f"***{text[len(text) - min(4, len(text) // 2) :]}"
    return f"***{text[-2:]}" if how == "phone" else f"{text[:1]}***"
