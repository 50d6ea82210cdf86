"""Nothing that one workspace does changes what is answered about another: every mutation of the schema, by an
administrator of one, with whatever of the other's it can take; before and after, every door of the other.

Compared are the answers in text, and what would tell in time: the statements that were sent and the passwords that were
verified.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyotp
import pytest
from graphql import get_named_type

from crm_graph.domains.identity.accounts.credentials import set_password
from crm_graph.domains.identity.accounts.enums import LinkPurpose
from crm_graph.domains.identity.accounts.links import make_link
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.origin import Origin
from tests.permissions.matrix import PLACES
from tests.permissions.tables.actions import WRITES, input_of, many_of, mutation, prepare, upserts_of
from tests.permissions.tables.table import Table, Write
from tests.permissions.world import FOREIGN, World, make_world
from tests.security.neighbour import ACCEPT, REQUEST, RESET, SETTINGS, Seen, Victim, victim
from tests.support.accounts import PASSWORD, REFRESH, SIGN_IN, WRONG
from tests.support.database import savepoint
from tests.support.graph import Graph
from tests.support.issuers import liar

TAKEN = frozenset(
    {
        *("email", "name", "externalId", "number", "subject", "issuer", "clientId", "audiences", "emailDomains"),
        *("redirectUris", "url", "sku", "code", "phone", "title"),
    }
)
"""Fields whose values are taken from the row of the other workspace, where that has one: what a key, or somebody who
looks for a row, might confuse."""
SAME: Mapping[str, Mapping[str, Any]] = {
    "createMember": {"email": "victim"},
    "inviteMember": {"email": "victim"},
    "updateMember": {"email": "victim"},
    "createApiClient": {"firstParty": True},
    "createIdentityProvider": {"acceptTokens": True, "allowSignUp": True, "defaultRoles": ["analyst"], "enabled": True},
    "updateIdentityProvider": {"acceptTokens": True, "allowSignUp": True, "defaultRoles": ["analyst"], "enabled": True},
}
"""What else makes a row as like to the other's as it can be."""
OUTSIDE = Origin("198.51.100.9", "neighbour")


@pytest.fixture(scope="module")
async def shared(database_url: str, schema: BuiltSchema) -> AsyncIterator[tuple[Victim, dict[str, Seen]]]:
    """The other workspace, and what its doors say while nobody does anything: gone to twice, so that what a process
    remembers is remembered."""
    async with savepoint(database_url) as database, liar() as issuer:
        world = await make_world(Graph(schema, database, SETTINGS))
        async with victim(world, issuer) as found:
            await found.seen()
            before = await found.seen()
            assert await found.seen() == before, "without a neighbour"
            yield found, before


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An administrator of another workspace, who has an account of the victim's address with the victim's password."""

    victim: Victim
    token: str
    refresh_token: str

    async def ask(self, source: str, /, **variables: Any) -> dict[str, Any]:
        """Return the payload of a mutation that is done."""
        body = await self.victim.ask(source, variables, self.token, OUTSIDE)
        assert "errors" not in body, body
        (payload,) = body["data"].values()
        assert payload.get("errors", []) == [], payload
        found: dict[str, Any] = payload
        return found

    async def public(self, source: str, /, **variables: Any) -> dict[str, Any]:
        """The same without a token."""
        body = await self.victim.ask(source, variables, None, OUTSIDE)
        (payload,) = body["data"].values()
        assert payload["errors"] == [], payload
        found: dict[str, Any] = payload
        return found

    async def link(self, purpose: LinkPurpose, place: str) -> str:
        """Return the token of a link to a member of the neighbour's workspace."""
        member = self.victim.world.row("Member", place)
        services = self.victim.engine.services
        async with services.database.transaction() as session:
            link = await make_link(services, session, member["workspace_id"], member["id"], purpose)
        return link.partition("#")[2]


async def move_in(victim: Victim) -> Neighbour:
    """Give the administrator of the neighbour's workspace the victim's address and password, and sign them in."""
    world = victim.world
    await world.become("admin")
    member, services = world.row("Member"), victim.engine.services
    await world.put("Member", email=victim.email)
    hashed = await services.passwords.hash(PASSWORD)
    async with services.database.transaction() as session:
        await set_password(services, session, member["workspace_id"], member["id"], hashed, 0)
    given = {"email": victim.email, "password": PASSWORD, "workspace": "demo"}
    body = await victim.ask(SIGN_IN, {"input": given}, None, OUTSIDE)
    payload = body["data"]["signIn"]
    return Neighbour(victim, payload["accessToken"], payload["refreshToken"])


