"""Nobody becomes more than they are: for every verb of every type, a role that grants just that, and every mutation
that writes what decides rights, tried by a member who has no other role.

What members, clients, endpoints and providers may do is read off the database before and after. Whatever is more than
before lies within what the attacker holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_graph.api.schema import SLICES
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.graph.records.record import record_of
from crm_graph.identity.tokens import Claims
from crm_graph.permissions.policy import Policy
from tests.permissions.fixtures import shared_world, world
from tests.permissions.tables.actions import WRITES, mutation
from tests.permissions.world import World

__all__ = ["shared_world", "world"]

POLICIES: Mapping[str, Policy] = {
    policy.type: policy
    for each in SLICES
    for policy in (*(record_of(cls).policy for cls in each.records), *each.policies)
}
VERBS = [
    (type_, verb)
    for type_, policy in POLICIES.items()
    if policy.parent is None and type_ != "AuditEntry"
    for verb in ("create", "update", "delete", *policy.transitions)
]
SEEN = ("Member", "Team", "ApiClient", "WebhookEndpoint", "IdentityProvider", "Customer")
ROLE = "single"


def attempts(world: World) -> list[tuple[str, dict[str, Any]]]:
    """Return what is tried: mutation and input. Of members, `own` is the attacker, `outside` an administrator; both
    teams are above what the attacker reaches."""
    me, admin, other = (world.id("Member", place) for place in ("own", "outside", "team"))
    above, apart = world.id("Team", "outside"), world.id("Team", "team")
    client, mine = world.id("ApiClient", "team"), world.id("ApiClient")
    evil = ["https://evil.example/back"]
    person = {"name": "x", "email": "x@evil.example"}
    found: list[tuple[str, dict[str, Any]]] = []
    for name in ("createMember", "inviteMember"):
        found += [(name, {**person, "roles": [role]}) for role in ("admin", "sales_rep", ROLE)]
        found += [(name, {**person, "roles": [ROLE], "teamId": team}) for team in (above, apart)]
        found += [(name, {**person, "roles": [ROLE], "managerId": admin})]
    for who in (me, admin, other):
        found += [("setMemberRoles", {"id": who, "roles": roles}) for roles in ([], ["admin"], [ROLE, "sales_rep"])]
        found += [("updateMember", {"id": who, "teamId": team}) for team in (above, apart, world.id("Team"), None)]
        found += [("updateMember", {"id": who, "managerId": manager}) for manager in (me, admin, None)]
        found += [(name, {"id": who}) for name in ("suspendMember", "reactivateMember", "resendInvitation")]
        found += [(name, {"memberId": who}) for name in ("revokeSessionsOfMember", "removeSecondFactorOfMember")]
        found += [("updateMember", {"id": who, "email": "mine@evil.example"})] if who != me else []
        found += [("createTeam", {"name": "x", "managerId": who, "parentId": team}) for team in (above, apart)]
        found += [
            ("updateTeam", {"id": world.id("Team", place), "managerId": who}) for place in ("own", "team", "outside")
        ]
        found += [
            (
                "linkMemberIdentity",
                {"providerId": world.id("IdentityProvider"), "subject": "evil", "memberId": who},
            )
        ]
    found += [
        ("updateTeam", {"id": world.id("Team", one), "parentId": world.id("Team", other)})
        for one in ("own", "team", "outside")
        for other in ("own", "team", "outside")
        if one != other
    ]
    found += [("updateTeam", {"id": above, "parentId": None}), ("deleteTeam", {"id": above})]
    new_clients: list[dict[str, Any]] = [
        *({}, {"firstParty": True}, {"firstParty": True, "redirectUris": evil}, {"redirectUris": evil}),
        *({"memberRoles": ["admin"]}, {"memberRoles": ["admin"], "firstParty": True}, {"roles": ["admin"]}),
        *({"memberRoles": [ROLE], "redirectUris": evil}, {"roles": [ROLE]}),
    ]
    found += [("createApiClient", {"name": "evil", **more}) for more in new_clients]
    changed_clients: list[dict[str, Any]] = [
        *({"memberRoles": None}, {"memberRoles": ["admin"]}, {"memberRoles": [ROLE]}, {"firstParty": False}),
        *({"firstParty": True}, {"redirectUris": evil}, {"kind": "PUBLIC"}, {"documentMode": "OPEN"}),
        *({"roles": ["admin"]}, {"roles": [ROLE]}, {"requestsPerMinute": None}, {"costPerMinute": None}),
    ]
    for target in (client, mine):
        found += [("updateApiClient", {"id": target, **more}) for more in changed_clients]
        found += [("deleteApiClient", {"id": target}), ("createApiKey", {"clientId": target, "name": "x"})]
    hook = {"url": "https://evil.example/x", "eventTypes": ["CustomerCreated"]}
    found += [("createWebhookEndpoint", {**hook, "roles": [role]}) for role in ("admin", "analyst", ROLE)]
    changed_hooks: list[dict[str, Any]] = [
        *({"url": hook["url"]}, {"roles": ["admin"]}, {"roles": [ROLE]}, {"status": "PAUSED"})
    ]
    found += [("updateWebhookEndpoint", {"id": world.id("WebhookEndpoint"), **more}) for more in changed_hooks]
    found += [("deleteWebhookEndpoint", {"id": world.id("WebhookEndpoint")})]
    provider = {"name": "evil", "issuer": "https://evil.example", "clientId": "x", "emailDomains": ["canary.example"]}
    found += [("createIdentityProvider", provider)]
    found += [("updateIdentityProvider", {"id": world.id("IdentityProvider"), "emailDomains": ["canary.example"]})]
    found += [("deleteIdentityProvider", {"id": world.id("IdentityProvider")})]
    found += [("unlinkMemberIdentity", {"id": world.id("MemberIdentity", "outside")})]
    everything = [{"type": "Customer", "verbs": [{"verb": "read", "scope": "ALL"}]}]
    found += [("createRole", {"name": "mine", "grants": everything}), ("deleteRole", {"name": ROLE})]
    found += [("updateRole", {"name": name, "grants": everything}) for name in (ROLE, "analyst")]
    return found


@dataclass(frozen=True, slots=True)
class Powers:
    """What everybody may do, off the database: of members their roles and reach, of the others whole rows."""

    roles: Mapping[str, frozenset[str]]
    reach: Mapping[str, frozenset[str]]
    rows: Mapping[str, frozenset[str]]


async def powers(world: World) -> Powers:
    """Return the powers of the workspace as of now."""
    workspace_id = world.row("Workspace")["id"]
    members = [
        row["id"] for row in await world.graph.rows("SELECT id FROM member WHERE workspace_id = $1", workspace_id)
    ]
    roles, reach = {}, {}
    for member in members:
        claims = Claims(workspace_id, member, datetime.now(UTC) + timedelta(hours=1))
        viewer = await MemberDirectory().find(world.graph.database.primary_reader(), claims)
        if viewer is not None:
            roles[member] = frozenset(viewer.roles)
            reach[member] = frozenset({*viewer.circle, *viewer.teams})
    rows = {}
    for table in (
        *("api_client", "api_key", "webhook_endpoint", "identity_provider", "member_identity", "role"),
        *("credential", "member_session", "member_link"),
    ):
        found = await world.graph.rows(f"SELECT to_jsonb(t)::text FROM {table} t WHERE workspace_id = $1", workspace_id)
        rows[table] = frozenset(row[0] for row in found)
    found = await world.graph.rows("SELECT id, email, status FROM member WHERE workspace_id = $1", workspace_id)
    rows["member"] = frozenset(f"{row['id']} {row['email']} {row['status']}" for row in found)
    return Powers(roles, reach, rows)


async def beyond(world: World, before: Powers, after: Powers) -> list[str]:
    """Return what is more, or less, than the attacker may give or take."""
    me = world.row("Member")["id"]
    wrong = []
    for member in {*before.roles, *after.roles}:
        was, now = before.roles.get(member, frozenset()), after.roles.get(member, frozenset())
        if (was ^ now) - before.roles[me]:
            wrong.append(f"roles of {member}: {sorted(was)} to {sorted(now)}")
        if member not in before.roles or member not in after.roles:
            changed = after.reach.get(member, frozenset()) - {member}
        else:
            changed = before.reach[member] ^ after.reach[member]
        new = {*_ids(after) - _ids(before)}
        if (now ^ was) and member in before.roles and before.reach[member] - {member} - before.reach[me]:
            wrong.append(f"roles of {member}, who reaches more")
        if changed - before.reach[me] - new:
            wrong.append(f"reach of {member} by {sorted(changed - before.reach[me])}")
    administered = ("identity_provider", "member_identity", "role")
    wrong += [f"{table} changed" for table in administered if before.rows[table] != after.rows[table]]
    for member in before.roles:
        for table in ("member", "credential", "member_session", "member_link"):
            changed_rows = {row for row in before.rows[table] ^ after.rows[table] if _names(row, member)}
            if changed_rows and not before.roles[member] <= before.roles[me]:
                wrong.append(f"{table} of {member}, who has {sorted(before.roles[member])}")
    wrong += await _bound(world, "api_client", "first_party", before, after)
    wrong += await _bound(world, "webhook_endpoint", "false", before, after)
    return wrong


async def _bound(world: World, table: str, unbound: str, before: Powers, after: Powers) -> list[str]:
    """Return the rows that changed and act with roles that the attacker does not hold."""
    query = f"SELECT id, roles, {unbound} AS unbound FROM {table} WHERE workspace_id = $1"
    mine, changed = before.roles[world.row("Member")["id"]], before.rows[table] ^ after.rows[table]
    return [
        f"{table} {row['id']} with {row['roles']}"
        for row in await world.graph.rows(query, world.row("Workspace")["id"])
        if any(_names(text, row["id"]) for text in changed)
        if row["unbound"] or row["roles"] is None or {*row["roles"]} - mine
    ]


def _ids(of: Powers) -> set[str]:
    return {id_ for reach in of.reach.values() for id_ in reach}


def _names(row: str, id_: str) -> bool:
    """Return whether a row as JSON names an id, as Postgres prints it or as we do."""
    return id_ in row or f"{id_[:8]}-{id_[8:12]}-{id_[12:16]}-{id_[16:20]}-{id_[20:]}" in row


async def attacked(world: World) -> tuple[int, list[str]]:
    """Try everything as the member at `own`; return how much was done, and what of it gave too much."""
    by_name = {write.name: write for _, write in WRITES}
    done, wrong = 0, []
    before, digest = await powers(world), await world.digest()
    for name, input_ in attempts(world):
        async with world.undone():
            body = await world.graph.execute(mutation(world, by_name[name]), {"input": input_}, claims=world.claims())
            payload = (body.get("data") or {}).get(name)
            if "errors" in body or payload is None or payload["errors"]:
                continue
            done += 1
            found = await beyond(world, before, await powers(world))
            wrong += [f"{name} {input_}: {each}" for each in found]
    now = await world.digest()
    directory = {"workspace_directory": ""}
    assert {**now, **directory} == {**digest, **directory}, "what was refused wrote nothing"
    return done, wrong


async def _place(world: World, grants: Mapping[str, Any]) -> None:
    """Let the attacker have a role, an administrator stand above, and a representative with more roles beside."""
    await world.define(ROLE, grants)
    await world.become("admin", place="outside")
    await world.become("sales_rep", ROLE, place="team")
    await world.become(ROLE)
    await world.put("Team", "outside", parent_id=None, manager_id=world.row("Member", "outside")["id"])
    await world.put("Team", "own", parent_id=world.row("Team", "outside")["id"], manager_id=None)
    await world.put("Team", "team", parent_id=world.row("Team", "outside")["id"], manager_id=None)
    await world.put("Member", "outside", team_id=world.row("Team", "outside")["id"])
    await world.put("ApiClient", "own", roles=[ROLE], first_party=False)
    await world.move_directory()


@pytest.mark.parametrize(("type_", "verb"), VERBS)
async def test_one_verb_of_one_type_makes_nobody_more(world: World, type_: str, verb: str) -> None:
    seen = {name: {"read": "ALL", "default": "READ"} for name in SEEN}
    await _place(world, {**seen, type_: {"read": "ALL", verb: "ALL", "default": "WRITE"}})
    _, wrong = await attacked(world)
    assert not wrong, "\n".join(wrong)


async def test_all_verbs_of_all_types_but_the_role_admin_make_nobody_more(world: World) -> None:
    """Whatever is granted: it is the role that decides, and much of what is tried is done within it."""
    await _place(world, world.everything())
    done, wrong = await attacked(world)
    assert not wrong, "\n".join(wrong)
    assert done > 20


async def test_an_administrator_does_it_all_and_the_judge_sees_it(world: World) -> None:
    """What others are refused is refused for their rights alone; judged as if by another, it is too much."""
    await _place(world, world.everything())
    await world.become("admin")
    done, wrong = await attacked(world)
    assert done > 80
    assert len(wrong) > 50


async def test_without_the_rules_much_of_it_would_be_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative: the one check taken out, the same attacks give too much, by every kind of door."""

    async def pass_all(*_: Any) -> None:
        return None

    monkeypatch.setattr("crm_graph.work.hold_to_rights", pass_all)
    await _place(world, world.everything())
    _, wrong = await attacked(world)
    through = {each.partition(" ")[0] for each in wrong}
    doors = {"updateMember", "createMember", "inviteMember", "updateTeam", "createApiClient", "updateApiClient"}
    assert doors <= through, doors - through
