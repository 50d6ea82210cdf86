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

    name: str = column("What it is called, unique in the workspace.")
    kind: ClientKind = column("Whether it can keep a secret.")
    document_mode: DocumentMode = column("What it may run beside trusted documents.")
    member: Member | None = to_one(
        "member_id", "The service member whom it acts as by itself; null where it acts for members only."
    )
    member_roles: list[str] | None = column(
        "The roles that it may use, of those that whom it acts for has; null is all of them.", of="roles"
    )
    redirect_uris: list[str] | None = column("Where members may be sent back to with an authorization code.")
    first_party: bool | None = column("Whether it is the workspace's own: then members are not asked for consent.")
    requests_per_minute: int | None = column("How often it may ask; null is the installation's limit.")
    cost_per_minute: int | None = column("What its operations may cost together; null is the installation's limit.")
    on_error: OnError | None = column(
        "What an error does to its answers unless a request says it by `onError`; null is PROPAGATE."
    )
    keys: Connection[ApiKey] = to_many("client_id", "Its keys, those that are over included.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("apk", model.ApiKey, policy.API_KEY)
class ApiKey(Node):
    """A key by which a client acts by itself. Its text is shown once, when it is made."""

    client: ApiClient | None = to_one("client_id", "Whose key it is.")
    name: str = column("What people call it.")
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
