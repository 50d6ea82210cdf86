"""Erasing a person: nothing that an installation stores says who they were, and the audit trail still verifies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.app import running_engine
from crm_graph.cli.operating.archiving import export_events
from crm_graph.cli.operating.projecting import rebuild_history
from crm_graph.cli.place import Place
from crm_graph.db.history import versions_of
from crm_graph.db.personal import ERASED, personal_columns
from crm_graph.db.session import ReadSession
from crm_graph.domains.platform.audit.chain import seal_keys
from crm_graph.domains.platform.audit.verify import verify
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.identity.secrets import load_secrets
from crm_graph.kernel.settings import Settings
from tests.domains.platform.test_audit_entries import Office
from tests.support.database import clone
from tests.support.trail import connect

MARK = "Zebulon"
"""Stands in every personal value of a person of these tests, and nowhere else."""
CONTACT = {
    "name": f"{MARK} Quince",
    "title": f"{MARK} of state",
    "email": f"{MARK}@example.com",
    "phone": f"+1 555 {MARK}",
    "nationalId": f"{MARK}123",
    "externalId": f"ERP-{MARK}",
}
CUSTOMER = {
    "name": f"{MARK} Quince",
    "email": f"{MARK}@example.com",
    "phone": f"+1 555 {MARK}",
    "website": f"https://{MARK.lower()}.example.com",
    "externalId": f"CRM-{MARK}",
}
_COLUMNS = """
    SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relname AS plain, a.attname AS of, t.typname AS type
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind IN ('r', 'p', 'm')
        AND a.attnum > 0 AND NOT a.attisdropped
