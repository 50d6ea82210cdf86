"""Places in the organisation: nobody changes whose rows somebody reaches by more than they reach themselves, or of
somebody who holds more. By brute force: everybody's reach in the world before and in the world after."""

from __future__ import annotations

from tests.permissions.oracle.sight import Sight, teams
from tests.permissions.oracle.world import ADMIN, World
from tests.permissions.oracle.writes import FORBIDDEN, Attempt


def place_refusals(sight: Sight, attempt: Attempt, after: World) -> list[str]:
    """Return how an attempt is refused for where it puts a member or a team; `after` is the world once it is done."""
    before = sight.world
    if ADMIN in sight.held or attempt.write.kind.name not in {"Member", "Team"}:
        return []
    mine = _reach(before, sight.member)
    comes_or_goes = {*before.of("Team")} ^ {*after.of("Team")}
    for member, row in after.of("Member").items():
        changed = (_reach(before, member) ^ _reach(after, member)) - comes_or_goes
        old, new = before.of("Member")[member]["manager_id"], row["manager_id"]
        if old != new:
            changed |= {member, old, new} - {None}
        if changed and (changed - mine or {*before.held.get(member, ())} - {*sight.held}):
            return [FORBIDDEN]
    return []


def _reach(world: World, member: str) -> frozenset[str]:
    reached = teams(world, member)
    people = {row["id"] for row in world.of("Member").values() if row["team_id"] in reached}
    return reached | people | {member}