async def _sign_in(it: Neighbour) -> None:
    given = {"email": it.victim.email, "password": PASSWORD, "workspace": "demo"}
    await it.public(SIGN_IN, input=given)
    for number in range(12):
        origin = Origin(f"198.51.100.{number}", None)
        await it.victim.ask(SIGN_IN, {"input": {**given, "password": WRONG}}, None, origin)


async def _request_reset(it: Neighbour) -> None:
    await it.public(REQUEST, email=it.victim.email, workspace="demo")
    for number in range(7):
        origin = Origin(f"198.51.100.{number}", None)
        await it.victim.ask(REQUEST, {"email": it.victim.email, "workspace": "demo"}, None, origin)


async def _accept(it: Neighbour) -> None:
    await it.victim.world.put("Member", email="other@canary.example")
    await it.victim.world.put("Member", "team", email=it.victim.email)
    await it.public(ACCEPT, token=await it.link(LinkPurpose.INVITATION, "team"), password=PASSWORD)


async def _enrol(it: Neighbour) -> tuple[str, pyotp.TOTP]:
    start = "mutation ($p: String!) { startSecondFactor(input: {password: $p}) { secret errors { code } } }"
    device = pyotp.TOTP((await it.ask(start, p=PASSWORD))["secret"])
    confirm = "mutation ($c: String!) { confirmSecondFactor(input: {code: $c}) { recoveryCodes errors { code } } }"
    codes = (await it.ask(confirm, c=device.now()))["recoveryCodes"]
    return codes[0], device


async def _prove(it: Neighbour, name: str) -> None:
    recovery, _ = await _enrol(it)
    for code in ("000000",) * 8:
        given = {"email": it.victim.email, "password": PASSWORD, "workspace": "demo", "code": code}
        await it.victim.ask(SIGN_IN, {"input": given}, None, OUTSIDE)
    prove = f"mutation ($i: ProveSecondFactorInput!) {{ {name}(input: $i) {{ errors {{ code }} }} }}"
    await it.ask(prove, i={"password": PASSWORD, "code": recovery})


async def _revoke(it: Neighbour) -> None:
    other = await it.public(SIGN_IN, input={"email": it.victim.email, "password": PASSWORD, "workspace": "demo"})
    claims = it.victim.engine.services.authority.check(other["accessToken"])
    await it.ask("mutation ($id: ID!) { revokeSession(input: {id: $id}) { errors { code } } }", id=_session(claims))


def _session(claims: Any) -> str:
    return f"ses_{claims.session_id}"


async def _revoke_app(it: Neighbour) -> None:
    client = await it.victim.site.client(kind="PUBLIC", name="Consented")
    await it.victim.world.graph.rows(
        "INSERT INTO consent (workspace_id, id, member_id, client_id, scope, version, created_at, updated_at)"
        " VALUES ($1, gen_random_uuid(), $2, $3, 'crm', 1, now(), now())",
        client.workspace_id,
        it.victim.world.row("Member")["id"],
        client.id,
    )
    await it.ask(
        "mutation ($id: ID!) { revokeAuthorizedApp(input: {clientId: $id}) { errors { code } } }", id=client.client_id
    )


async def _reset(it: Neighbour) -> None:
    await it.public(RESET, token=await it.link(LinkPurpose.RESET, "own"), password="another long password")


CHANGE = """mutation ($p: String!, $n: String!) {
    changePassword(input: {currentPassword: $p, newPassword: $n}) { errors { code } } }"""
SIGN_OUT = "mutation ($t: String!) { signOut(input: {refreshToken: $t}) { errors { code } } }"
OWN: Mapping[str, Callable[[Neighbour], Awaitable[Any]]] = {
    "signIn": _sign_in,
    "requestPasswordReset": _request_reset,
    "acceptInvitation": _accept,
    "resetPassword": _reset,
    "refreshSession": lambda it: it.public(REFRESH, token=it.refresh_token),
    "signOut": lambda it: it.public(SIGN_OUT, t=it.refresh_token),
    "changePassword": lambda it: it.ask(CHANGE, p=PASSWORD, n="another long password"),
    "startSecondFactor": _enrol,
    "confirmSecondFactor": _enrol,
    "disableSecondFactor": lambda it: _prove(it, "disableSecondFactor"),
    "renewRecoveryCodes": lambda it: _prove(it, "renewRecoveryCodes"),
    "revokeSession": _revoke,
    "revokeOtherSessions": lambda it: it.ask("mutation { revokeOtherSessions { revoked errors { code } } }"),
    "revokeAuthorizedApp": _revoke_app,
}
"""Mutations of one's own account."""


