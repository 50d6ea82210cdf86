"""Providers as a sign-in finds them, before anybody is known: by the id in an address, by the issuer of a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_graph.db.session import ReadSession, Record, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.providers.rules import Condition, Rule, parse_conditions, parse_rules
from crm_graph.kernel.ids import encode_id

PREFIX = "idp"
"""Of the ids of providers, also in the addresses under `/sso`."""
_COLUMNS = """provider.workspace_id, provider.id, name, issuer, client_id, scopes, accept_tokens, audiences,
    required, rules, email_domains, default_roles, allow_sign_up, sync_roles, secret.sealed
    FROM identity_provider AS provider
    LEFT JOIN identity_provider_secret AS secret
        ON secret.workspace_id = provider.workspace_id AND secret.id = provider.id"""
_BY_ID = Statement(f"SELECT {_COLUMNS} WHERE provider.id = $1 AND enabled LIMIT 2", ("id",), {})
_BY_NAME = Statement(
    f"SELECT {_COLUMNS} WHERE provider.workspace_id = $1 AND name = $2",
    ("workspace_id", "name"),
    {},
)
_BY_ISSUER = Statement(
    f"SELECT {_COLUMNS} WHERE issuer = $1 AND enabled AND accept_tokens"
    " ORDER BY provider.created_at, provider.id LIMIT $2",
    ("issuer", "limit"),
    {},
)
_ISSUERS = Statement(
    "SELECT issuer FROM identity_provider WHERE enabled AND accept_tokens"
    " GROUP BY issuer ORDER BY min(created_at), issuer LIMIT $1",
    ("limit",),
    {},
)
_ONLY = Statement("SELECT min(id::text)::uuid AS id FROM workspace HAVING count(*) = 1", (), {})
_FOR_SIGN_IN = Statement(
    "SELECT id, name FROM identity_provider WHERE workspace_id = $1 AND enabled ORDER BY name, id",
    ("workspace_id",),
    {},
)
_LINKED = Statement(
    """SELECT workspace_id, id, member_id FROM member_identity
    WHERE workspace_id = ANY($1) AND provider_id = ANY($2) AND subject = $3
    ORDER BY proved_at NULLS LAST, created_at, id LIMIT 1""",
    ("workspace_ids", "provider_ids", "subject"),
    {},
)
_PROVED = Statement(
    """SELECT provider.id FROM identity_provider AS provider
    WHERE provider.workspace_id = ANY($1) AND provider.id = ANY($2) AND EXISTS (
        SELECT 1 FROM member_identity AS identity WHERE identity.workspace_id = provider.workspace_id
        AND identity.provider_id = provider.id AND identity.proved_at IS NOT NULL)""",
    ("workspace_ids", "provider_ids"),
    {},
)
_PROVE = Statement(
    "UPDATE member_identity SET proved_at = $3 WHERE workspace_id = $1 AND id = $2 AND proved_at IS NULL",
    ("workspace_id", "id", "now"),
    {},
)
MAX_ISSUERS = 10_000
MAX_PER_ISSUER = 1_000
"""Workspaces that accept the tokens of one issuer: a directory service that has one issuer for all of its customers.
Those that were there first are kept, of providers as of issuers: who comes later pushes nobody out."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as it is configured; `sealed_secret` is None for one that knows us without a secret."""

    workspace_id: str
    id: str
    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    accept_tokens: bool
    audiences: frozenset[str]
    required: tuple[Condition, ...]
    rules: tuple[Rule, ...]
    email_domains: frozenset[str]
    default_roles: tuple[str, ...]
    allow_sign_up: bool
    sync_roles: bool
    sealed_secret: str | None

    @property
    def api_id(self) -> str:
        """The id as the API spells it."""
        return encode_id(PREFIX, self.id)

    def requires(self, claims: Mapping[str, Any]) -> bool:
        """Return whether claims meet what everybody's must."""
        return all(condition.holds(claims) for condition in self.required)

    @property
    def claim_names(self) -> frozenset[str]:
        """The claims that its conditions and rules look at: the first part of a path, all of a name that is a URL."""
        claims = [each.claim for each in (*self.required, *(rule.condition for rule in self.rules))]
        return frozenset(claim if "/" in claim else claim.partition(".")[0] for claim in claims)


