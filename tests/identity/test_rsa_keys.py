"""The RSA keys of ID tokens: agreed on by processes, turned by the calendar, sealed, and of use to other libraries."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import jwt as pyjwt
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from crm_graph.db.pool import Database
from crm_graph.identity.rsa_keys import RsaKeys
from crm_graph.identity.tokens import TokenAuthority
from crm_graph.kernel.errors import OperatorError
from tests.support.accounts import Clock
from tests.support.database import clone
from tests.support.services import SECRET, make_services

DAYS = 30
CLAIMS = {"sub": "x", "aud": "app"}


@pytest.fixture
async def database(postgres: str, database_url: str) -> AsyncIterator[Database]:
    """A database of its own: its keys are committed."""
    del database_url  # makes the template
    made = await Database.open(await clone(postgres, f"keys_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"))
    yield made
    await made.close()


async def _rows(database: Database) -> list[Any]:
    async with database.transaction() as session:
        return await session.connection.fetch("SELECT * FROM signing_key ORDER BY period, secret_id")


async def _public(keys: RsaKeys) -> KeySet:
    return KeySet.import_key_set({"keys": await keys.public()})


async def test_processes_that_start_at_once_agree(database: Database) -> None:
    clock = Clock()
    processes = [RsaKeys(database, [SECRET], DAYS, clock) for _ in range(4)]
    await asyncio.gather(*(each.turn() for each in processes))
    assert len(await _rows(database)) == 2, "of this period, and of the next one"
    sets = [await each.public() for each in processes]
    assert all(each == sets[0] for each in sets)
    token = processes[0].sign(CLAIMS, "JWT")
    assert jwt.decode(token, await _public(processes[1]), algorithms=["RS256"]).claims == CLAIMS


async def test_keys_turn_with_the_calendar(database: Database) -> None:
    clock = Clock()
    keys = RsaKeys(database, [SECRET], DAYS, clock)
    before = await _public(keys)
    old = keys.sign(CLAIMS, "JWT")
    clock.turn(days=DAYS)
    after = await _public(keys)
    new = keys.sign(CLAIMS, "JWT")
    assert jwt.decode(new, before, algorithms=["RS256"]).claims == CLAIMS, "it was published a period before it signs"
    assert jwt.decode(old, after, algorithms=["RS256"]).claims == CLAIMS
    assert pyjwt.get_unverified_header(old)["kid"] != pyjwt.get_unverified_header(new)["kid"]
    clock.turn(days=2 * DAYS)
    await keys.turn()
    assert keys.verify(old) is None
    periods = [row["period"] for row in await _rows(database)]
    assert periods == list(range(periods[0], periods[0] + 3)), "the one before, this one, the next one: no older ones"


async def test_keys_belong_to_their_secret(database: Database) -> None:
    """Whoever replaces a secret that leaked replaces the keys sealed under it; one that is kept is accepted."""
    clock, other = Clock(), b"o" * 32
    old = RsaKeys(database, [SECRET], DAYS, clock)
    await old.turn()
    token = old.sign(CLAIMS, "JWT")
    rotated, replaced = RsaKeys(database, [other, SECRET], DAYS, clock), RsaKeys(database, [other], DAYS, clock)
    await rotated.turn()
    await replaced.turn()
    assert rotated.verify(token) == CLAIMS
    assert replaced.verify(token) is None
    assert rotated.verify(replaced.sign(CLAIMS, "JWT")) == CLAIMS
    assert len(await rotated.public()) == 4


async def test_the_database_holds_no_key_in_clear(database: Database) -> None:
    clock = Clock()
    await RsaKeys(database, [SECRET], DAYS, clock).turn()
    rows = await _rows(database)
    texts = [str(value) for row in rows for value in row]
    assert not any("PRIVATE" in text or text.startswith("MII") for text in texts)  # PEM, and base64 of DER
    async with database.transaction() as session:  # a row of another period does not open in this one's place
        await session.connection.fetch(
            "UPDATE signing_key SET sealed = (SELECT sealed FROM signing_key AS other ORDER BY period DESC LIMIT 1)"
        )
    with pytest.raises(OperatorError, match="signing_key"):
        await RsaKeys(database, [SECRET], DAYS, clock).turn()


async def test_pyjwt_takes_the_keys_of_both_kinds(database: Database) -> None:
    """Over what `/oauth/jwks` serves; `tests/clients/test_openid.py` has PyJWT's own client fetch it."""
    services = make_services(TokenAuthority([SECRET], "crm-graph", "crm-graph"), database)
    served = await services.jwks()
    known = pyjwt.PyJWKSet.from_dict(served)
    for token, algorithm in (
        (services.sign_id_token(CLAIMS), "RS256"),
        (services.authority.sign(CLAIMS, "at+jwt"), "EdDSA"),
    ):
        key = known[pyjwt.get_unverified_header(token)["kid"]]
        assert pyjwt.decode(token, key, algorithms=[algorithm], audience="app") == CLAIMS
        with pytest.raises(pyjwt.InvalidSignatureError):
            pyjwt.decode(token[:-8] + "AAAAAAAA", key, algorithms=[algorithm], audience="app")
    assert len(known.keys) == len(served["keys"])
