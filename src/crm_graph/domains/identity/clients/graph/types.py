"""API clients and their keys as records."""

from __future__ import annotations

from datetime import datetime

from crm_graph.domains.identity.clients import model, policy
from crm_graph.domains.identity.clients.graph.enums import ClientKind, DocumentMode, OnError
from crm_graph.domains.workspace.members.graph.types import Member
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import Node, column, record, to_many, to_one
from crm_graph.graph.records.types import Connection


@record("apc", model.ApiClient, policy.API_CLIENT)
class ApiClient(Node):
    """A program that uses the API: a web application, a mobile one, an integration."""

    name: str = column("The client's name, unique in the workspace.")
    kind: ClientKind = column("Whether the client can keep a secret.")
    document_mode: DocumentMode = column("Which documents the client may run beside trusted ones.")
    member: Member | None = to_one(
        "member_id",
        "The service member as whom the client acts by itself; null where the client acts for members only.",
    )
    member_roles: list[str] | None = column(
        "The roles that the client may use, of those that the member has for whom it acts; null is all of them.",
        of="roles",
    )
    redirect_uris: list[str] | None = column("The addresses to which members are sent back with an authorization code.")
    first_party: bool | None = column(
        "Whether the client is the workspace's own: then members are not asked for consent."
    )
    requests_per_minute: int | None = column(
        "How many requests the client may send in a minute; null is the installation's limit."
    )
    cost_per_minute: int | None = column(
        "What the client's operations of a minute may cost together; null is the installation's limit."
    )
    on_error: OnError | None = column(
        "What an error does to the client's answers unless a request says it by `onError`; null is PROPAGATE."
    )
    keys: Connection[ApiKey] = to_many("client_id", "The client's keys, expired and revoked ones included.")
    version: int = column("Counts the changes of this record; send it as `ifVersion` to refuse a lost update.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("apk", model.ApiKey, policy.API_KEY)
class ApiKey(Node):
    """A key by which a client acts by itself. Its text is shown once, when it is made."""

    client: ApiClient | None = to_one("client_id", "The client that the key belongs to.")
    name: str = column("The key's name, for people.")
    prefix: str = column("How its text begins: no secret, and enough to tell which key it is.")
    expires_at: datetime | None = column("When it stops working; null is never.")
    revoked_at: datetime | None = column("When it was revoked.")
    last_used_at: datetime | None = column("When it was last used, to the minute.")
    version: int = column("Counts the changes.")
    created_at: datetime = column("When the key was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    api_client: ApiClient | None = roots.one("A client of the API by id.")
    api_clients: Connection[ApiClient] = roots.many("The clients of the API.")
    api_key: ApiKey | None = roots.one("A key of a client by id.")
    api_keys: Connection[ApiKey] = roots.many("The keys of all clients.")
