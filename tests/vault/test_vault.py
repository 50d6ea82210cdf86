"""The vault over a real database: keys made once under concurrency, kept for a while, and secrets that cannot move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest

from crm_graph.db.pool import Database
from crm_graph.kernel.errors import OperatorError, Unreadable
from crm_graph.kernel.ids import new_id
from crm_graph.vault.keys import Place
from crm_graph.vault.master import MasterKeys
from crm_graph.vault.vault import Vault
from tests.support.database import clone

HERE = Place("contact.national_id", "c" * 32)


@pytest.fixture(scope="module")
async def url(postgres: str, database_url: str) -> str:
    assert database_url, "makes the template"
    return await clone(postgres, f"vault_{abs(hash(database_url)) % 10**6}")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url)
    yield database
    await database.close()


def master(key: str = "m" * 32) -> MasterKeys:
    return MasterKeys.of({"CRM_MASTER_KEY": key}, [b"s" * 32])


async def count(url: str, workspace_id: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(
            await connection.fetchval("SELECT count(*) FROM workspace_key WHERE workspace_id = $1", workspace_id)
        )
    finally:
        await connection.close()


async def test_keys_are_made_once_however_many_ask(url: str, database: Database) -> None:
    """Eight processes with ten requests each, all at the same time, in transactions of their own."""
    vaults = [Vault(master(), database) for _ in range(8)]
    workspace_id = new_id()

    async def ask(vault: Vault) -> str:
        async with database.transaction() as session:
            return (await vault.keys(session, workspace_id)).encrypt(b"value", HERE)

    texts = await asyncio.gather(*(ask(vault) for vault in vaults for _ in range(10)))
    assert await count(url, workspace_id) == 2
    keys = await vaults[0].keys(database.primary_reader(), workspace_id)
    assert {keys.decrypt(text, HERE) for text in texts} == {b"value"}


async def test_keys_outlive_the_transaction_that_needed_them(url: str, database: Database) -> None:
    vault, workspace_id, texts = Vault(master(), database), new_id(), []

    async def fail() -> None:
        async with database.transaction() as session:
            texts.append(await vault.seal(session, workspace_id, "secret", b"value"))
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError, match="rolled back"):
        await fail()
    assert await count(url, workspace_id) == 2
    assert await Vault(master(), database).open(database.primary_reader(), workspace_id, "secret", texts[0]) == b"value"


async def test_keys_at_hand_cost_no_statement(database: Database) -> None:
    vault, workspace_id, session = Vault(master(), database), new_id(), database.primary_reader()
    await vault.seal(session, workspace_id, "secret", b"value")

    class Refusing:
        async def fetch(self, query: str, *_: object) -> list[asyncpg.Record]:
            raise AssertionError(query)

    session.connection = Refusing()
    text = await vault.seal(session, workspace_id, "secret", b"value")
    assert await vault.open(session, workspace_id, "secret", text) == b"value"


async def test_a_newer_version_is_read_when_it_is_met(database: Database) -> None:
    mine, others, workspace_id = Vault(master(), database), Vault(master(), database), new_id()
    session = database.primary_reader()
    await mine.keys(session, workspace_id)
    async with database.transaction() as writing:
        await others.add_key(writing, workspace_id, "DATA", 2)
    text = await others.seal(session, workspace_id, "secret", b"value")
    assert text.startswith("e1.2.")
    assert (await mine.keys(session, workspace_id)).current == 1, "not read yet"
    assert await mine.open(session, workspace_id, "secret", text) == b"value"
    assert (await mine.keys(session, workspace_id)).current == 2


async def test_keys_are_read_again_after_a_while(database: Database) -> None:
    impatient, workspace_id = Vault(master(), database, cache_ms=0), new_id()
    session = database.primary_reader()
    text = await impatient.seal(session, workspace_id, "secret", b"value")
    async with database.transaction() as writing:
        await impatient.add_key(writing, workspace_id, "DATA", 2)
    assert (await impatient.keys(session, workspace_id)).current == 2
    assert await impatient.open(session, workspace_id, "secret", text) == b"value"


async def test_deleted_keys_make_everything_unreadable(database: Database) -> None:
    vault, workspace_id, session = Vault(master(), database), new_id(), database.primary_reader()
    text = await vault.seal(session, workspace_id, "secret", b"value")
    connection = await asyncpg.connect(database.url)
    await connection.execute("DELETE FROM workspace_key WHERE workspace_id = $1", workspace_id)
    await connection.close()
    vault.forget(workspace_id)
    with pytest.raises(Unreadable):
        await vault.open(session, workspace_id, "secret", text)
    assert await vault.existing(session, workspace_id) is None


async def test_a_secret_opens_for_its_purpose_holder_and_workspace_only(database: Database) -> None:
    vault, session = Vault(master(), database), database.primary_reader()
    one, other = new_id(), new_id()
    text = await vault.seal(session, one, "totp secret", b"value", "ann")
    await vault.seal(session, other, "totp secret", b"value", "ann")
    assert await vault.open(session, one, "totp secret", text, "ann") == b"value"
    for workspace_id, purpose, holder in (
        (other, "totp secret", "ann"),
        (one, "client secret", "ann"),
        (one, "totp secret", "bob"),
        (one, "totp secret", ""),
    ):
        with pytest.raises(Unreadable):
            await vault.open(session, workspace_id, purpose, text, holder)


async def test_a_wrong_master_key_is_the_operators_error(database: Database) -> None:
    workspace_id, session = new_id(), database.primary_reader()
    text = await Vault(master(), database).seal(session, workspace_id, "secret", b"value")
    with pytest.raises(OperatorError, match="CRM_MASTER_KEY"):
        await Vault(master("n" * 32), database).open(session, workspace_id, "secret", text)


async def test_what_is_kept_is_bounded(database: Database) -> None:
    vault, session = Vault(master(), database, max_workspaces=2), database.primary_reader()
    ids = [new_id() for _ in range(3)]
    for workspace_id in ids:
        await vault.keys(session, workspace_id)
    assert list(vault._kept) == ids[1:]


class FakeKms:
    """A key service as a KMS is one: it keeps its key, answers with tickets, and can be away."""

    def __init__(self) -> None:
        self.kept: dict[bytes, tuple[bytes, Mapping[str, str]]] = {}
        self.calls = 0
        self.away = False

    name = "kms:test"

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """See `KeyService`."""
        ticket = f"ticket {len(self.kept)}".encode()
        self.kept[ticket] = key, dict(context)
        return ticket

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See `KeyService`."""
        self.calls += 1
        if self.away:
            raise OperatorError("the key service does not answer", "start it")
        key, given = self.kept[wrapped]
        assert given == context
        return key


async def test_another_key_service_is_asked_once_per_key(url: str, database: Database) -> None:
    service, workspace_id, session = FakeKms(), new_id(), database.primary_reader()
    vault = Vault(service, database, cache_ms=0)
    text = await vault.seal(session, workspace_id, "secret", b"value")
    for _ in range(5):
        assert await vault.open(session, workspace_id, "secret", text) == b"value"
    assert service.calls == 2, "one data key, one index key, however often they are read again"
    connection = await asyncpg.connect(url)
    found = await connection.fetch(
        "SELECT DISTINCT wrapped_by FROM workspace_key WHERE workspace_id = $1", workspace_id
    )
    await connection.close()
    assert [row[0] for row in found] == ["kms:test"]
    service.away = True
    with pytest.raises(OperatorError, match="does not answer"):
        await Vault(service, database).open(session, workspace_id, "secret", text)
