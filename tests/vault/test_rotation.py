"""New keys over a real database: everything is encrypted anew while it is written to, stopped and gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Column, MetaData, Table, Text, Uuid

from crm_graph.cli.operating.keys import every_column
from crm_graph.db.pool import Database
from crm_graph.domains.customers.contacts.model import Contact
from crm_graph.kernel.errors import OperatorError, Refused
from crm_graph.kernel.ids import new_id
from crm_graph.vault import rotate as rotation
from crm_graph.vault.columns import ciphertexts, encrypted_columns, sealed
from crm_graph.vault.keys import version_of
from crm_graph.vault.master import MasterKeys
from crm_graph.vault.rotate import rewrap, rotate
from crm_graph.vault.rows import encrypted_values
from crm_graph.vault.status import key_status, wrappings
from crm_graph.vault.vault import Vault
from tests.support.database import clone

COLUMNS = every_column()
(MARK,) = encrypted_columns(Contact)
ROWS = 40


def master(*keys: str) -> MasterKeys:
    return MasterKeys.of({"CRM_MASTER_KEY": ",".join(keys or ("m" * 32,))}, [b"s" * 32])


def quiet(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


@pytest.fixture
async def database(postgres: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    assert database_url, "makes the template"
    monkeypatch.setattr(rotation, "BATCH_ROWS", 7)
    monkeypatch.setattr(rotation, "PAUSE_S", 0.02)
    database = await Database.open(await clone(postgres, f"rotation_{abs(hash(database_url)) % 10**6}"))
    yield database
    await database.close()


class Shop:
    """The contacts of one workspace, written and read as the operations write and read them."""

    def __init__(self, database: Database, vault: Vault, workspace_id: str, ids: list[str]) -> None:
        self.database, self.vault, self.workspace_id, self.ids = database, vault, workspace_id, ids

    @classmethod
    async def of(cls, database: Database, vault: Vault) -> Shop:
        """Take the demo's contacts and give each a number."""
        connection = await asyncpg.connect(database.url)
        rows = await connection.fetch(
            "SELECT workspace_id, id FROM contact WHERE workspace_id = (SELECT id FROM workspace WHERE slug = 'demo')"
            " ORDER BY id LIMIT $1",
            ROWS,
        )
        await connection.close()
        shop = cls(database, vault, rows[0][0].hex, [row[1].hex for row in rows])
        for number, id_ in enumerate(shop.ids):
            await shop.write(id_, f"number {number}")
        return shop

    async def write(self, id_: str, text: str, vault: Vault | None = None) -> None:
        """Set a contact's number under its lock, as a unit of work does."""
        async with self.database.transaction() as session:
            row = await session.connection.fetch(
                "SELECT national_id, national_id_blind FROM contact WHERE workspace_id = $1 AND id = $2 FOR UPDATE",
                self.workspace_id,
                id_,
            )
            values = await encrypted_values(
                vault or self.vault, session, self.workspace_id, id_, [MARK], dict(row[0]), {"national_id": text}
            )
            if values:
                await session.connection.fetch(
                    "UPDATE contact SET national_id = $3, national_id_blind = $4, version = version + 1"
                    " WHERE workspace_id = $1 AND id = $2",
                    self.workspace_id,
                    id_,
                    values["national_id"],
                    values["national_id_blind"],
                )

    async def stored(self) -> dict[str, Any]:
        """Return what is stored, by id."""
        rows = await self.database.primary_reader().connection.fetch(
            "SELECT id, national_id, national_id_blind, version, updated_at FROM contact"
            " WHERE workspace_id = $1 AND national_id IS NOT NULL",
            self.workspace_id,
        )
        return {row["id"]: row for row in rows}

    async def texts(self) -> dict[str, str]:
        """Return the numbers in clear, by id, as a process without any key at hand reads them."""
        fresh = Vault(self.vault.service, self.database)
        keys = await fresh.existing(self.database.primary_reader(), self.workspace_id)
        assert keys is not None
        found = {}
        for id_, row in (await self.stored()).items():
            text = keys.decrypt(row["national_id"], MARK.place(id_)).decode()
            assert row["national_id_blind"] in keys.blind(MARK.normal(text), MARK.name)
            found[id_] = text
        return found

    async def versions(self) -> set[int]:
        """Return the versions of keys that values are under."""
        return {version_of(row["national_id"]) for row in (await self.stored()).values()}

    async def events(self) -> int:
        """Return how many events there are."""
        rows = await self.database.primary_reader().connection.fetch("SELECT count(*) FROM event")
        return int(rows[0][0])


