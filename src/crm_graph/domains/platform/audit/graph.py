"""The audit trail in the schema. Read-only: no mutation exists."""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.domains.identity.clients.graph import ApiClient
from crm_graph.domains.platform.audit import events, model, policy
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import Node, column, record, to_one
from crm_graph.graph.records.types import Connection
from crm_graph.graph.schema.build import Slice
from crm_graph.identity.viewer import ActorKind


@record("aud", model.AuditEntry, policy.AUDIT_ENTRY)
class AuditEntry(Node):
    """What somebody did or read, sealed: each entry of a workspace is chained to the one before it."""

    number: int = column("The place in the workspace's audit trail, from 1 without gaps.")
    type: str = column("What happened, as listed in schema/events.json: `MemberRolesChanged`.")
    entity: str = column("The type of the record it happened to: `Member`. `Workspace` where it is about many records.")
    record_id: strawberry.ID = column("The id of the record it happened to, with its prefix: `mem_...`.")
    record_ids: list[strawberry.ID] = column(
        "The records whose sensitive fields were read, the first 200 at most; empty for everything else."
    )
    fields: list[str] = column(
        "The columns that changed; where fields were read or exported, their coordinates: `Customer.phone`."
    )
    actor: Member | None = to_one("actor_id", "The member who did it; null for what the system did by itself.")
    actor_kind: ActorKind | None = column("Who did it; null in entries from before this was kept.")
    client: ApiClient | None = to_one("client_id", "The API client by which it was done; null where it was none.")
    address: str | None = column("The network address it was done from; null for a command or a job.")
    request_id: strawberry.ID | None = column("The request it was done by, as `requestId` of an error names it.")
    at: datetime = column("When it happened.")
    sealed_at: datetime = column("When this entry was made, which is moments later.")
    key_id: str = column("Which of the installation's keys sealed it.")
    digest: str = column("SHA-256 of the whole event, in hex digits.")
    previous_hash: str = column("The hash of the entry before it; zeros for the first one.")
    hash: str = column("HMAC-SHA256 over the hash before it and this entry, in hex digits.")


class Queries:
    """Fields of Query."""

    audit_entry: AuditEntry | None = roots.one("An entry of the audit trail by id.")
    audit_entries: Connection[AuditEntry] = roots.many(
        "The audit trail: sign-ins, changes, exports, reads of sensitive fields. Order by NUMBER for the chain's order."
    )


SLICE = Slice("audit", records=(AuditEntry,), queries=(Queries,), events=events.EVENTS)
