"""Provisioning rules: from the claims of a token to roles and a team.

    {"claim": "groups", "operator": "CONTAINS", "value": "sales-emea", "roles": ["sales_rep"], "team": "EMEA"}

All rules that match add up their roles; the first of them that names a team decides the team. Nothing of a claim is
ever taken as the name of a role, and `admin` comes of a rule that says so, of nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_graph.kernel.errors import Refused
from crm_graph.permissions.roles import ADMIN

EQUALS, CONTAINS, MATCHES = "EQUALS", "CONTAINS", "MATCHES"
OPERATORS = (EQUALS, CONTAINS, MATCHES)
MAX_RULES = 100
MAX_LENGTH = 300
MAX_DEPTH = 8
MAX_VALUES = 1_000
"""Of a claim that is a list, so many are looked at: directories have people in thousands of groups."""
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """What a claim must be. `claim` is a name, or a path of names with dots; `value` compares with upper and lower
    case told apart. EQUALS: the claim is this text. CONTAINS: it is a list with this text in it. MATCHES: it, or
    something in its list, is this text, in which `*` stands for anything."""

    claim: str
    operator: str
    value: str

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Return whether the claims meet it."""
        found = _look(claims, self.claim, MAX_DEPTH)
        listed = found[:MAX_VALUES] if isinstance(found, list) else None
        if self.operator == EQUALS:
            return _text(found) == self.value
        if self.operator == CONTAINS:
            return listed is not None and any(_text(each) == self.value for each in listed)
        return any(_matches(self.value, text) for each in listed or [found] if (text := _text(each)) is not None)


@dataclass(frozen=True, slots=True)
class Rule:
    """What those whose claims meet a condition get: roles, by name, and a team, by name."""

    condition: Condition
    roles: tuple[str, ...]
    team: str | None


@dataclass(frozen=True, slots=True)
class Grants:
    """What the rules of a provider give to somebody; None in place of it is nothing, not even entry."""

    roles: tuple[str, ...]
    team: str | None = None


def parse_conditions(given: Any, path: str) -> tuple[Condition, ...]:
    """Return conditions as stored. Raises Refused INVALID at `path` and the index."""
    return tuple(_condition(each, (path, str(index))) for index, each in enumerate(_listed(given, path)))


def parse_rules(given: Any, path: str = "rules") -> tuple[Rule, ...]:
    """Return rules as stored. Raises Refused INVALID at `path` and the index."""
    found = []
    for index, each in enumerate(_listed(given, path)):
        where = (path, str(index))
        condition = _condition(each, where)
        roles, team = each.get("roles") or [], each.get("team")
        if not isinstance(roles, list) or not all(isinstance(role, str) and role for role in roles):
            raise Refused("INVALID", "`roles` must be a list of names.", (*where, "roles"))
        if team is not None and not _is_name(team):
            raise Refused("INVALID", "`team` must be the name of a team.", (*where, "team"))
        if not roles and team is None:
            raise Refused("INVALID", "A rule must give roles, or a team.", where)
        found.append(Rule(condition, tuple(roles), team))
    return tuple(found)


def evaluate(
    rules: Sequence[Rule], claims: Mapping[str, Any], default_roles: Iterable[str], *, allow_sign_up: bool
) -> Grants | None:
    """Return what the claims give; None for somebody whom no rule matches, unless anybody may sign up."""
    matching = [rule for rule in rules if rule.condition.holds(claims)]
    if not matching and not allow_sign_up:
        return None
    roles = {role for role in default_roles if role != ADMIN}
    roles |= {role for rule in matching for role in rule.roles}
    team = next((rule.team for rule in matching if rule.team is not None), None)
    return Grants(tuple(sorted(roles)), team)


def _condition(given: Any, where: tuple[str, ...]) -> Condition:
    for name in ("claim", "value"):
        if not _is_name(given.get(name)):
            raise Refused("INVALID", f"`{name}` must be a text of 1 to {MAX_LENGTH} letters.", (*where, name))
    if given.get("operator") not in OPERATORS:
        raise Refused("INVALID", f"`operator` must be one of {', '.join(OPERATORS)}.", (*where, "operator"))
    return Condition(given["claim"], given["operator"], given["value"])


def _listed(given: Any, path: str) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise Refused("INVALID", f"`{path}` must be a list of objects.", (path,))
    if len(given) > MAX_RULES:
        raise Refused("INVALID", f"`{path}` can have no more than {MAX_RULES} entries.", (path,))
    return given


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= len(value) <= MAX_LENGTH


def _look(claims: Mapping[str, Any], path: str, depth: int) -> Any:
    """Return the claim at a path; a name that itself has dots (`https://example.com/roles`) comes before a path."""
    if path in claims:
        return claims[path]
    at = path.find(".")
    while at > 0 and depth > 0:
        inner = claims.get(path[:at])
        if isinstance(inner, Mapping):
            found = _look(inner, path[at + 1 :], depth - 1)
            if found is not _ABSENT:
                return found
        at = path.find(".", at + 1)
    return _ABSENT


def _text(value: Any) -> str | None:
    """Return a claim as text: itself, a whole number, `true` or `false`; None for what has no one spelling."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def _matches(pattern: str, text: str) -> bool:
    """Return whether a text is a pattern with `*`. In linear time: an administrator writes the pattern, and somebody
    else's provider the text."""
    head, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, tail = rest
    if not text.startswith(head) or len(text) < len(head) + len(tail) or not text.endswith(tail):
        return False
    at, end = len(head), len(text) - len(tail)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