"""


class Registry(Office):
    """An office whose persons may be erased."""

    async def must(self, source: str, variables: dict[str, Any] | None = None, key: str | None = None) -> Any:
        """Execute an operation that must succeed, under a key where that is given; return its data."""
        claims = await self.claims("admin")
        request = GraphQLRequest(source, None, variables or {}, idempotency_key=key)
        operation = await self.engine.admission.operation(request, claims)
        body = (await self.engine.execute(request, operation, claims)).body
        assert "errors" not in body, body["errors"]
        return body["data"]

    async def write(self, field: str, type_: str, input_: dict[str, Any], key: str | None = None) -> Any:
        """Execute a mutation of one record, whose input type is named after it, and return the record."""
        what = field[0].upper() + field[1:]
        source = (
            f"mutation ($input: {what}Input!) {{ {field}(input: $input)"
            f" {{ {type_} {{ id name email version }} errors {{ code message }} }} }}"
        )
        payload = (await self.must(source, {"input": input_}, key))[field]
        assert payload["errors"] == [], payload
        return payload[type_]

    async def holding(self, text: str) -> list[str]:
        """Return the columns of all tables of the database in which a text stands, in any case: also in bytes, which
        may be of JSON."""
        found = []
        for row in await self.connection.fetch(_COLUMNS):
            of = f'"{row["of"]}"'
            read = f"encode({of}, 'escape')" if row["type"] == "bytea" else f"{of}::text"
            count = await self.connection.fetchval(
                f"SELECT count(*) FROM {row['name']} WHERE position(lower($1) IN lower({read})) > 0", text
            )
            if count:
                found.append(f"{row['plain']}.{row['of']}")
        return sorted(found)

    async def projected(self) -> None:
        """Wait until all that happened is in the history."""
        async with asyncio.timeout(60):
            while await self.connection.fetchval(  # noqa: ASYNC110 - polls what the projector does
                "SELECT EXISTS (SELECT 1 FROM event, history_position AS at WHERE (event.xid, event.seq) >"
                " (at.xid::text::xid8, at.seq))"
            ):
                await asyncio.sleep(0.02)

    async def verified(self) -> None:
        """Check the audit trail of the workspace."""
        await self.sealed()
        claims = await self.claims("admin")
        keys = seal_keys(await load_secrets(ReadSession(self.connection), {}))
        async with self.connection.transaction(isolation="repeatable_read"):
            done = await verify(self.connection, keys, claims.workspace_id)
        assert done.pending == 0


@pytest.fixture(scope="module")
async def office(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Registry]:
    assert database_url, "makes the template"
    url = await clone(postgres, f"persons_{abs(hash(database_url)) % 10**6}")
    connection = await connect(url)
    secrets = await load_secrets(ReadSession(connection), {})
    settings = Settings(audit_poll_ms=10, history_poll_ms=10, history_wait_ms=30_000, event_retention_days=0)
    async with running_engine(Installation(url, secrets), settings, schema) as engine:
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT count(*) < 5 FROM history_type"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield Registry(engine, connection, url)
    await connection.close()


async def test_a_contact_is_erased_wherever_the_database_has_them(office: Registry) -> None:
    company = await office.write("createCustomer", "customer", {"name": "Acme"})
    made = await office.write("createContact", "contact", {"customerId": company["id"], **CONTACT}, key="made")
    changed = {"id": made["id"], "name": f"{MARK} Pear", "phone": f"+44 {MARK}"}
    await office.write("updateContact", "contact", changed)
    before = await office.holding(MARK)
    assert {"contact.name", "contact.email"} <= {*before}
    assert not [each for each in before if each.startswith("event.")], "the log has them under a key"
    erased = await office.write("eraseContact", "contact", {"id": made["id"]})
    assert (erased["name"], erased["email"], erased["version"]) == (None, None, 3)
    assert await office.holding(MARK) == []
    assert (
        await office.connection.fetchval("SELECT count(*) FROM person_key WHERE subject_id = $1", made["id"][4:]) == 0
    )
    told = await office.connection.fetch(
        "SELECT type, changes, personal FROM event WHERE entity_id = $1 ORDER BY seq", made["id"][4:]
    )
    assert [each["type"] for each in told] == ["ContactCreated", "ContactUpdated", "ContactErased"]
    assert told[1]["changes"] == {"name": [None, None], "phone": [None, None]}
    assert [each["personal"] is None for each in told] == [False, False, True]
    await office.verified()


async def test_a_person_is_erased_from_versions_files_and_archives(office: Registry, tmp_path: Any) -> None:
    made = await office.write("createCustomer", "customer", {"kind": "PERSON", "city": "Kiel", **CUSTOMER})
    await office.write("updateCustomer", "customer", {"id": made["id"], "name": f"{MARK} Pear"})
    await office.projected()
    source = 'mutation { exportRecords(input: {type: "Customer", format: CSV}) { job { id } errors { message } } }'
    job = (await office.must(source))["exportRecords"]["job"]["id"]
    async with asyncio.timeout(60):
        while await office.connection.fetchval("SELECT status <> 'DONE' FROM job WHERE id = $1", job[4:]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert {"customer.name", "customer_version.name", "job_part.content"} <= {*await office.holding(MARK)}
    await office.write("eraseCustomer", "customer", {"id": made["id"]})
    assert await office.holding(MARK) == []
    await office.projected()
    assert await office.holding(MARK) == []
    rows = await office.connection.fetch("SELECT name, city FROM customer_version WHERE id = $1", made["id"][4:])
    assert [tuple(row) for row in rows] == [(ERASED, "Kiel")] * 3
    archive = tmp_path / "events.ndjson"
    await office.sealed()
    await export_events(Place(None, office.url), archive, datetime.now(UTC) + timedelta(days=1), None)
    assert MARK.encode() not in archive.read_bytes()
    await rebuild_history(Place(None, office.url), "Customer", (archive,))
    assert await office.holding(MARK) == []
    await office.verified()


async def test_what_is_written_of_them_later_is_under_another_key(office: Registry) -> None:
    made = await office.write("createCustomer", "customer", {"kind": "PERSON", **CUSTOMER})
    await office.write("eraseCustomer", "customer", {"id": made["id"]})
    await office.write("updateCustomer", "customer", {"id": made["id"], "name": f"{MARK} Again"})
    await office.projected()
    assert "customer_version.name" in await office.holding(MARK), "the projector reads it under the new key"
    await office.write("eraseCustomer", "customer", {"id": made["id"]})
    await office.projected()
    assert await office.holding(MARK) == []


async def test_a_person_in_the_bin_is_erased_and_purged(office: Registry) -> None:
    made = await office.write("createCustomer", "customer", {"kind": "PERSON", **CUSTOMER})
    source = "mutation ($input: DeleteCustomerInput!) { deleteCustomer(input: $input) { errors { message } } }"
    assert (await office.must(source, {"input": {"id": made["id"]}}))["deleteCustomer"]["errors"] == []
    assert "customer.name" in await office.holding(MARK)
    source = "mutation ($input: EraseCustomerInput!) { eraseCustomer(input: $input) { errors { message } } }"
    assert (await office.must(source, {"input": {"id": made["id"]}}))["eraseCustomer"]["errors"] == []
    await office.projected()
    assert await office.holding(MARK) == []


async def test_a_company_is_no_person(office: Registry) -> None:
    made = await office.write("createCustomer", "customer", {"name": "Acme"})
    source = "mutation ($input: EraseCustomerInput!) { eraseCustomer(input: $input) { errors { code message } } }"
    (error,) = (await office.must(source, {"input": {"id": made["id"]}}))["eraseCustomer"]["errors"]
    assert error == {"code": "ILLEGAL_TRANSITION", "message": "This customer is no person: nobody is erased."}


async def test_the_feed_from_before_shows_them_as_they_are_now(office: Registry) -> None:
    source = """query ($after: Cursor) { changes(after: $after) { cursor
        nodes { event changedFields node { ... on Contact { name email nationalId } } } } }"""
    made = await office.write("createCustomer", "customer", {"name": "Acme"})
    contact = await office.write("createContact", "contact", {"customerId": made["id"], **CONTACT})
    after = (await office.must(source))["changes"]["cursor"]
    await office.write("updateContact", "contact", {"id": contact["id"], "name": f"{MARK} Pear"})
    await office.write("eraseContact", "contact", {"id": contact["id"]})
    nodes = (await office.must(source, {"after": after}))["changes"]["nodes"]
    nobody = {"name": None, "email": None, "nationalId": None}
    assert [(each["event"], each["node"]) for each in nodes] == [("ContactUpdated", nobody), ("ContactErased", nobody)]
    assert nodes[0]["changedFields"] == ["name"], "that it changed is no secret; what it was is"


def test_all_personal_columns_are_in_these_tests(schema: BuiltSchema) -> None:
    """And what a client cannot send of them derives from what it can."""
    sent = {"Contact": CONTACT, "Customer": CUSTOMER}
    for record in schema.registry.records.values():
        names = personal_columns(record.table)
        fields = {record.columns[key].field for key in record.columns if record.columns[key].column in names}
        assert fields == {*sent.get(record.name, ())}, record.name
        assert not names or versions_of(record.table) is None or record.name == "Customer"
