"""The queue of deliveries in the database: claimed by any process, at most so many of an endpoint at once, and a later
event of a record only when the earlier ones are done with."""

from __future__ import annotations

from crm_graph.db.statements import Statement

ADVISORY_LOCK = 7_226_101_003
"""Claims are made one after another, or two processes would both find the same room. Of a workspace at most so many are
claimed as leave it its share of a process, and the first of each workspace comes before the second of any."""
ALONE = Statement(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})", (), {})
CLAIM = Statement(
    """
    WITH room AS (
        SELECT endpoint.workspace_id, endpoint.id, $4::int - (
            SELECT count(*) FROM webhook_delivery AS claimed
            WHERE claimed.workspace_id = endpoint.workspace_id AND claimed.endpoint_id = endpoint.id
            AND claimed.status = 'PENDING' AND claimed.claimed_until > $1
        ) AS free
        FROM webhook_endpoint AS endpoint WHERE endpoint.status = 'ACTIVE' ORDER BY random()
    ), found AS MATERIALIZED (
        SELECT found.workspace_id, found.id,
            row_number() OVER (PARTITION BY found.workspace_id ORDER BY random()) AS number
        FROM room CROSS JOIN LATERAL (
            SELECT due.workspace_id, due.id FROM webhook_delivery AS due
            WHERE due.workspace_id = room.workspace_id AND due.endpoint_id = room.id
            AND due.status = 'PENDING' AND due.next_attempt_at <= $1
            AND (due.claimed_until IS NULL OR due.claimed_until <= $1)
            AND NOT EXISTS (
                SELECT 1 FROM webhook_delivery AS earlier
                WHERE earlier.workspace_id = due.workspace_id AND earlier.endpoint_id = due.endpoint_id
                AND earlier.entity_id = due.entity_id AND earlier.status = 'PENDING'
                AND (earlier.event_seq, earlier.id) < (due.event_seq, due.id)
            )
            ORDER BY due.next_attempt_at, due.event_seq LIMIT greatest(room.free, 0)
        ) AS found
    ), due AS MATERIALIZED (
        SELECT workspace_id, id FROM found
        WHERE number <= $6::int - coalesce(cardinality(array_positions($7::uuid[], workspace_id)), 0)
        ORDER BY number, random() LIMIT $5
    )
    UPDATE webhook_delivery AS delivery
    SET claimed_until = $2, claim = $3, attempts = attempts + 1, first_attempt_at = coalesce(first_attempt_at, $1)
    FROM due WHERE delivery.workspace_id = due.workspace_id AND delivery.id = due.id
    RETURNING delivery.workspace_id, delivery.id, endpoint_id, message_id, event_type, event_seq, entity_id, record_id,
        attempts, first_attempt_at, claim, delivery.created_at
    """,
    ("now", "until", "claim", "of_endpoint", "limit", "of_workspace", "sending"),
    {},
)
RELEASE = Statement(
    "UPDATE webhook_delivery SET claimed_until = NULL, claim = NULL, attempts = attempts - 1"
    " WHERE workspace_id = $1 AND id = $2 AND claim = $3 AND status = 'PENDING'",
    ("workspace_id", "id", "claim"),
    {},
)
FINISH = Statement(
    """
    UPDATE webhook_delivery SET status = $4, claimed_until = NULL, next_attempt_at = $5, response_status = $6,
        response_body = $7, request_body = $8, duration_ms = $9, error = $10, version = version + 1, updated_at = $11
    WHERE workspace_id = $1 AND id = $2 AND claim = $3 AND status = 'PENDING' RETURNING id
    """,
    (
        "workspace_id",
        "id",
        "claim",
        "status",
        "next_attempt_at",
        "response_status",
        "response_body",
        "request_body",
        "duration_ms",
        "error",
        "now",
    ),
    {},
)
ENDPOINT = Statement(
    """
    SELECT endpoint.url, endpoint.event_types, endpoint.filter, endpoint.selection, endpoint.roles, endpoint.member_id,
        endpoint.updated_at, endpoint.status,
        endpoint.version, secret.sealed, secret.previous, secret.previous_until > $3 AS overlaps
    FROM webhook_endpoint AS endpoint
    JOIN webhook_secret AS secret ON secret.workspace_id = endpoint.workspace_id AND secret.id = endpoint.id
    WHERE endpoint.workspace_id = $1 AND endpoint.id = $2
    """,
    ("workspace_id", "endpoint_id", "now"),
    {},
)
STANDS = Statement(
    "WITH endpoint AS MATERIALIZED (SELECT 1 FROM webhook_endpoint"
    " WHERE workspace_id = $1 AND id = $2 AND status = 'ACTIVE' AND version = $3)"
    " SELECT 1 FROM endpoint WHERE $4 ="
    " coalesce((SELECT directory_version FROM workspace_directory WHERE workspace_id = $1), 0)",
    ("workspace_id", "endpoint_id", "version", "directory_version"),
    {},
)
"""Whether an endpoint, and what its roles grant, is what it was: asked right before a request is sent."""
STOP = Statement(
    "UPDATE webhook_endpoint SET status = $3, status_reason = $4, version = version + 1, updated_at = $5"
    " WHERE workspace_id = $1 AND id = $2 AND status = 'ACTIVE' RETURNING url",
    ("workspace_id", "endpoint_id", "status", "reason", "now"),
    {},
)
ANY_DELIVERED = Statement(
    "SELECT 1 FROM webhook_delivery WHERE workspace_id = $1 AND endpoint_id = $2 AND status = 'DELIVERED'"
    " AND updated_at >= $3::timestamptz LIMIT 1",
    ("workspace_id", "endpoint_id", "since"),
    {},
)
RESUME = (
    "UPDATE webhook_delivery SET claimed_until = NULL, claim = NULL, attempts = 0, first_attempt_at = NULL,"
    " next_attempt_at = now() WHERE status = 'PENDING'"
)
"""After a restore: who had claimed one is gone, whatever the clock says, and the time that the installation was away is
no endpoint's fault."""
FORGET = Statement(
    "DELETE FROM webhook_delivery WHERE (workspace_id, id) IN (SELECT workspace_id, id FROM webhook_delivery"
    " WHERE status <> 'PENDING' AND updated_at < $1 LIMIT 10000)",
    ("before",),
    {},
)
ADMINISTRATORS = Statement(
    "SELECT member.id, member.email, workspace.name FROM member"
    " JOIN member_role ON member_role.workspace_id = member.workspace_id AND member_role.member_id = member.id"
    " JOIN workspace ON workspace.workspace_id = member.workspace_id AND workspace.id = member.workspace_id"
    " WHERE member.workspace_id = $1 AND role = 'admin' AND status = 'ACTIVE' AND email IS NOT NULL"
    " ORDER BY member.id LIMIT 20",
    ("workspace_id",),
    {},
)
