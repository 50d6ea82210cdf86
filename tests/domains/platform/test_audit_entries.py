"""The audit trail through the API: who may read it, what it says of what members did, that nobody writes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.engine import Engine
from crm_graph.app import running_engine
from crm_graph.cli.commands.audit import audit
from crm_graph.cli.data.exporting import export_file
from crm_graph.cli.place import Place
from crm_graph.db.session import ReadSession
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.identity.origin import Origin
from crm_graph.identity.secrets import load_secrets
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings
from crm_graph.permissions.roles import ADMIN, BUILT_IN
from tests.domains.platform.test_sensitive_reads import GRANTS, ROLE
from tests.support.database import clone
from tests.support.trail import connect

ORIGIN = Origin("203.0.113.7", "test")


class Office:
    """An engine with its chainer on a database of its own."""

    def __init__(self, engine: Engine, connection: asyncpg.Connection[Any], url: str) -> None:
        self.engine = engine
        self.connection = connection
        self.url = url

    async def claims(self, role: str, workspace: str = "demo") -> Claims:
        """Return the claims of the first member with a role."""
        row = await self.connection.fetchrow(
            "SELECT workspace_id, member_id FROM member_role WHERE role = $1"
            " AND workspace_id = (SELECT id FROM workspace WHERE slug = $2) ORDER BY member_id LIMIT 1",
            role,
            workspace,
        )
        assert row is not None
        return Claims(row[0], row[1], datetime.now(UTC) + timedelta(hours=1))

    async def ask(self, source: str, variables: dict[str, Any] | None = None, claims: Claims | None = None) -> Any:
        """Execute an operation, as the first administrator unless said otherwise, and return the response."""
        claims = claims or await self.claims(ADMIN)
        request = GraphQLRequest(source, None, variables or {})
        operation = await self.engine.admission.operation(request, claims)
        return (await self.engine.execute(request, operation, claims, origin=ORIGIN)).body

    async def sealed(self) -> None:
        """Wait until every event has its entry."""
        async with asyncio.timeout(60):
            while await self.connection.fetchval(  # noqa: ASYNC110 - polls what the chainer does
                "SELECT (SELECT count(*) FROM event) > (SELECT count(*) FROM audit_entry)"
            ):
                await asyncio.sleep(0.02)

    async def grant(self, role: str, grants: dict[str, Any]) -> None:
        """Redefine a role of `demo`."""
        await self.connection.execute(
            "WITH demo AS (UPDATE workspace_directory SET directory_version = directory_version + 1"
            " WHERE workspace_id = (SELECT id FROM workspace WHERE slug = 'demo') RETURNING workspace_id AS id)"
            " INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
            " SELECT id, gen_random_uuid(), $1, $2, 1, now(), now() FROM demo"
            " ON CONFLICT (workspace_id, name) DO UPDATE SET grants = excluded.grants",
            role,
            grants,
        )


@pytest.fixture(scope="module")
async def office(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Office]:
    """One office for all tests of this file: each looks at what it did itself."""
    assert database_url, "makes the template"
    url = await clone(postgres, f"office_{abs(hash(database_url)) % 10**6}")
    connection = await connect(url)
    secrets = await load_secrets(ReadSession(connection), {})
    async with running_engine(
        Installation(url, secrets), Settings(audit_poll_ms=10, event_retention_days=0), schema
    ) as engine:
        yield Office(engine, connection, url)
    await connection.close()


async def test_a_change_of_roles_is_in_it_with_whom_and_from_where(office: Office) -> None:
    admin, member = await office.claims(ADMIN), await office.claims("marketer")
    input_ = {"id": f"mem_{member.member_id}", "roles": ["marketer", "analyst"]}
    source = "mutation ($input: SetMemberRolesInput!) { setMemberRoles(input: $input) { errors { message } } }"
    body = await office.ask(source, {"input": input_})
    assert body["data"]["setMemberRoles"]["errors"] == []
    await office.sealed()
    fields = "type entity recordId fields address requestId recordIds number hash actor { id } client { name }"
    where = f'where: {{type: {{eq: "MemberRolesChanged"}}, recordId: {{eq: "mem_{member.member_id}"}}}}'
    body = await office.ask(f"{{ auditEntries({where}) {{ totalCount nodes {{ {fields} }} }} }}")
    (entry,) = body["data"]["auditEntries"]["nodes"]
    row = await office.connection.fetchrow("SELECT * FROM event WHERE type = 'MemberRolesChanged'")
    assert row is not None
    assert (entry["type"], entry["entity"]) == ("MemberRolesChanged", "Member")
    assert (entry["recordId"], entry["fields"], entry["recordIds"]) == (input_["id"], ["roles"], [])
    assert (entry["address"], entry["requestId"]) == ("203.0.113.7", row["request_id"])
    assert (entry["actor"], entry["client"]) == ({"id": f"mem_{admin.member_id}"}, None)


async def test_it_is_filtered_by_what_people_look_for(office: Office) -> None:
    admin = await office.claims(ADMIN)
    made = await office.ask(
        'mutation { createTeam(input: {name: "Audited"}) { team { id } errors { message } } }',
    )
    team = made["data"]["createTeam"]["team"]["id"]
    await office.sealed()
    for where in (
        f'recordId: {{eq: "{team}"}}',
        'type: {eq: "TeamCreated"}, entity: {eq: "Team"}',
        f'entity: {{eq: "Team"}}, actorId: {{eq: "mem_{admin.member_id}"}}',
        'entity: {eq: "Team"}, address: {eq: "203.0.113.7"}',
        'entity: {eq: "Team"}, at: {gt: "2020-01-01T00:00:00Z"}, clientId: {isNull: true}',
    ):
        body = await office.ask(f"{{ auditEntries(where: {{{where}}}) {{ nodes {{ recordId id }} }} }}")
        (entry,) = body["data"]["auditEntries"]["nodes"]
        assert entry["recordId"] == team
    for field, arguments in (("auditEntry", f'id: "{entry["id"]}"'), ("node", f'id: "{entry["id"]}"')):
        body = await office.ask(f"{{ {field}({arguments}) {{ ... on AuditEntry {{ recordId }} }} }}")
        assert body["data"][field] == {"recordId": team}


@pytest.mark.parametrize("role", [role for role in BUILT_IN if role != ADMIN])
async def test_nobody_else_sees_an_entry(office: Office, role: str) -> None:
    await office.sealed()
    (id_,) = await office.connection.fetchrow("SELECT id FROM audit_entry LIMIT 1") or ("",)
    claims = await office.claims(role)
    source = "query ($id: ID!) { auditEntries { totalCount nodes { type } } auditEntry(id: $id) { type } }"
    body = await office.ask(source, {"id": f"aud_{id_}"}, claims)
    assert body["data"] == {"auditEntries": {"totalCount": 0, "nodes": []}, "auditEntry": None}
    filtered = await office.ask('{ auditEntries(where: {type: {eq: "x"}}) { totalCount } }', {}, claims)
    assert filtered["data"] == {"auditEntries": {"totalCount": 0}}


async def test_it_can_be_granted_for_what_oneself_did(office: Office) -> None:
    await office.grant("support_agent", {"AuditEntry": {"read": "OWN", "default": "READ"}, "Member": {"read": "ALL"}})
    claims = await office.claims("support_agent")
    await office.connection.execute(
        "INSERT INTO event (workspace_id, type, entity, entity_id, actor, at, changes, data)"
        " VALUES ($1, 'SignedIn', 'Member', $2, $2, now(), '{}', '{}')",
        claims.workspace_id,
        claims.member_id,
    )
    await office.sealed()
    body = await office.ask("{ auditEntries { nodes { type actor { id } } } }", {}, claims)
    assert body["data"]["auditEntries"]["nodes"] == [{"type": "SignedIn", "actor": {"id": f"mem_{claims.member_id}"}}]


async def test_workspaces_do_not_see_each_other(office: Office) -> None:
    await office.sealed()
    other = await office.claims(ADMIN, "other")
    body = await office.ask("{ auditEntries { totalCount } }", {}, other)
    own = await office.connection.fetchval(
        "SELECT count(*) FROM audit_entry WHERE workspace_id = $1", other.workspace_id
    )
    assert body["data"]["auditEntries"]["totalCount"] == own


def test_nothing_writes_it(schema: BuiltSchema) -> None:
    assert schema.core.mutation_type is not None
    named = [name for name in schema.core.mutation_type.fields if "audit" in name.lower()]
    assert named == []
    policy = next(each for each in schema.policies if each.type == "AuditEntry")
    grant = policy.defaults[ADMIN]
    assert not any(grant.scopes(verb) for verb in ("create", "update", "delete"))


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_a_subscription_writes_each_event_down(office: Office, executor: str) -> None:
    grants = {**GRANTS, "Opportunity": {"read": "ALL", "fields": {"amount": ["READ ALL audited"]}}}
    await office.grant(ROLE, grants)
    claims, admin = await office.claims(ROLE), await office.claims(ADMIN)
    source = "subscription Live { opportunityChanged%s { opportunity { id %s } } }"
    before = await office.connection.fetchval("SELECT coalesce(max(seq), 0) FROM event")
    streams = []
    for arguments, fields in (("", "amount { amount }"), ("(where: {amount: {gt: 1}})", "name"), ("", "name")):
        request = GraphQLRequest((source % (arguments, fields)).replace("gt: 1}", 'gt: "1"}'), None, {})
        operation = await office.engine.admission.operation(request, claims)
        refusal, stream = await office.engine.subscribe(request, operation, lambda: claims, origin=ORIGIN)
        assert refusal is None
        streams.append(stream)
    ids = []
    for amount in ("7", "0"):
        made = await office.ask(
            "mutation ($input: CreateOpportunityInput!) { createOpportunity(input: $input)"
            " { opportunity { id } errors { message } } }",
            {"input": {"name": "Live", "amount": {"amount": amount, "currency": "USD"}}},
            admin,
        )
        ids.append(made["data"]["createOpportunity"]["opportunity"]["id"])
    async with asyncio.timeout(30):
        for stream, count in zip(streams, (2, 1, 2), strict=True):
            answers = [await anext(stream) for _ in range(count)]
            assert all("errors" not in answer.body for _, answer in answers)
            await stream.aclose()
    rows = await office.connection.fetch(
        "SELECT * FROM event WHERE type = 'SensitiveFieldsRead' AND seq > $1 ORDER BY seq", before
    )
    assert [(row["data"]["fields"], row["data"]["records"]) for row in rows] == [
        (["Opportunity.amount"], [ids[0]]),
        (["Opportunity.amount"], [ids[1]]),
        (["Opportunity.amount"], []),
    ]
    assert {(row["address"], row["actor"], row["data"]["operation"]) for row in rows} == {
        ("203.0.113.7", claims.member_id, "Live")
    }
    assert len({row["request_id"] for row in rows}) == 3


EXPORTS = {**GRANTS, "Customer": {**GRANTS["Customer"], "export": "ALL"}}


async def _exported(office: Office, out: Path | None, columns: list[str] | None = None) -> int:
    return await export_file(Place(None, office.url), "customer", "csv", out, columns, False, None, ROLE, "demo")


async def _newest(office: Office, type_: str) -> dict[str, Any]:
    row = await office.connection.fetchrow("SELECT * FROM event WHERE type = $1 ORDER BY seq DESC LIMIT 1", type_)
    assert row is not None
    return dict(row)


async def test_an_export_is_written_down(office: Office, tmp_path: Path) -> None:
    await office.grant(ROLE, EXPORTS)
    claims = await office.claims(ROLE)
    count = await _exported(office, tmp_path / "out.csv", ["name", "phone", "owner"])
    event = await _newest(office, "RecordsExported")
    assert event["data"] == {
        "entity": "Customer",
        "fields": ["Customer.name", "Customer.phone", "Customer.owner"],
        "rows": count,
        "format": "csv",
        "file": "out.csv",
        "complete": True,
    }
    assert (event["actor"], event["workspace_id"]) == (claims.member_id, claims.workspace_id)
    read = await _newest(office, "SensitiveFieldsRead")
    assert sorted(read["data"]["fields"]) == ["Customer.phone", "Member.email"], "an owner is written as their e-mail"
    assert read["seq"] < event["seq"]
    assert read["request_id"] == event["request_id"]
    before = read["seq"]
    await _exported(office, tmp_path / "out.csv", ["name"])
    assert (await _newest(office, "SensitiveFieldsRead"))["seq"] == before


async def test_an_export_that_breaks_off_is_written_down(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []

    def full(value: Any) -> str:
        written.append(value)
        if len(written) > 5:
            raise OSError(28, "No space left on device")
        return str(value)

    await office.grant(ROLE, EXPORTS)
    monkeypatch.setattr("crm_graph.graph.exporting.export_lines.csv_cell", full)
    with pytest.raises(OperatorError, match="No space"):
        await _exported(office, tmp_path / "full.csv", ["name"])
    event = await _newest(office, "RecordsExported")
    assert (event["data"]["complete"], event["data"]["rows"], event["data"]["file"]) == (False, 5, "full.csv")
    assert list(tmp_path.iterdir()) == []


async def test_what_cannot_be_written_down_is_not_exported(office: Office, tmp_path: Path) -> None:
    await office.grant(ROLE, EXPORTS)
    await office.connection.execute("ALTER TABLE event ADD CONSTRAINT none CHECK (type !~ 'Exported') NOT VALID")
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await _exported(office, tmp_path / "out.csv", ["name"])
        assert list(tmp_path.iterdir()) == []
    finally:
        await office.connection.execute("ALTER TABLE event DROP CONSTRAINT none")


async def test_the_command_verifies_and_says_what_is_wrong(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRM_SECRET", raising=False)
    monkeypatch.setenv("DATABASE_URL", office.url)
    monkeypatch.delenv("CRM_DATA_DIR", raising=False)
    await office.sealed()

    async def run(*arguments: str) -> tuple[int, str, str]:
        result = await asyncio.to_thread(CliRunner().invoke, audit, ["verify", *arguments])
        return result.exit_code, result.stdout, result.stderr

    code, out, _ = await run()
    assert code == 0
    heads = dict(line.split("\t") for line in out.splitlines())
    assert {"demo", "other"} <= heads.keys()
    assert (await run("--workspace", "demo", "--expect", heads["demo"]))[0] == 0
    code, out, err = await run("--workspace", "demo", "--expect", f"1:{'0' * 64}")
    assert (code, out) == (1, "")
    assert "demo: entry 1: it is not the one whose hash was given as --expect" in " ".join(err.split())
    assert (await run("--expect", heads["demo"]))[0] == 2
    assert (await run("--workspace", "demo", "--expect", "nonsense"))[0] == 2
    workspace, number = (await office.claims(ADMIN)).workspace_id, int(heads["demo"].partition(":")[0])
    sql = (
        "UPDATE event SET actor = $3 WHERE workspace_id = $1 AND seq ="
        " (SELECT event_seq FROM audit_entry WHERE workspace_id = $1 AND number = $2) RETURNING $3::uuid"
    )
    actor = await office.connection.fetchval(
        "SELECT actor_id FROM audit_entry WHERE workspace_id = $1 AND number = $2", workspace, number
    )
    await office.connection.execute(sql, workspace, number, "0" * 32)
    code, out, err = await run()
    assert code == 1
    assert f"demo: entry {number}: its event was altered: actor" in " ".join(err.split())
    assert out.startswith("other\t"), "the others are verified all the same"
    await office.connection.execute(sql, workspace, number, actor)
    assert (await run())[0] == 0
