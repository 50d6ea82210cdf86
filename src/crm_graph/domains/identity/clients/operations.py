"""The only writers of API clients and of their keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select

from crm_graph.db.base import table_of
from crm_graph.domains.identity.clients.enums import ClientKind, DocumentMode
from crm_graph.domains.identity.clients.events import (
    ApiClientCreated,
    ApiClientDeleted,
    ApiClientUpdated,
    ApiKeyCreated,
    ApiKeyRevoked,
    ApiKeyRotated,
)
from crm_graph.domains.identity.clients.keys import make_key
from crm_graph.domains.identity.clients.model import ApiClient, ApiKey
from crm_graph.domains.identity.clients.policy import API_CLIENT, API_KEY
from crm_graph.domains.identity.clients.redirects import check_redirect_uris
from crm_graph.domains.workspace.members.model import Member, MemberKind, MemberStatus
from crm_graph.domains.workspace.members.operations import (
    create_member,
    known_roles,
    set_member_roles,
    suspend_member,
    update_member,
)
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.domains.workspace.members.reach import roles_of
from crm_graph.identity import endings
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.policy import workspace
from crm_graph.permissions.rights import holds_all, refuse_beyond
from crm_graph.work import CREATE, DELETE, UPDATE, Work

SERVICE_DOMAIN = "service.invalid"
"""Of the e-mail addresses of service members: RFC 2606 keeps it from ever being anybody's."""
MAX_LIVE_KEYS = 20
MAX_OVERLAP_HOURS = 30 * 24

_KEYS = table_of(ApiKey)


async def create_api_client(
    work: Work, values: Mapping[str, Any], given: tuple[str, ...], roles: Iterable[str] | None = None
) -> str:
    """Make a client known; with `roles` it may act by itself, as a service member that has them. Unless said otherwise
    it may use all roles of whoever signs in with it where an administrator makes it, else those of its maker.

    Raises Refused TAKEN for a name in use, INVALID for an unknown role or a limit below 1, FORBIDDEN for what gives it
    a role that the viewer does not hold (`policy.hold_power`).
    """
    work.may(API_CLIENT, CREATE, given)
    await work.alone()
    client: ApiClient = ApiClient.make(
        **{
            "document_mode": DocumentMode.OPEN.value,
            "kind": ClientKind.CONFIDENTIAL.value,
            "redirect_uris": [],
            "first_party": False,
            **values,
        }
    )
    if client.roles is None and not holds_all(work):
        client.roles = list(work.viewer.roles)
    await _check(work, client)
    if roles is not None:
        client.member_id = await _add_service_member(work, client, roles)
    await work.create(client, API_CLIENT, ApiClientCreated(), given)
    return client.id


async def update_api_client(
    work: Work,
    id_: str,
    values: Mapping[str, Any],
    given: tuple[str, ...],
    if_version: int | None,
    roles: Iterable[str] | None = None,
) -> str:
    """Change a client; `roles` replaces what it may do by itself. One of another kind from now on loses what it got
    as the other: its sessions, and its keys where it keeps no secret. Raises Refused as `create_api_client` does."""
    client = await work.get(ApiClient, API_CLIENT, id_, UPDATE, if_version, given=given)
    renamed, kind = values.get("name", client.name) != client.name, client.kind
    for name, value in values.items():
        setattr(client, name, value)
    await _check(work, client)
    if client.member_id is not None and renamed:
        await update_member(work, client.member_id, {"name": client.name}, ("name",), None)
    if roles is not None:
        if client.member_id is None:
            client.member_id = await _add_service_member(work, client, roles)
        else:
            await set_member_roles(work, client.member_id, roles)
    await work.save(client, API_CLIENT, ApiClientUpdated())
    if client.kind != kind:
        is_public = client.kind == ClientKind.PUBLIC.value
        await endings.of_client_kind(work.session, work.viewer.workspace_id, id_, work.now, is_public=is_public)
    return client.id


