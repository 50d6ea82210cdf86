"""Whoever acts on a member's access holds at least that member's roles: how they get in, whether, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type

from crm_graph.graph.schema.build import BuiltSchema
from tests.permissions.fixtures import shared_world, world
from tests.permissions.tables.actions import WRITES, mutation, prepare
from tests.permissions.tables.table import Table, Write
from tests.permissions.world import World

__all__ = ["shared_world", "world"]

ACTS: Mapping[str, Mapping[str, Any]] = {
    "suspendMember": {},
    "reactivateMember": {},
    "revokeSessionsOfMember": {},
    "removeSecondFactorOfMember": {},
    "resendInvitation": {},
    "updateMember": {"email": "mine@evil.example"},
    "setMemberRoles": {"roles": []},
}
"""What acts on a member's access, and what is sent beside the member."""
OTHERS = {
    "linkMemberIdentity": "administrators only",
    "addAccountTeamMember": "gives the member something: a customer",
    "createMember": "nobody is there yet",
    "inviteMember": "nobody is there yet",
}
"""What takes or makes a member and is held to other rules."""


def of_members(schema: BuiltSchema) -> set[str]:
    """Return the mutations whose input names a member as the one that something is done to, or made of."""
    core = schema.core.mutation_type
    assert core is not None
    found = set()
    for name, field in core.fields.items():
        input_ = get_named_type(field.args["input"].type) if "input" in field.args else None
        payload = getattr(get_named_type(field.type), "fields", {})
        answers = "member" in payload and get_named_type(payload["member"].type).name == "Member"
        if isinstance(input_, GraphQLInputObjectType) and (
            "memberId" in input_.fields or ("id" in input_.fields and answers)
        ):
            found.add(name)
    return found


def test_every_mutation_that_takes_a_member_is_known(schema: BuiltSchema) -> None:
    assert of_members(schema) == {*ACTS, *OTHERS}


def _write(name: str) -> tuple[Table, Write]:
    return next(each for each in WRITES if each[1].name == name)


@pytest.mark.parametrize("name", ACTS)
async def test_a_clerk_acts_on_nobody_who_holds_more(world: World, name: str) -> None:
    """A role that may do all with members acts on those who hold just that, and on an administrator with nothing."""
    table, write = _write(name)
    await world.define("clerk", {"Member": {**world.everything()["Member"], "suspend": "ALL", "reactivate": "ALL"}})
    await prepare(world, table, write)
    await world.put("Team", "outside", manager_id=None)  # nobody reaches more than the clerk
    claims = await world.become("clerk")
    target = "memberId" if name.endswith("OfMember") else "id"
    sent = {target: world.id("Member", "team"), **ACTS[name]}
    for roles in (["admin"], ["clerk", "sales_rep"], ["clerk"]):
        await world.become(*roles, place="team")
        await world.move_directory()
        await world.graph.rows("DELETE FROM attempt")
        before = await world.digest()
        payload = (await world.graph.data(mutation(world, write), {"input": sent}, claims=claims))[name]
        if roles == ["clerk"]:
            assert payload["errors"] == []
            continue
        (error,) = payload["errors"]
        assert (error["code"], error["field"]) == (
            "FORBIDDEN",
            [{"updateMember": "email", "setMemberRoles": "roles"}.get(name, target)],
        )
        assert await world.digest() == before


async def test_a_dismissed_administrator_is_brought_back_by_another_one_alone(world: World) -> None:
    table, write = _write("reactivateMember")
    await prepare(world, table, write)
    await world.become("admin", place="team")
    await world.define("clerk", {"Member": world.everything()["Member"]})
    sent = {"input": {"id": world.id("Member", "team")}}
    for roles, code in ((["clerk", "sales_manager"], ["FORBIDDEN"]), (["admin"], [])):
        claims = await world.become(*roles)
        payload = (await world.graph.data(mutation(world, write), sent, claims=claims))["reactivateMember"]
        assert [error["code"] for error in payload["errors"]] == code


PLACES = [
    ("createMember", {"name": "x", "email": "x@new.example", "roles": ["clerk"]}),
    ("inviteMember", {"name": "x", "email": "x@new.example", "roles": ["clerk"]}),
    ("updateMember", {}),
]


@pytest.mark.parametrize(("name", "more"), PLACES)
@pytest.mark.parametrize(("field", "mine", "theirs"), [("teamId", "own", "outside"), ("managerId", "team", "outside")])
async def test_one_verdict_at_every_door(
    world: World, name: str, more: Mapping[str, Any], field: str, mine: str, theirs: str
) -> None:
    """A place within what the clerk reaches is theirs to give; one beyond is not, whichever mutation gives it."""
    await world.define("clerk", {"Member": world.everything()["Member"], "Team": world.everything()["Team"]})
    claims = await world.become("clerk")
    await world.become("clerk", place="team")
    await world.put("Team", "own", parent_id=None, manager_id=None)
    await world.put("Team", "outside", parent_id=None, manager_id=None)
    await world.put("Member", "outside", team_id=world.row("Team", "outside")["id"])
    await world.put("Member", "team", manager_id=None)
    await world.move_directory()
    _, write = _write(name)
    type_ = "Team" if field == "teamId" else "Member"
    target = {"id": world.id("Member", "team")} if name == "updateMember" else {}
    for place, codes in ((theirs, ["FORBIDDEN"]), (mine if name != "updateMember" else "own", [])):
        sent = {**more, **target, field: world.id(type_, place)}
        payload = (await world.graph.data(mutation(world, write), {"input": sent}, claims=claims))[name]
        assert [error["code"] for error in payload["errors"]] == codes, payload
        assert [error["field"] for error in payload["errors"]] == [[field]] * len(codes)


@pytest.mark.parametrize("name", ["createMember", "inviteMember"])
async def test_a_field_that_a_role_may_not_write_is_not_written_by_inviting_either(world: World, name: str) -> None:
    whole = {**world.everything()["Member"], "fields": {"team": ["READ ALL"]}}
    await world.define("clerk", {"Member": whole, "Team": world.everything()["Team"]})
    claims = await world.become("clerk")
    _, write = _write(name)
    sent = {"name": "x", "email": "x@new.example", "roles": ["clerk"], "teamId": world.id("Team")}
    error = await world.graph.error(mutation(world, write), {"input": sent}, claims=claims)
    assert error["message"] == "Your roles do not allow to write Member.team."
