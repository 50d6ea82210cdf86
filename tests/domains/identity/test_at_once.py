"""What is checked and then written is one step: many who do it at once do no more than one after another would.

Over real pools, where transactions commit: 25 requests at a time, and what they leave is read off the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.domains.identity.accounts.enums import SignInMethod
from crm_graph.domains.identity.accounts.sessions import start_session
from crm_graph.domains.identity.clients.operations import MAX_LIVE_KEYS
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.origin import NOWHERE
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.ids import new_id
from tests.support.accounts import Accounts, real_accounts
from tests.support.database import clone

TRIES = 25
LIMITS = {"max_jobs_per_member": 5, "max_webhook_endpoints": 5, "max_providers": 5}


@pytest.fixture
async def real(postgres: str, schema: BuiltSchema, request: pytest.FixtureRequest) -> AsyncIterator[Accounts]:
    """Accounts over real pools, on a database that is the test's alone."""
    url = await clone(postgres, f"crm_at_once_{abs(hash(request.node.nodeid)) % 10**8}")
    async with real_accounts(schema, url, **LIMITS) as found:
        yield found


async def claims_of(real: Accounts, email: str) -> Claims:
    workspace_id, member_id = await real.member(email)
    return Claims(workspace_id, member_id, datetime.now(UTC) + timedelta(hours=1))


async def at_once(
    real: Accounts, email: str | Sequence[str], kind: str, inputs: Sequence[Mapping[str, Any]]
) -> list[list[str]]:
    """Send a mutation with each of the inputs, all at once; return the codes of each one's errors."""
    name = kind[0].lower() + kind[1:]
    source = f"mutation ($input: {kind}Input!) {{ done: {name}(input: $input) {{ errors {{ code message }} }} }}"
    emails = [email] * len(inputs) if isinstance(email, str) else email
    claims = [await claims_of(real, each) for each in emails]

    async def send(input_: Mapping[str, Any], by: Claims) -> list[str]:
        request = GraphQLRequest(source, None, {"input": input_})
        operation = await real.engine.admission.operation(request, by)
        body = (await real.engine.execute(request, operation, by)).body
        if "errors" in body:
            return [error["extensions"]["code"] for error in body["errors"]]
        return [error["code"] for error in body["data"]["done"]["errors"]]

    return list(await asyncio.gather(*(send(*each) for each in zip(inputs, claims, strict=True))))


async def made(real: Accounts, table: str, prefix: str, **values: Any) -> str:
    """Write a row by plain SQL and return its API id."""
    workspace_id, _ = await real.member("rep@example.com")
    row = {"workspace_id": workspace_id, "id": new_id(), **values, "version": 1}
    marks = ", ".join(f"${index}" for index, _ in enumerate(row, 1))
    await real.rows(
        f"INSERT INTO {table} ({', '.join(row)}, created_at, updated_at) VALUES ({marks}, now(), now()) RETURNING 1",
        *row.values(),
    )
    return f"{prefix}_{row['id']}"


ADMIN = "admin@example.com"


async def test_teams_that_are_moved_at_once_make_no_circle(real: Accounts) -> None:
    """Each moves a team below the next one: any but the last is well, all together are a circle."""
    for _ in range(3):
        teams = [await made(real, "team", "tea", name=f"team {new_id()}") for _ in range(TRIES)]
        inputs = [{"id": team, "parentId": teams[(index + 1) % TRIES]} for index, team in enumerate(teams)]
        codes = await at_once(real, ADMIN, "UpdateTeam", inputs)
        assert sorted(codes) == [[]] * (TRIES - 1) + [["INVALID"]]
    circles = await real.rows(
        """WITH RECURSIVE above AS (
            SELECT id AS start, parent_id, 1 AS steps FROM team
            UNION ALL SELECT start, team.parent_id, steps + 1 FROM above JOIN team ON team.id = above.parent_id
            WHERE steps < 100
        ) SELECT 1 FROM above WHERE parent_id = start"""
    )
    assert circles == []


HOOK = {"url": "https://hooks.example.com/x", "eventTypes": ["CustomerCreated"], "roles": ["analyst"]}
COUNTED: Mapping[str, tuple[str, Callable[[int], Mapping[str, Any]], str, int]] = {
    "jobs": ("ExportRecords", lambda _: {"type": "Product"}, "job", 5),
    "endpoints": ("CreateWebhookEndpoint", lambda _: HOOK, "webhook_endpoint", 5),
    "providers": (
        "CreateIdentityProvider",
        lambda index: {"name": f"p{index}", "issuer": f"https://p{index}.example.com", "clientId": "x"},
        "identity_provider",
        5,
    ),
}


@pytest.mark.parametrize("name", COUNTED)
async def test_a_limit_is_a_limit_for_all_at_once(real: Accounts, name: str) -> None:
    kind, input_, table, limit = COUNTED[name]
    workspace_id, _ = await real.member(ADMIN)
    codes = await at_once(real, ADMIN, kind, [input_(index) for index in range(TRIES)])
    assert sorted(codes) == [[]] * limit + [["INVALID"]] * (TRIES - limit)
    assert await real.value(f"SELECT count(*) FROM {table} WHERE workspace_id = $1", workspace_id) == limit