async def statuses(database: Database) -> list[tuple[str, int, bool, int]]:
    found = await key_status(database.primary_reader(), COLUMNS)
    return [(each.purpose, each.version, each.retired_at is not None, each.values) for each in found]


async def test_everything_is_under_the_new_key_and_says_the_same(database: Database) -> None:
    vault = Vault(master(), database, cache_ms=50)
    shop = await Shop.of(database, vault)
    before, texts, events = await shop.stored(), await shop.texts(), await shop.events()
    done = await rotate(vault, [shop.workspace_id], COLUMNS, quiet)
    assert (done[shop.workspace_id].version, done[shop.workspace_id].values) == (2, ROWS)
    assert await shop.texts() == texts
    assert await shop.versions() == {2}
    after = await shop.stored()
    for id_, row in before.items():
        assert after[id_]["national_id"] != row["national_id"]
        for name in ("national_id_blind", "version", "updated_at"):
            assert after[id_][name] == row[name], name
    assert await shop.events() == events
    assert await statuses(database) == [
        ("DATA", 1, True, 0),
        ("DATA", 2, False, ROWS),
        ("INDEX", 1, False, 0),
    ]


async def test_old_ciphertexts_still_open_for_the_log_and_backups(database: Database) -> None:
    vault = Vault(master(), database, cache_ms=0)
    shop = await Shop.of(database, vault)
    old = (await shop.stored())[shop.ids[0]]["national_id"]
    await rotate(vault, [shop.workspace_id], COLUMNS, quiet)
    keys = await vault.existing(database.primary_reader(), shop.workspace_id)
    assert keys is not None
    assert keys.decrypt(old, MARK.place(shop.ids[0])) == b"number 0"


async def test_the_index_gets_a_new_key_only_when_asked(database: Database) -> None:
    vault = Vault(master(), database, cache_ms=0)
    shop = await Shop.of(database, vault)
    texts = await shop.texts()
    await rotate(vault, [shop.workspace_id], COLUMNS, quiet, index=True)
    assert await shop.texts() == texts
    assert {row["national_id_blind"].partition(".")[0] for row in (await shop.stored()).values()} == {"b2"}
    assert await statuses(database) == [
        ("DATA", 1, True, 0),
        ("DATA", 2, False, ROWS),
        ("INDEX", 1, True, 0),
        ("INDEX", 2, False, 0),
    ]


async def test_writers_go_on_and_lose_nothing(database: Database) -> None:
    """Three processes, two of which know nothing of the new key at first, write while everything is encrypted anew."""
    vaults = [Vault(master(), database, cache_ms=100) for _ in range(3)]
    shop = await Shop.of(database, vaults[0])
    written = await shop.texts()
    stop = asyncio.Event()
    seen: set[int] = set()

    async def writer(vault: Vault, dice: Random, ids: list[str]) -> int:
        count = 0
        while not stop.is_set():
            id_, text = dice.choice(ids), f"written {dice.random()}"
            await shop.write(id_, text, vault)
            written[id_] = text
            count += 1
        return count

    async def watch() -> None:
        while not stop.is_set():
            seen.update(await shop.versions())
            await asyncio.sleep(0.005)

    writers = [asyncio.create_task(writer(vault, Random(at), shop.ids[at::3])) for at, vault in enumerate(vaults)]
    watching = asyncio.create_task(watch())
    operator = Vault(master(), database, cache_ms=100)
    first = await rotate(operator, [shop.workspace_id], COLUMNS, quiet)
    second = await rotate(operator, [shop.workspace_id], COLUMNS, quiet, index=True)
    stop.set()
    counts = await asyncio.gather(*writers)
    await watching
    assert min(counts) > 5
    assert {1, 2, 3} <= seen
    assert await shop.texts() == written
    assert (first[shop.workspace_id].left, second[shop.workspace_id].left) == (0, 0)
    assert await shop.versions() == {3}


