"""Refreshing twice: answers that get lost, tabs that come at once, and thieves who come late."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

import pytest

from crm_graph.domains.identity.accounts.enums import SignInMethod
from crm_graph.domains.identity.accounts.sessions import refresh_session, start_session
from crm_graph.domains.identity.accounts.spelling import REFRESH_TOKEN
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.errors import Unauthenticated
from tests.support.accounts import HOME, REFRESH, WHO, Accounts
from tests.support.database import savepoint

LEEWAY_S = 30


async def _refresh(accounts: Accounts, token: str) -> Any:
    return (await accounts.data(REFRESH, {"token": token}))["refreshSession"]


async def test_a_lost_answer_can_be_had_again(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    first = await accounts.sign_in()
    lost = await _refresh(accounts, first["refreshToken"])
    accounts.clock.turn(seconds=LEEWAY_S - 1)
    again = await _refresh(accounts, first["refreshToken"])
    assert again == lost, "the access token too, to the byte"
    assert await accounts.data(WHO, token=again["accessToken"])
    assert await accounts.value("SELECT generation FROM member_session") == 2
    later = await _refresh(accounts, again["refreshToken"])
    assert later["accessToken"] != again["accessToken"]


async def test_a_token_whose_successor_was_used_is_a_copy_however_soon(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    first = await accounts.sign_in()
    second = await _refresh(accounts, first["refreshToken"])
    third = await _refresh(accounts, second["refreshToken"])
    assert await accounts.code(REFRESH, {"token": first["refreshToken"]}) == "UNAUTHENTICATED"
    assert await accounts.code(REFRESH, {"token": third["refreshToken"]}) == "UNAUTHENTICATED"
    assert await accounts.events("RefreshTokenReused") == ["RefreshTokenReused"]


async def test_nothing_is_repeated_for_a_session_that_is_over(accounts: Accounts) -> None:
    _, member_id = await accounts.give_password("rep@example.com")
    first = await accounts.sign_in()
    second = await _refresh(accounts, first["refreshToken"])
    await accounts.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", member_id)
    assert await accounts.code(REFRESH, {"token": first["refreshToken"]}) == "UNAUTHENTICATED"
    await accounts.rows("UPDATE member SET status = 'ACTIVE' WHERE id = $1", member_id)
    out = "mutation ($token: String!) { signOut(input: {refreshToken: $token}) { errors { code } } }"
    await accounts.data(out, {"token": second["refreshToken"]})
    assert await accounts.code(REFRESH, {"token": first["refreshToken"]}) == "UNAUTHENTICATED"
    assert await accounts.events("RefreshTokenReused") == []


async def test_without_a_leeway_a_second_use_ends_the_session(database_url: str, schema: BuiltSchema) -> None:
    async with savepoint(database_url) as database:
        accounts = Accounts(schema, database, refresh_leeway_seconds=0)
        await accounts.give_password("rep@example.com")
        first = await accounts.sign_in()
        await _refresh(accounts, first["refreshToken"])
        assert await accounts.code(REFRESH, {"token": first["refreshToken"]}) == "UNAUTHENTICATED"
        assert await accounts.value("SELECT revoked_reason FROM member_session") == "REUSED"


@dataclass
class _World:
    """A session, and what must come of each token that is shown: said by a few numbers that know no database."""

    accounts: Accounts
    stored: str
    fresh_at: datetime
    """What the tabs of the owner share: the tokens, and when they came."""
    generation: int = 1
    rotated_at: datetime | None = None
    is_over: bool = False
    pairs: dict[int, tuple[str, str]] = field(default_factory=dict)
    """The one pair of each generation."""

    async def show(self, token: str) -> str | None:
        """Refresh with a token, and compare what comes with what must; return the next one, or None."""
        spelled = REFRESH_TOKEN.parse(token)
        assert spelled is not None
        number, now = spelled.number, self.accounts.clock()
        is_repeated = (
            number == self.generation - 1
            and self.rotated_at is not None
            and (now - self.rotated_at).total_seconds() < LEEWAY_S
        )
        try:
            pair = await refresh_session(self.accounts.services, token, HOME)
        except Unauthenticated:
            assert self.is_over or (number < self.generation and not is_repeated)
            self.is_over = True
            return None
        assert not self.is_over, "a session that has ended does not begin again"
        assert number == self.generation or is_repeated
        if number == self.generation:
            self.generation, self.rotated_at = number + 1, now
        made = (pair.access_token, pair.refresh_token)
        assert self.pairs.setdefault(self.generation, made) == made, "there is one line of tokens"
        return pair.refresh_token


@dataclass
class _Tab:
    """A tab that refreshes when its access token is old, and sends again what had no answer."""

    world: _World
    sent: str | None = None

    async def act(self, *, lost: bool) -> None:
        now = self.world.accounts.clock()
        if self.sent is None and (now - self.world.fresh_at).total_seconds() < 300:
            return
        self.sent = self.sent or self.world.stored
        answer = await self.world.show(self.sent)
        if answer is not None and not lost:
            self.sent = None
            self.world.stored, self.world.fresh_at = answer, now


async def _world(accounts: Accounts) -> _World:
    workspace_id, member_id = await accounts.member("rep@example.com")
    async with accounts.database.transaction() as session:
        await session.connection.fetch("DELETE FROM member_session")
        pair = await start_session(
            accounts.services, session, workspace_id, member_id, method=SignInMethod.PASSWORD, origin=HOME
        )
    return _World(accounts, pair.refresh_token, accounts.clock())


async def _pass_time(accounts: Accounts, tabs: list[_Tab], random: Random) -> None:
    """Turn the clock on; a tab that waits for an answer asks again before its patience, shorter than ours, ends."""
    waiting = [tab for tab in tabs if tab.sent is not None]
    if waiting and random.random() < 0.5:
        accounts.clock.turn(seconds=random.choice([1, 5, 9]))
    for tab in waiting:
        await tab.act(lost=False)
    if not any(tab.sent for tab in tabs):
        accounts.clock.turn(seconds=random.choice([1, 29, 31, 290, 301, 3_000]))


@pytest.mark.parametrize("seed", range(12))
async def test_tabs_whose_answers_get_lost_are_never_signed_out(accounts: Accounts, seed: int) -> None:
    random = Random(seed)
    world = await _world(accounts)
    tabs = [_Tab(world) for _ in range(random.randint(1, 4))]
    for _ in range(60):
        for tab in random.sample(tabs, len(tabs)):
            await tab.act(lost=random.random() < 0.4)
        await _pass_time(accounts, tabs, random)
        assert not world.is_over
    assert world.generation > 5
    assert await accounts.events("RefreshTokenReused") == []


@pytest.mark.parametrize("seed", range(12))
async def test_a_thief_shares_one_line_until_somebody_comes_late(accounts: Accounts, seed: int) -> None:
    random = Random(1_000 + seed)
    world = await _world(accounts)
    tabs = [_Tab(world) for _ in range(random.randint(1, 3))]
    stolen = world.stored
    for step in range(200):
        if world.is_over:
            break
        for tab in random.sample(tabs, len(tabs)):
            await tab.act(lost=random.random() < 0.2)
        if step % 5 == 4:
            stolen = await world.show(stolen) or stolen
        await _pass_time(accounts, tabs, random)
    assert world.is_over, "owner and thief cannot go on beside each other"
    assert await accounts.events("RefreshTokenReused") == ["RefreshTokenReused"]
    assert await accounts.value("SELECT revoked_reason FROM member_session") == "REUSED"
