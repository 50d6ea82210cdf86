"""The lint of placement sees what it is for: each rule, by a statement that breaks it. What the product sends
is held to it in every test (`tests/conftest.py`)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from crm_graph.db.placement import DISTRIBUTED, LOCAL, REFERENCE, Placement
from tests.support.crossing import CROSSING
from tests.support.placing import violations

PLACED: Mapping[str, Placement] = {
    "workspace": REFERENCE,
    "event": LOCAL,
    "mail": LOCAL,
    **dict.fromkeys(("member", "role", "customer", "api_client"), DISTRIBUTED),
}
FINE = [
    "SELECT id FROM customer WHERE workspace_id = $1",
    "SELECT c.id FROM customer AS c LEFT JOIN member AS m ON m.workspace_id = $1 AND m.id = c.owner_id"
    " WHERE c.workspace_id = $1",
    "SELECT c.id FROM customer AS c JOIN workspace AS w ON w.workspace_id = c.workspace_id"
    " WHERE c.workspace_id = $1::uuid",
    "SELECT m.id FROM member m JOIN role r ON r.workspace_id = m.workspace_id WHERE m.workspace_id = $1",
    "SELECT ARRAY(SELECT name FROM role WHERE workspace_id = $1 AND role.id = m.id)"
    " FROM member m WHERE m.workspace_id = $1",
    "WITH later AS MATERIALIZED (SELECT entity_id FROM event WHERE workspace_id = $1)"
    " SELECT c.id FROM later LEFT JOIN customer c ON c.workspace_id = $1 AND c.id = later.entity_id",
    "SELECT * FROM (SELECT id FROM mail) AS guarded WHERE EXISTS (SELECT 1 FROM member WHERE workspace_id = $1)",
    "SELECT id FROM customer WHERE false",
    "INSERT INTO customer (id, workspace_id) VALUES ($2, $1), ($3, $1)",
    "INSERT INTO customer (workspace_id, id) SELECT (rows.a)::uuid, rows.b"
    " FROM unnest($1::uuid[], $2::uuid[]) AS rows(a, b)",
    "UPDATE customer SET name = rows.b FROM unnest($2::uuid[], $3::text[]) AS rows(a, b)"
    " WHERE workspace_id = $1 AND id = rows.a",
    "SELECT asked.* FROM unnest($2::uuid[]) AS rows(a)"
    " CROSS JOIN LATERAL (SELECT id FROM customer WHERE workspace_id = $1 AND id = rows.a FOR UPDATE) AS asked",
    "DELETE FROM mail WHERE created_at < now()",
    "BEGIN",
]
WRONG = {
    "SELECT id FROM customer": "every shard",
    "SELECT id FROM customer WHERE id = $1 FOR UPDATE": "every shard",
    "SELECT id FROM customer WHERE workspace_id = ANY($1)": "every shard",
    "DELETE FROM customer WHERE id = $1": "every shard",
    "UPDATE customer SET name = $1 WHERE id IN (SELECT id FROM customer WHERE workspace_id = $2)": "every shard",
    "WITH x AS (SELECT id FROM customer) SELECT * FROM x": "every shard",
    "SELECT id FROM customer WHERE workspace_id = $1 UNION ALL SELECT id FROM member": "every shard",
    "SELECT ARRAY(SELECT name FROM role WHERE role.workspace_id = m.workspace_id)"
    " FROM member m WHERE m.workspace_id = $1": "outer row",
    "SELECT m.id FROM member m LEFT JOIN api_client c ON c.workspace_id = m.workspace_id AND c.id = $2"
    " WHERE m.workspace_id = $1": "outer join by a parameter",
    "SELECT c.id FROM customer c JOIN event e ON e.entity_id = c.id WHERE c.workspace_id = $1": "local and distributed",
    "SELECT c.id FROM customer c WHERE c.workspace_id = $1"
    " AND EXISTS (SELECT 1 FROM event e WHERE e.entity_id = c.id)": "local and distributed",
    "SELECT c.id FROM customer c CROSS JOIN LATERAL (SELECT seq FROM event WHERE entity_id = c.id) e"
    " WHERE c.workspace_id = $1": "local and distributed",
    "SELECT id FROM customer WHERE workspace_id = $1"
    " AND EXISTS (SELECT FROM event WHERE workspace_id = $1)": "SELECT 1",
    "UPDATE workspace SET name = $2 WHERE workspace_id = $1": "every node",
    "SELECT 1 FROM workspace WHERE workspace_id = $1 FOR UPDATE": "every node",
    "INSERT INTO customer (workspace_id, id) SELECT workspace_id, id FROM member": "every shard",
    "INSERT INTO customer (workspace_id, id) VALUES (gen_random_uuid(), $1)": "no parameter",
    "INSERT INTO customer (workspace_id, id) VALUES ($1, $2)"
    " ON CONFLICT (id) DO UPDATE SET updated_at = now()": "now()",
    "UPDATE customer SET name = random()::text WHERE workspace_id = $1": "random()",
    "MERGE INTO customer USING member ON false WHEN MATCHED THEN DELETE": "MERGE",
}


@pytest.mark.parametrize("text", FINE)
def test_what_a_cluster_runs_where_the_workspace_lies(text: str) -> None:
    assert violations(text, PLACED) == []


@pytest.mark.parametrize("text", WRONG)
def test_what_a_cluster_refuses_or_asks_of_every_node(text: str) -> None:
    assert any(WRONG[text] in each for each in violations(text, PLACED)), violations(text, PLACED)


def test_each_statement_that_crosses_workspaces_says_why() -> None:
    assert all(len(why) > 5 for why in CROSSING.values())
