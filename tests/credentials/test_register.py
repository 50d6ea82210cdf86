"""The register of credentials says what happens: every kind is made by its real way, every event caused by its real
mutation, and what is alive and what is dead afterwards is what the table says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from crm_graph.api.webhooks.fanout import FanOut
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.register import REGISTER, Ending
from tests.credentials.world import NEW_PASSWORD, World, build, running_world
from tests.support.accounts import PASSWORD
from tests.support.database import clone
from tests.support.issuers import liar

WITH_FACTOR = {Ending.SECOND_FACTOR_REMOVED, Ending.SECOND_FACTOR_TAKEN}
ELSEWHERE = {
    "job": "tests/credentials/test_links.py",
    "invitation": "tests/credentials/test_links.py: it is of somebody who has nothing else",
    "stream": "tests/credentials/test_links.py: it is asked what every request of its credential is asked",
    "form token": "no credential; tests/api/oauth/test_sign_in.py",
    "ID token": "no credential; tests/api/oauth/test_code.py",
}
"""Kinds that another test is about."""


async def _change_password(world: World) -> None:
    given = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    await world.do("changePassword", given, by=world.current)


async def _reset_password(world: World) -> None:
    link = await world.new_link()
    await world.do("resetPassword", {"token": link, "password": NEW_PASSWORD})


async def _remove_factor(world: World) -> None:
    given = {"password": PASSWORD, "code": world.recovery.pop()}
    await world.do("disableSecondFactor", given, by=world.current)


async def _suspend(world: World) -> None:
    for name in ("suspendMember", "reactivateMember"):
        await world.do(name, {"id": f"mem_{world.member}"})


async def _revoke(world: World) -> None:
    """Revoke one by one what others come from, and none of what came from it."""
    listed = "{ viewer { sessions { sessionId current clientName } } }"
    sessions = (await world.ask(listed, token=world.current))["viewer"]["sessions"]
    revoked = [each for each in sessions if not each["current"] and each["clientName"] is None]
    assert len(revoked) >= 3
    for each in revoked:
        await world.do("revokeSession", {"id": each["sessionId"]}, by=world.current)


async def _revoke_others(world: World) -> None:
    await world.ask("mutation { revokeOtherSessions { revoked errors { code } } }", token=world.current)


async def _sign_out(world: World) -> None:
    page = await world.browser.get("/oauth/sign-out")
    assert "signed out here" in (await world.submit(page)).text


async def _change_client(world: World) -> None:
    await world.do("updateApiClient", {"id": world.client, "kind": "PUBLIC"})
    del world.client_fields["client_secret"]


CAUSES: dict[Ending, Callable[[World], Awaitable[object]]] = {
    Ending.PASSWORD_CHANGED: _change_password,
    Ending.PASSWORD_RESET: _reset_password,
    Ending.SECOND_FACTOR_SET: lambda world: world.enrol(world.current),
    Ending.SECOND_FACTOR_REMOVED: _remove_factor,
    Ending.SECOND_FACTOR_TAKEN: lambda world: world.do(
        "removeSecondFactorOfMember", {"memberId": f"mem_{world.member}"}
    ),
    Ending.SUSPENDED: _suspend,
    Ending.ROLES_TAKEN: lambda world: world.do("setMemberRoles", {"id": f"mem_{world.member}", "roles": ["sales_rep"]}),
    Ending.REVOKED: _revoke,
    Ending.OTHERS_REVOKED: _revoke_others,
    Ending.ALL_REVOKED: lambda world: world.do("revokeSessionsOfMember", {"memberId": f"mem_{world.member}"}),
    Ending.SIGNED_OUT: _sign_out,
    Ending.APP_REVOKED: lambda world: world.do("revokeAuthorizedApp", {"clientId": world.client}, by=world.current),
    Ending.KEY_REVOKED: lambda world: world.do("revokeApiKey", {"id": world.key}),
    Ending.CLIENT_CHANGED: _change_client,
    Ending.CLIENT_DELETED: lambda world: world.do("deleteApiClient", {"id": world.client}),
    Ending.IDENTITY_UNLINKED: lambda world: world.do("unlinkMemberIdentity", {"id": world.identity}),
    Ending.PROVIDER_DISABLED: lambda world: world.do(
        "updateIdentityProvider", {"id": world.provider, "enabled": False}
    ),
    Ending.PROVIDER_DELETED: lambda world: world.do("deleteIdentityProvider", {"id": world.provider}),
}


async def _session_lives(world: World, kind: str) -> bool:
    """Return whether a session lives: its access token and its refresh token say the same."""
    lives = await world.works(world.tokens[kind])
    if kind == "own session":
        source = "mutation ($t: String!) { refreshSession(input: {refreshToken: $t}) { accessToken } }"
        body = (await world.post(source, {"t": world.refresh[kind]})).json()
        refreshed = "errors" not in body
    else:
        answer = await world.form("token", grant_type="refresh_token", refresh_token=world.refresh[kind])
        refreshed = answer.status_code == 200
    assert refreshed is lives, kind
    return lives


async def _endpoint_lives(world: World) -> bool:
    """Return whether an endpoint is told things, after the deliverer has looked at it."""
    for _ in range(3):  # the one that runs beside us may have it just now
        await FanOut(world.engine).take(world.workspace, world.endpoint)
        await asyncio.sleep(0.05)
    row = "SELECT status, status_reason FROM webhook_endpoint WHERE id = $1"
    ((status, reason),) = await world.rows(row, world.endpoint)
    assert (status, reason is None) in {("ACTIVE", True), ("PAUSED", False)}
    return bool(status == "ACTIVE")


async def _alive(world: World, kind: str) -> bool:
    """Return whether a credential does what it is for."""
    credential = "SELECT totp_secret IS NOT NULL FROM credential WHERE member_id = $1"
    if kind in world.refresh:
        return await _session_lives(world, kind)
    if kind in world.tokens:
        return await world.works(world.tokens[kind])
    if kind == "browser sign-in":
        return await world.is_signed_in()
    if kind == "authorization code":
        return (await world.redeem(world.code)).status_code == 200
    if kind == "device answer":
        return (await world.poll(world.device_code)).status_code == 200
    if kind == "consent":
        return bool(await world.value("SELECT count(*) FROM consent WHERE member_id = $1", world.member))
    if kind == "reset link":
        return await world.has_link()
    if kind == "password":
        hashed = await world.value("SELECT password_hash FROM credential WHERE member_id = $1", world.member)
        return await world.services.passwords.verify(hashed, PASSWORD)
    if kind == "second factor":
        return bool(await world.value(credential, world.member))
    if kind == "recovery code":
        return bool(await world.value("SELECT count(*) FROM recovery_code WHERE member_id = $1", world.member))
    assert kind == "webhook endpoint", kind
    return await _endpoint_lives(world)


def _kinds(*, with_factor: bool) -> list[str]:
    factor = {"second factor", "recovery code"}
    return [each.name for each in REGISTER if each.name not in ELSEWHERE and (with_factor or each.name not in factor)]


@pytest.mark.parametrize("ending", Ending, ids=lambda each: each.name)
@pytest.mark.usefixtures("database_url")
async def test_what_an_event_ends(postgres: str, schema: BuiltSchema, ending: Ending) -> None:
    """One installation for each event, with all kinds in it."""
    name = f"register_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with_factor = ending in WITH_FACTOR
    async with liar() as issuer, running_world(schema, await clone(postgres, name), issuer) as world:
        await build(world, with_factor=with_factor)
        kinds = _kinds(with_factor=with_factor)
        for kind in kinds:
            if kind in world.tokens:
                assert await world.works(world.tokens[kind]), f"{kind} works before"
        assert await world.is_signed_in()
        await CAUSES[ending](world)
        found = {kind: await _alive(world, kind) for kind in kinds}
    wanted = {each.name: ending not in each.ends for each in REGISTER if each.name in kinds}
    assert found == wanted


def test_the_table_is_whole() -> None:
    assert set(CAUSES) == set(Ending)
    assert len({each.name for each in REGISTER}) == len(REGISTER)
    for each in REGISTER:
        assert each.came_from, each.name
        assert each.kept, each.name
        assert each.lives, each.name
        assert not each.ends & set(each.outlives), f"{each.name} ends, and does not"
        assert all(each.outlives.values()), each.name