async def find_provider(session: ReadSession, id_: str) -> Provider | None:
    """Return the enabled provider of an id, or None. Ids are made here, so that they are unique among workspaces."""
    rows = await session.fetch(_BY_ID, {"id": id_})
    return _provider(rows[0]) if len(rows) == 1 else None


async def provider_named(session: ReadSession, workspace_id: str, name: str) -> Provider | None:
    """Return a provider of a workspace, enabled or not, or None."""
    row = await session.fetch_row(_BY_NAME, {"workspace_id": workspace_id, "name": name})
    return None if row is None else _provider(row)


async def providers_of_issuer(session: ReadSession, issuer: str) -> list[Provider]:
    """Return the providers, of all workspaces, that accept the tokens of an issuer, the oldest first."""
    rows = await session.fetch(_BY_ISSUER, {"issuer": issuer, "limit": MAX_PER_ISSUER})
    return [_provider(row) for row in rows]


async def accepted_issuers(session: ReadSession) -> frozenset[str]:
    """Return the issuers whose tokens some workspace accepts."""
    return frozenset(row["issuer"] for row in await session.fetch(_ISSUERS, {"limit": MAX_ISSUERS}))


@dataclass(frozen=True, slots=True)
class Linked:
    """A link, and whose it is."""

    workspace_id: str
    id: str
    member_id: str


async def find_link(session: ReadSession, providers: Sequence[Provider], subject: str) -> Linked | None:
    """Return the link of a subject of one of these providers, which are of one issuer; None where it has none.

    Of several, in as many workspaces, the one by which the subject signed in first, then the one that was made first:
    what an administrator says of somebody, in a workspace of theirs, takes nobody away from another.
    """
    row = await session.fetch_row(_LINKED, {**_keys(providers), "subject": subject})
    return None if row is None else Linked(row["workspace_id"], row["id"], row["member_id"])


async def most_trusted(session: ReadSession, providers: Sequence[Provider]) -> Provider | None:
    """Return the provider, of some of one issuer, the oldest first, that speaks for it: the first by which anybody has
    signed in, to which the issuer must know it; otherwise the first."""
    if len(providers) < 2:
        return providers[0] if providers else None
    proved = {row["id"] for row in await session.fetch(_PROVED, _keys(providers))}
    return min(providers, key=lambda provider: provider.id not in proved)


async def prove_link(session: Session, workspace_id: str, id_: str, now: datetime) -> None:
    """Keep that a subject has signed in by its link."""
    await session.execute(_PROVE, {"workspace_id": workspace_id, "id": id_, "now": now})


def _keys(providers: Sequence[Provider]) -> dict[str, Any]:
    workspace_ids = list({provider.workspace_id for provider in providers})
    return {"workspace_ids": workspace_ids, "provider_ids": [provider.id for provider in providers]}


async def providers_for_sign_in(session: ReadSession, workspace_id: str | None = None) -> list[tuple[str, str]]:
    """Return id and name of each provider that a sign-in page offers; its link is `/sso/<id>/start?continue=<path>`.

    Without a workspace, those of the installation's only one: where there are several, a page that listed all of them
    would tell who is here.
    """
    if workspace_id is None:
        only = await session.fetch_row(_ONLY, {})
        if only is None:
            return []
        workspace_id = only["id"]
    rows = await session.fetch(_FOR_SIGN_IN, {"workspace_id": workspace_id})
    return [(encode_id(PREFIX, row["id"]), row["name"]) for row in rows]


def _provider(row: Record) -> Provider:
    return Provider(
        row["workspace_id"],
        row["id"],
        row["name"],
        row["issuer"],
        row["client_id"],
        tuple(row["scopes"]),
        row["accept_tokens"],
        frozenset(row["audiences"]),
        parse_conditions(row["required"], "required"),
        parse_rules(row["rules"]),
        frozenset(row["email_domains"]),
        tuple(row["default_roles"]),
        row["allow_sign_up"],
        row["sync_roles"],
        row["sealed"],
    )