async def test_a_client_has_so_many_keys_whoever_makes_them_at_once(real: Accounts) -> None:
    client = await made(real, "api_client", "apc", name="busy")
    key = {"clientId": client, "name": "x"}
    codes = await at_once(real, ADMIN, "CreateApiKey", [key] * TRIES)
    assert sorted(codes) == [[]] * MAX_LIVE_KEYS + [["INVALID"]] * (TRIES - MAX_LIVE_KEYS)
    assert await real.value("SELECT count(*) FROM api_key") == MAX_LIVE_KEYS


async def test_jobs_that_are_queued_again_at_once_are_counted_too(real: Accounts) -> None:
    _, member = await real.member(ADMIN)
    jobs = [
        await made(
            real, "job", "job", kind="odd", status="CANCELLED", done=0, attempts=0, run=0, created_by_id=member,
            arguments={},
        )
        for _ in range(TRIES)
    ]  # fmt: skip
    codes = await at_once(real, ADMIN, "RequeueJob", [{"id": job} for job in jobs])
    assert sorted(codes) == [[]] * 5 + [["INVALID"]] * (TRIES - 5)


async def administrators(real: Accounts, count: int) -> list[tuple[str, str]]:
    """Let there be so many administrators and no other; return their addresses and ids."""
    workspace_id, first = await real.member(ADMIN)
    found = [(ADMIN, f"mem_{first}")]
    for index in range(1, count):
        email = f"admin{index}@example.com"
        id_ = await made(real, "member", "mem", name=email, email=email, status="ACTIVE", kind="PERSON")
        key = workspace_id, id_.removeprefix("mem_")
        await real.rows("INSERT INTO member_role VALUES ($1, $2, 'admin') RETURNING 1", *key)
        found.append((email, id_))
    return found


LEFT = """SELECT count(*) FROM member JOIN member_role USING (workspace_id)
    WHERE member_role.member_id = member.id AND role = 'admin' AND status = 'ACTIVE' AND workspace_id = $1"""


@pytest.mark.parametrize(("kind", "more"), [("SuspendMember", {}), ("SetMemberRoles", {"roles": ["analyst"]})])
async def test_an_administrator_is_left(real: Accounts, kind: str, more: Mapping[str, Any]) -> None:
    """Each dismisses themselves, or is demoted by another one: one of them remains, whoever it is."""
    workspace_id, _ = await real.member(ADMIN)
    people = await administrators(real, 6)
    inputs = [{"id": id_, **more} for _, id_ in people]
    codes = await at_once(real, [email for email, _ in people], kind, inputs)
    assert await real.value(LEFT, workspace_id) == 1, codes
    assert sorted(codes)[:5] == [[]] * 5


async def test_a_role_is_not_deleted_while_it_is_given(real: Accounts) -> None:
    """Whichever comes first: the role is gone and nobody has it, or it is there."""
    workspace_id, rep = await real.member("rep@example.com")
    await made(real, "role", "rol", name="odd", grants={})
    give, drop = {"id": f"mem_{rep}", "roles": ["odd"]}, {"name": "odd"}
    await asyncio.gather(
        at_once(real, ADMIN, "SetMemberRoles", [give] * 5), at_once(real, ADMIN, "DeleteRole", [drop] * 5)
    )
    held = await real.value("SELECT count(*) FROM member_role WHERE workspace_id = $1 AND role = 'odd'", workspace_id)
    there = await real.value("SELECT count(*) FROM role WHERE workspace_id = $1 AND name = 'odd'", workspace_id)
    assert held <= there


async def test_changes_of_the_directory_do_not_lock_each_other_out(real: Accounts) -> None:
    """Members, teams, clients and roles at once, in any order: everything is done, and nothing is found deadlocked."""
    _, rep = await real.member("rep@example.com")
    team = await made(real, "team", "tea", name="odd")
    client = await made(real, "api_client", "apc", name="busy")
    rounds = await asyncio.gather(
        at_once(real, ADMIN, "UpdateMember", [{"id": f"mem_{rep}", "teamId": team}] * 8),
        at_once(real, ADMIN, "UpdateTeam", [{"id": team, "managerId": f"mem_{rep}"}] * 8),
        at_once(real, ADMIN, "UpdateApiClient", [{"id": client, "firstParty": True}] * 4),
        at_once(real, ADMIN, "CreateApiKey", [{"clientId": client, "name": "x"}] * 4),
        at_once(real, ADMIN, "CreateTeam", [{"name": f"x{index}", "parentId": team} for index in range(4)]),
    )
    assert [code for codes in rounds for one in codes for code in one] == []


async def test_a_member_has_so_many_sessions_who_signs_in_at_once(real: Accounts) -> None:
    workspace_id, member_id = await real.member("rep@example.com")
    services = replace(real.services, settings=replace(real.services.settings, max_sessions=3))

    async def sign_in() -> None:
        async with real.database.transaction() as session:
            await start_session(
                services, session, workspace_id, member_id, method=SignInMethod.PASSWORD, origin=NOWHERE
            )

    await asyncio.gather(*(sign_in() for _ in range(TRIES)))
    live = "SELECT count(*) FROM member_session WHERE member_id = $1 AND revoked_at IS NULL"
    assert await real.value(live, member_id) == 3