async def delete_api_client(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a client with its keys and trusted documents; the tokens that name it stop working. Its service member
    stays, suspended: what it wrote names it."""
    client = await work.get(ApiClient, API_CLIENT, id_, DELETE, if_version)
    await work.delete(client, API_CLIENT, ApiClientDeleted())
    if client.member_id is not None:
        member = await work.refer(Member, MEMBER, client.member_id, "id", needs=("status",))
        if member.status == MemberStatus.ACTIVE.value:
            await suspend_member(work, member.id, None)


async def create_api_key(work: Work, client_id: str, name: str, expires_at: datetime | None) -> tuple[str, str]:
    """Make a key of a client; returns its id and its text, which nobody can read again.

    Raises Refused INVALID for a time that is over, a client that cannot keep a secret, and too many keys; FORBIDDEN
    where the client may do what the viewer may not.
    """
    client = await work.get(ApiClient, API_CLIENT, client_id, UPDATE, path="clientId")
    work.may(API_KEY, UPDATE, ("name",) if expires_at is None else ("name", "expiresAt"))
    return await _add_key(work, client, name, expires_at)


async def rotate_api_key(
    work: Work, id_: str, overlap_hours: int, expires_at: datetime | None = None
) -> tuple[str, str]:
    """Make a key that follows another one, which goes on for the overlap; returns the new one's id and text.

    Unless `expires_at` says otherwise the new key is good for as long as the old one was. Raises Refused as
    `create_api_key` does, ILLEGAL_TRANSITION for a key that is revoked or over.
    """
    old = await work.get(ApiKey, API_KEY, id_, UPDATE, given=() if expires_at is None else ("expiresAt",))
    _refuse_ended(work, old)
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise Refused("INVALID", f"`overlapHours` must be 0 to {MAX_OVERLAP_HOURS}.", ("overlapHours",))
    until = old.expires_at
    if expires_at is None and until is not None:
        expires_at = work.now + (until - old.created_at)
    client = await work.get(ApiClient, API_CLIENT, old.client_id, UPDATE)
    successor_id, text = await _add_key(work, client, old.name, expires_at)
    over = work.now + timedelta(hours=overlap_hours)
    if until is None or over < until:
        old.expires_at = over
    if not await work.save(old, API_KEY, ApiKeyRotated(successor_id)):
        await work.tell(old, API_KEY, ApiKeyRotated(successor_id), {})
    return successor_id, text


async def revoke_api_key(work: Work, id_: str) -> str:
    """Revoke a key: it stops working with the next request. Raises Refused ILLEGAL_TRANSITION when that was done."""
    key = await work.get(ApiKey, API_KEY, id_, UPDATE)
    _refuse_ended(work, key)
    key.revoked_at = work.now
    await work.save(key, API_KEY, ApiKeyRevoked())
    return key.id


async def _add_key(work: Work, client: ApiClient, name: str, expires_at: datetime | None) -> tuple[str, str]:
    if client.kind == ClientKind.PUBLIC.value:
        raise Refused("INVALID", "A public client cannot keep a secret: it has no keys.", ("clientId",))
    if expires_at is not None and expires_at <= work.now:
        raise Refused("INVALID", "`expiresAt` must be in the future.", ("expiresAt",))
    if client.member_id is not None:
        refuse_beyond(work, await roles_of(work, client.member_id), "clientId")
    if await _count_live(work, client.id) >= MAX_LIVE_KEYS:
        raise Refused("INVALID", f"A client has at most {MAX_LIVE_KEYS} keys: revoke one first.", ("clientId",))
    key: ApiKey = ApiKey.make(client_id=client.id, name=name, expires_at=expires_at)
    made = make_key(work.viewer.workspace_id, key.id)
    key.prefix, key.sha256 = made.prefix, made.sha256
    await work.add_part(key, API_KEY)
    changes = {name: (None, getattr(key, name)) for name in ("client_id", "name", "prefix", "expires_at")}
    await work.tell(key, API_KEY, ApiKeyCreated(made.prefix), changes)
    return key.id, made.text


async def _count_live(work: Work, client_id: str) -> int:
    query = select(func.count().label("count")).where(
        _KEYS.c.workspace_id == workspace(),
        _KEYS.c.client_id == client_id,
        _KEYS.c.revoked_at.is_(None),
        or_(_KEYS.c.expires_at.is_(None), _KEYS.c.expires_at > work.now),
    )
    rows = await work.session.query(query, workspace_id=work.viewer.workspace_id)
    found: int = rows[0]["count"]
    return found


def _refuse_ended(work: Work, key: ApiKey) -> None:
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= work.now):
        raise Refused(
            "ILLEGAL_TRANSITION", "This key is revoked or has expired: make a new one by `createApiKey`.", ("id",)
        )


async def _add_service_member(work: Work, client: ApiClient, roles: Iterable[str]) -> str:
    values = {
        "name": client.name,
        "email": f"client-{client.id}@{SERVICE_DOMAIN}",
        "kind": MemberKind.SERVICE.value,
    }
    return await create_member(work, values, roles)


async def _check(work: Work, client: ApiClient) -> None:
    client.redirect_uris = check_redirect_uris(client.redirect_uris)
    if client.roles is not None:
        client.roles = list(await known_roles(work, client.roles, "memberRoles"))
    for limit, path in (
        (client.requests_per_minute, "requestsPerMinute"),
        (client.cost_per_minute, "costPerMinute"),
    ):
        if limit is not None and limit < 1:
            raise Refused("INVALID", "A limit must be at least 1; null means the limit of the installation.", (path,))