def test_every_mutation_is_tried(schema: BuiltSchema) -> None:
    """One that is in neither table has no input here: put it into the table of its entity, or into `OWN`."""
    assert schema.core.mutation_type is not None
    derived = [*many_of(schema.core).values(), *upserts_of(schema.core).values()]
    assert sorted([*OWN, *(write.name for _, write in WRITES), *derived]) == sorted(schema.core.mutation_type.fields)


def taken(world: World, table: Table, write: Write, address: str) -> dict[str, Any]:
    """Return an input that is taken, with whatever of the other workspace's row can be in it."""
    core = world.graph.schema.core
    assert core.mutation_type is not None
    fields = get_named_type(core.mutation_type.fields[write.name].args["input"].type).fields
    sent = input_of(world, table, write, table.place)
    makes = write.verb == "create" and write.name.startswith(("create", "add", "invite", "link"))
    row = world.row(table.type, FOREIGN) if table.record else {}
    if makes and table.record and "id" in fields:
        sent["id"] = world.id(table.type, FOREIGN)
    for name in TAKEN & {name for name, field in fields.items() if get_named_type(field.type).name != "ID"}:
        column = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        if column in row and row[column] not in (None, []):
            sent[name] = row[column]
    more = {name: address if value == "victim" else value for name, value in SAME.get(write.name, {}).items()}
    return {**sent, **more}


async def trust_the_same(world: World) -> None:
    """Let the neighbour's providers be the victim's, as far as anybody can say so, and open to everybody."""
    theirs = world.row("IdentityProvider", FOREIGN)
    names = ("issuer", "client_id", "audiences", "accept_tokens", "enabled", "email_domains", "default_roles")
    for place in PLACES:
        await world.put("IdentityProvider", place, **{name: theirs[name] for name in names}, allow_sign_up=True)


def differences(before: Mapping[str, Seen], after: Mapping[str, Seen]) -> list[str]:
    """Return which doors say something else, and how."""
    found = []
    for name, seen in after.items():
        if seen.answer != before[name].answer:
            found.append(f"{name}:\n  {before[name].answer}\n  {seen.answer}")
        if seen.statements != before[name].statements or seen.verifications != before[name].verifications:
            counts = [(len(each.statements), each.verifications) for each in (before[name], seen)]
            found.append(f"{name}: statements and verifications {counts}")
    return found


ALIKE = (
    ("signIn, wrong", "signIn, unknown"),
    ("signIn, wrong and named", "signIn, unknown and named"),
    ("requestPasswordReset", "requestPasswordReset, unknown"),
    ("authorize, and wrong", "authorize, and unknown"),
    ("device, and wrong", "device, and unknown"),
    ("device_authorization, command line", "device_authorization, unknown"),
)


@pytest.mark.parametrize(("known", "unknown"), ALIKE)
async def test_no_door_tells_who_is_there(shared: tuple[Victim, dict[str, Seen]], known: str, unknown: str) -> None:
    """An address with an account, or a workspace, and one without: told apart by nothing but what was sent."""
    victim, seen = shared

    def told(name: str) -> Seen:
        answer = (
            seen[name].answer.replace(victim.email, "nobody@canary.example").replace("workspace=other", "workspace=x")
        )
        return replace(seen[name], answer=answer)

    assert told(known) == told(unknown)


@pytest.mark.parametrize(("table", "write"), WRITES, ids=lambda each: getattr(each, "name", ""))
async def test_a_mutation_of_a_neighbour(shared: tuple[Victim, dict[str, Seen]], table: Table, write: Write) -> None:
    victim, before = shared
    world = victim.world
    async with world.undone():
        await prepare(world, table, write)
        await trust_the_same(world)
        claims = await world.become("admin")
        sent = taken(world, table, write, victim.email)
        body = await world.graph.execute(mutation(world, write), {"input": sent}, claims=claims)
        assert "errors" not in body, body
        assert body["data"][write.name]["errors"] == [], (sent, body)
        assert differences(before, await victim.seen()) == []


@pytest.mark.parametrize("name", OWN)
async def test_what_a_neighbour_does_with_an_account(shared: tuple[Victim, dict[str, Seen]], name: str) -> None:
    victim, before = shared
    async with victim.world.undone():
        await OWN[name](await move_in(victim))
        assert differences(before, await victim.seen()) == []
