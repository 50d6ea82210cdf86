"""Changes of who may do what, through the API, which must be in force on the next request: members moved, teams moved
and given other managers, roles given, taken and redefined. The engine remembers everybody from before."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from tests.permissions.oracle.grants import NAMES, GrantText, invent_role, read_grant
from tests.permissions.oracle.judge import Judge
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import World, read_world


async def reorganise(judge: Judge, dice: random.Random, world: World) -> World:
    """Make one change as the administrator, and return the world after it."""
    admin = Sight(world, world.almighty)
    member = f"mem_{dice.choice(world.others)}"
    team = f"tea_{dice.choice(list(world.of('Team')))}"
    roles = dict(world.roles)
    own = [name for name in roles if name.startswith("role_")]
    match dice.choice(("move", "team", "give", "redefine")):
        case "move":
            await _done(judge, admin, "updateMember", "Member", {"id": member, "teamId": dice.choice((team, None))})
        case "team":
            key = f"mem_{dice.choice(list(world.of('Member')))}"
            await _done(judge, admin, "updateTeam", "Team", {"id": team, "managerId": dice.choice((key, None))})
        case "give":
            given = dice.sample(own, dice.choice((0, 1, 2)))
            await _done(judge, admin, "setMemberRoles", "Member", {"id": member, "roles": given})
        case _:
            name = dice.choice(own)
            roles[name] = invent_role(dice)
            grants = [_type_grant(type_, grant) for type_, grant in roles[name].items()]
            await _done(judge, admin, "updateRole", "Role", {"name": name, "grants": grants})
    judge.counts["reorganisations"] += 1
    return await read_world(judge.graph, world, roles=roles)


async def _done(judge: Judge, admin: Sight, name: str, record: str, values: Mapping[str, Any]) -> None:
    type_ = f"{name[0].upper()}{name[1:]}Input!"
    selected = f"{record.lower()} {{ __typename }} errors {{ code message }}"
    source = f"mutation($input: {type_}) {{ {name}(input: $input) {{ {selected} }} }}"
    body = await judge.run(admin, source, {"input": values})
    assert "errors" not in body, body
    assert body["data"][name] == {record.lower(): {"__typename": record}, "errors": []}, body


def _type_grant(type_: str, text: GrantText) -> dict[str, Any]:
    """Return a grant as the API takes it."""
    grant = read_grant(text)
    fields = [
        {"field": name, "level": NAMES[each.level], "scope": each.scope}
        | ({} if each.on is None else {"verbs": sorted(each.on)})
        for name, given in grant.fields.items()
        for each in given
    ]
    verbs = [
        {"verb": verb, "scope": scope} for verb, scopes in grant.verbs.items() for scope in sorted(scopes) or ["NONE"]
    ]
    return {"type": type_, "verbs": verbs, "default": NAMES[grant.default], "fields": fields}