async def test_an_interrupted_rotation_is_gone_on_with(database: Database) -> None:
    vault = Vault(master(), database, cache_ms=0)
    shop = await Shop.of(database, vault)
    texts = await shop.texts()

    calls = 0
    original = rotation._Rewriting._batch

    async def batch(self: Any, session: Any, after: str) -> str | None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ConnectionError("the machine went away")
        return await original(self, session, after)

    rotation._Rewriting._batch = batch  # type: ignore[method-assign]
    try:
        with pytest.raises(ConnectionError):
            await rotate(vault, [shop.workspace_id], COLUMNS, quiet)
    finally:
        rotation._Rewriting._batch = original  # type: ignore[method-assign]
    assert await shop.versions() == {1, 2}
    assert await shop.texts() == texts, "everything can be read in between"
    done = await rotate(vault, [shop.workspace_id], COLUMNS, quiet)
    assert (done[shop.workspace_id].version, done[shop.workspace_id].values) == (2, ROWS - 14)
    assert await shop.texts() == texts
    assert await shop.versions() == {2}


async def test_rows_that_are_locked_are_waited_for_by_nobody(database: Database) -> None:
    vault = Vault(master(), database, cache_ms=0)
    shop = await Shop.of(database, vault)
    async with asyncio.timeout(20), database.transaction() as session:
        await session.connection.fetch("SELECT 1 FROM contact WHERE id = $1 FOR UPDATE", shop.ids[3])
        done = await rotate(vault, [shop.workspace_id], COLUMNS, quiet)
        assert (done[shop.workspace_id].values, done[shop.workspace_id].left) == (ROWS - 1, 1)
    assert ("DATA", 1, False, 1) in await statuses(database)
    done = await rotate(vault, [shop.workspace_id], COLUMNS, quiet)
    assert (done[shop.workspace_id].version, done[shop.workspace_id].values) == (2, 1)
    assert ("DATA", 1, True, 0) in await statuses(database)


async def test_what_cannot_be_read_is_counted_and_left(database: Database) -> None:
    vault = Vault(master(), database, cache_ms=0)
    shop = await Shop.of(database, vault)
    connection = database.primary_reader().connection
    await connection.fetch(
        "UPDATE contact SET national_id = (SELECT national_id FROM contact WHERE id = $2) WHERE id = $1",
        shop.ids[0],
        shop.ids[1],
    )
    for version in (2, 3):
        done = await rotate(vault, [shop.workspace_id], COLUMNS, quiet)
        assert done[shop.workspace_id] == rotation.Rotated(version, ROWS - 1, 1, 0)


async def test_two_rotations_at_once_make_one_key(database: Database) -> None:
    vaults = [Vault(master(), database, cache_ms=50) for _ in range(4)]
    shop = await Shop.of(database, vaults[0])
    texts = await shop.texts()
    done = await asyncio.gather(*(rotate(vault, [shop.workspace_id], COLUMNS, quiet) for vault in vaults))
    assert {each[shop.workspace_id].version for each in done} == {2}
    assert sum(each[shop.workspace_id].values for each in done) == ROWS
    assert await shop.texts() == texts


async def test_a_workspace_without_keys_is_left_alone(database: Database) -> None:
    vault = Vault(master(), database, cache_ms=60_000)
    async with asyncio.timeout(5):
        assert await rotate(vault, [new_id()], COLUMNS, quiet) == {}


