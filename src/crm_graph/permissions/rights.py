"""Rights over rights: whoever writes a column that decides what somebody may do must hold what the change gives.

A policy names the columns that decide (`Policy.decides`), each with the rule that it is written by. The unit of work
and the importer ask these rules before they write, so there is no door that they do not guard. Nobody gives, takes or
lifts what they do not hold; an administrator holds everything.

Decided in D-permissions-05 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crm_graph.kernel.errors import Forbidden, Refused
from crm_graph.permissions.policy import Policy, Rule, Writer
from crm_graph.permissions.roles import ADMIN

Image = Mapping[str, Any]
"""A row by its columns."""


def holds_all(work: Writer) -> bool:
    """Return whether whoever writes holds everything: their role admin counts here, whatever else they have."""
    return ADMIN in work.viewer.roles


async def hold_to_rights(work: Writer, policy: Policy, before: Image | None, after: Image | None) -> None:
    """Ask the rules of all deciding columns that differ between two images of a row, each once; of a row that comes or
    goes all differ. Raises Refused or Forbidden as the rules do. Costs nothing for an administrator."""
    if not policy.decides or holds_all(work):
        return
    asked: list[Rule] = []
    for name, rule in policy.decides.items():
        differs = before is None or after is None or before.get(name) != after.get(name)
        if differs and rule not in asked:
            asked.append(rule)
            await rule(work, before, after)


def refuse_beyond(work: Writer, roles: Iterable[str], path: str = "roles") -> None:
    """Raise Refused FORBIDDEN for a role that the viewer does not hold: who may change members, or make clients, does
    not become an administrator by that. An administrator holds them all."""
    beyond = set() if holds_all(work) else set(roles) - set(work.viewer.roles)
    if beyond:
        raise Refused(
            "FORBIDDEN", f"You cannot give or take roles that you do not hold: {', '.join(sorted(beyond))}.", (path,)
        )


def changed_roles(before: Image | None, after: Image | None) -> Sequence[str]:
    """Return the roles that are given or taken between two images."""
    old, new = (frozenset((image or {}).get("roles") or ()) for image in (before, after))
    return sorted(old ^ new)


def administrators_only(message: str) -> Rule:
    """Return the rule of what nobody but an administrator writes, whatever else their roles grant. Raises Forbidden."""

    async def rule(_: Writer, __: Image | None, ___: Image | None) -> None:
        raise Forbidden(message)

    return rule
