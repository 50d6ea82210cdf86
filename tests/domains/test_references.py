"""For every foreign key between types: deleting what it points to is refused, or told of each row that goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Table

from crm_graph.api.schema import make_schema
from crm_graph.db.base import Base
from crm_graph.db.rules import parts_of
from crm_graph.kernel.ids import encode_id
from crm_graph.kernel.naming import one, plural
from crm_graph.permissions.policy import Policy
from tests.support.graph import Graph

SCHEMA = make_schema()
RECORDS = {record.table.name: record for record in SCHEMA.registry.records.values()}
POLICIES = {policy.table.name: policy for policy in SCHEMA.policies}
DELETABLE = {
    "opportunity": "status = 'OPEN'",
    "sales_order": "status = 'DRAFT', approved_at = NULL",
    "campaign": "status = 'PLANNED'",
    "ticket": "first_response_at = NULL",
}
"""What lets a record be deleted that is to be kept otherwise."""
LOGS = {("webhook_delivery", "webhook_endpoint")}
"""What is a log of another one, without an event of its own: it goes with that."""
ELSEWHERE = {
    ("member_identity", "provider_id"): "tests/domains/identity/test_identity_providers.py: an event for each",
    ("api_key", "client_id"): "a part of the client, whose deletion ends it: tests/credentials",
    ("webhook_delivery", "endpoint_id"): "a log",
    ("identity_provider_secret", "id"): "a part that nothing reads",
    ("webhook_secret", "id"): "a part that nothing reads",
}


@dataclass(frozen=True)
class Key:
    """A foreign key between tables that have a policy each."""

    table: Table
    column: str
    target: Table
    on_delete: str | None

    def __str__(self) -> str:
        return f"{self.table.name}.{self.column}"

    @property
    def of_part(self) -> bool:
        """Whether it leads from a part to its whole."""
        return is_part(POLICIES[self.table.name], self.target, self.column)


def is_part(policy: Policy, whole: Table, column: str) -> bool:
    return policy.parent is not None and policy.parent[0].table is whole and policy.parent[1] == column


def keys() -> Iterator[Key]:
    for table in Base.metadata.sorted_tables:
        for key in sorted(table.foreign_key_constraints, key=lambda key: str(key.name)):
            if {table.name, key.referred_table.name} <= POLICIES.keys() and key.referred_table.name != "workspace":
                yield Key(table, key.column_keys[-1], key.referred_table, key.ondelete)


KEYS = list(keys())


def mutations() -> frozenset[str]:
    assert SCHEMA.core.mutation_type is not None
    return frozenset(SCHEMA.core.mutation_type.fields)


def test_no_row_goes_silently() -> None:
    """The database removes rows along with others where these are their parts, or their log, and nowhere else."""
    cascading = [key for key in KEYS if key.on_delete is not None]
    assert all(key.of_part or (key.table.name, key.target.name) in LOGS for key in cascading), cascading
    assert len(cascading) > 5
    for record in SCHEMA.registry.records.values():
        of = {key.table.name for key in KEYS if key.target is record.table and key.of_part}
        assert {table.name for table, _ in parts_of(record.table)} == (of if record.is_kept else set()), record.name


DELETED = [
    key
    for key in KEYS
    if key.target.name in RECORDS
    and f"delete{RECORDS[key.target.name].name}" in mutations()
    and (key.table.name, key.column) not in ELSEWHERE
]


def test_all_others_point_to_what_is_never_deleted() -> None:
    others = {key.target.name for key in KEYS} - {key.target.name for key in DELETED}
    tested = {table for key in KEYS if (key.table.name, key.column) in ELSEWHERE for table in [key.target.name]}
    assert others - tested == {"member", "pipeline"}
    assert not {"deleteMember", "deletePipeline"} & mutations()


@pytest.mark.parametrize("key", DELETED, ids=str)
async def test_deleting_is_refused_or_told(graph: Graph, key: Key) -> None:
    record, source = RECORDS[key.target.name], RECORDS[key.table.name]
    workspace = await graph.value("SELECT id FROM workspace WHERE slug = 'demo'")
    target = await graph.value(
        f"SELECT id FROM {key.target.name} WHERE workspace_id = $1 ORDER BY id LIMIT 1", workspace
    )
    if key.table.name == "account_team_member":  # of which the demo has none
        await graph.rows(
            "INSERT INTO account_team_member"
            " (workspace_id, id, customer_id, member_id, version, created_at, updated_at)"
            " SELECT workspace_id, gen_random_uuid(), $2, id, 1, now(), now() FROM member WHERE workspace_id = $1"
            " ORDER BY id LIMIT 1",
            *(workspace, target),
        )
    other = f" AND {key.table.name}.id <> $2" if key.table is key.target else ""
    pointing = await graph.value(
        f"UPDATE {key.table.name} SET {key.column} = $2 WHERE workspace_id = $1 AND id = (SELECT id FROM"
        f" {key.table.name} WHERE workspace_id = $1{other} ORDER BY ({key.column} = $2) DESC NULLS LAST, id LIMIT 1)"
        " RETURNING id",
        workspace,
        target,
    )
    assert pointing is not None, f"{key.table.name} is empty"
    if key.target.name in DELETABLE:
        await graph.rows(f"UPDATE {key.target.name} SET {DELETABLE[key.target.name]} WHERE id = $1", target)
    if key.of_part:
        for each in KEYS:  # so that nothing but its parts points to it
            if each.target is key.target and not each.of_part:
                change = "deleted_at = now()" if "deleted_at" in each.table.c else f"{each.column} = NULL"
                await graph.rows(f"UPDATE {each.table.name} SET {change} WHERE {each.column} = $1", target)
    events = "SELECT type, entity FROM event WHERE entity_id = $1 ORDER BY seq DESC LIMIT 1"
    field = f"delete{record.name}"
    query = f"mutation ($id: ID!) {{ {field}(input: {{id: $id}}) {{ errors {{ code message }} }} }}"
    verbs = [{"verb": verb, "scope": "ALL"} for verb in ("read", "update", "delete")]
    grants = [{"type": record.policy.whole.type, "verbs": verbs}]
    create = "mutation ($input: CreateRoleInput!) { createRole(input: $input) { errors { message } } }"
    assert (await graph.data(create, {"input": {"name": "cleaner", "grants": grants}}))["createRole"]["errors"] == []
    cleaner = await graph.claims("analyst")
    await graph.rows("UPDATE member_role SET role = 'cleaner' WHERE member_id = $1", cleaner.member_id)
    variables = {"id": encode_id(record.prefix, target)}
    if key.of_part:
        assert (await graph.data(query, variables, claims=cleaner))[field]["errors"] == []
        (event,) = await graph.rows(events, target)
        assert event["type"] == f"{record.name}Deleted"
        stored = await graph.rows(f"SELECT deleted_at FROM {key.table.name} WHERE id = $1", pointing)
        assert all(row["deleted_at"] is not None for row in stored)
        assert bool(stored) == record.is_kept
        return
    before = await graph.rows(f"SELECT * FROM {key.table.name} WHERE id = $1", pointing)
    (refused,) = (await graph.data(query, variables, claims=cleaner))[field]["errors"]
    hidden = source.policy.whole is not record.policy.whole
    if not record.policy.directory:  # which only administrators, and whoever leads it, may take records from
        assert (refused["code"], "other records" in refused["message"]) == ("IN_USE", hidden), refused
    (refused,) = (await graph.data(query, variables))[field]["errors"]
    assert refused["code"] == "IN_USE"
    if record.is_kept:
        assert any(words in refused["message"] for words in (plural(source.name), one(source.name))), refused
    assert await graph.rows(f"SELECT * FROM {key.table.name} WHERE id = $1", pointing) == before