async def test_a_new_master_key_takes_the_old_ones_place(database: Database) -> None:
    old, new = "old master key of the tests 00000001", "new master key of the tests 00000002"
    vault = Vault(master(old), database, cache_ms=0)
    shop = await Shop.of(database, vault)
    await rotate(vault, [shop.workspace_id], COLUMNS, quiet)
    texts, stored = await shop.texts(), await shop.stored()
    both = Vault(master(new, old), database)
    assert [each.wrapped_by for each in await wrappings(database.primary_reader(), both.service)] == [master(old).name]
    assert await rewrap(both, shop.workspace_id) == 3
    assert await rewrap(both, shop.workspace_id) == 0
    shop.vault = Vault(master(new), database)
    assert await shop.texts() == texts
    assert await shop.stored() == stored, "no value was touched"
    with pytest.raises(OperatorError, match="CRM_MASTER_KEY"):
        await Vault(master(old), database).keys(database.primary_reader(), shop.workspace_id)
    with pytest.raises(OperatorError, match="CRM_MASTER_KEY"):
        await wrappings(database.primary_reader(), master(old))


async def test_a_master_key_that_is_not_there_changes_nothing(database: Database) -> None:
    vault = Vault(master(), database, cache_ms=0)
    shop = await Shop.of(database, vault)
    stored = await shop.stored()
    wrong = Vault(master("w" * 32), database, cache_ms=0)
    for attempt in (rewrap(wrong, shop.workspace_id), rotate(wrong, [shop.workspace_id], COLUMNS, quiet)):
        with pytest.raises(OperatorError, match="CRM_MASTER_KEY"):
            await attempt
    assert await shop.stored() == stored
    assert await statuses(database) == [("DATA", 1, False, ROWS), ("INDEX", 1, False, 0)]


@pytest.mark.parametrize("text", ["", "   ", "-- --", "x" * 101, "a\tb", "a\x7fb", "a\u200bb"], ids=ascii)
def test_a_mark_refuses_what_cannot_be_stored(text: str) -> None:
    with pytest.raises(Refused) as caught:
        MARK.check(text)
    assert (caught.value.code, caught.value.field) == ("INVALID", ("nationalId",))


def test_a_mark_says_what_counts_as_equal() -> None:
    assert MARK.normal(" 110105-1949 x") == MARK.normal("１１０１０５１９４９Ｘ") == "1101051949x"
    assert MARK.normal("STRASSE") == MARK.normal("straße")
    assert replace(MARK, ignoring="").normal("a-b") != replace(MARK, ignoring="").normal("ab")


async def test_sealed_secrets_get_the_new_key_too(database: Database) -> None:
    """A table as a slice would have it: keyed by its holder, its column marked with the purpose of its secrets."""
    metadata = MetaData()
    table = Table(
        "secret_of_the_test",
        metadata,
        Column("workspace_id", Uuid(as_uuid=False), primary_key=True),
        Column("member_id", Uuid(as_uuid=False), primary_key=True),
        Column("secret", Text, info=sealed("totp secret", "member_id")),
        Column("other", Text, info=sealed("of nobody's")),
    )
    vault, workspace_id = Vault(master(), database, cache_ms=0), new_id()
    holders = [new_id() for _ in range(20)]
    async with database.transaction() as session:
        await session.connection.fetch(
            "CREATE TABLE secret_of_the_test (workspace_id uuid, member_id uuid, secret text, other text)"
        )
        for holder in holders:
            secret = await vault.seal(session, workspace_id, "totp secret", holder.encode(), holder)
            other = await vault.seal(session, workspace_id, "of nobody's", b"same")
            insert = "INSERT INTO secret_of_the_test VALUES ($1, $2, $3, $4)"
            await session.connection.fetch(insert, workspace_id, holder, secret, other)
    done = await rotate(vault, [workspace_id], ciphertexts([table]), quiet)
    assert done[workspace_id] == rotation.Rotated(2, 40, 0, 0)
    fresh, reader = Vault(master(), database), database.primary_reader()
    rows = await reader.connection.fetch("SELECT member_id, secret, other FROM secret_of_the_test")
    assert len(rows) == len(holders)
    for row in rows:
        assert {version_of(row["secret"]), version_of(row["other"])} == {2}
        holder = row["member_id"]
        assert await fresh.open(reader, workspace_id, "totp secret", row["secret"], holder) == holder.encode()
        assert await fresh.open(reader, workspace_id, "of nobody's", row["other"]) == b"same"
