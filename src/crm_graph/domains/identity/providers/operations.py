"""The only writers of identity providers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_graph.db.rows import load
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.providers.events import (
    IdentityLinked,
    IdentityProviderCreated,
    IdentityProviderDeleted,
    IdentityProviderSecretChanged,
    IdentityProviderUpdated,
    IdentityUnlinked,
)
from crm_graph.domains.identity.providers.model import IdentityProvider, MemberIdentity, ProviderSecret
from crm_graph.domains.identity.providers.policy import IDENTITY_PROVIDER, MEMBER_IDENTITY, PROVIDER_SECRET
from crm_graph.domains.identity.providers.rules import parse_conditions, parse_rules
from crm_graph.domains.workspace.members.model import Member
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.identity import endings
from crm_graph.identity.oidc.fetch import is_loopback, parse_url
from crm_graph.identity.oidc.tokens import MAX_SUBJECT_LENGTH
from crm_graph.kernel.errors import IssuerFault, Refused
from crm_graph.permissions.rights import hold_to_rights
from crm_graph.permissions.roles import ADMIN, BUILT_IN
from crm_graph.work import CREATE, DELETE, UPDATE, Work

OPENID = "openid"
MAX_LISTED = 50
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,300}\Z")
"""RFC 6749's characters of a scope; also what ids and audiences are made of."""
_DOMAIN = re.compile(r"(?=.{3,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_NAMES = Statement(
    "SELECT ARRAY(SELECT name FROM role WHERE workspace_id = $1) AS roles,"
    " ARRAY(SELECT name FROM team WHERE workspace_id = $1 AND name = ANY($2)) AS teams,"
    " (SELECT count(*) FROM identity_provider WHERE workspace_id = $1) AS providers",
    ("workspace_id", "teams"),
    {},
)
_SECRET = Statement(
    "DELETE FROM identity_provider_secret WHERE workspace_id = $1 AND id = $2 RETURNING id", ("workspace_id", "id"), {}
)

_IDENTITIES = Statement(
    "SELECT * FROM member_identity WHERE workspace_id = $1 AND provider_id = $2 ORDER BY id FOR UPDATE",
    ("workspace_id", "id"),
    {},
)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """The client secret that a provider is to have from now on, sealed; None removes it."""

    sealed: str | None


async def create_provider(
    work: Work,
    values: Mapping[str, Any],
    given: tuple[str, ...],
    secret: NewSecret,
    limit: int,
    ours: Collection[str] = (),
) -> str:
    """Trust a provider. Raises Refused INVALID, REQUIRED or TAKEN for what cannot be configured so, and INVALID where
    the workspace has `limit` of them, or its issuer is one of `ours`, the names of this installation."""
    work.may(IDENTITY_PROVIDER, CREATE, given)
    await _require_administrator(work)
    await work.alone()
    provider: IdentityProvider = IdentityProvider.make(
        **{
            "scopes": [OPENID, "email", "profile"],
            "enabled": True,
            "accept_tokens": False,
            "audiences": [],
            "required": [],
            "rules": [],
            "email_domains": [],
            "default_roles": [],
            "allow_sign_up": False,
            "sync_roles": False,
            **values,
        }
    )
    _check_issuer(provider.issuer, ours)
    await _check(work, provider, limit)
    await work.create(provider, IDENTITY_PROVIDER, IdentityProviderCreated())
    if secret.sealed is not None:
        await _write_secret(work, provider, secret)
    return provider.id


async def update_provider(
    work: Work,
    id_: str,
    values: Mapping[str, Any],
    given: tuple[str, ...],
    secret: NewSecret | None,
    if_version: int | None,
) -> str:
    """Change how far a provider is trusted; see `create_provider`. Its issuer stays: it is another provider else."""
    work.may(IDENTITY_PROVIDER, UPDATE, given)
    await _require_administrator(work)
    provider = await work.get(IdentityProvider, IDENTITY_PROVIDER, id_, UPDATE, if_version)
    for name, value in values.items():
        setattr(provider, name, value)
    await _check(work, provider)
    await work.save(provider, IDENTITY_PROVIDER, IdentityProviderUpdated())
    if not provider.enabled:
        await endings.of_provider(work.session, work.viewer.workspace_id, id_, work.now)
    if secret is not None:
        await _write_secret(work, provider, secret)
    return provider.id


async def delete_provider(work: Work, id_: str, if_version: int | None) -> None:
    """Trust a provider no more: its links go, its tokens stop working, and sessions that began with it end. Members
    stay."""
    provider = await work.get(IdentityProvider, IDENTITY_PROVIDER, id_, DELETE, if_version)
    await endings.of_provider(work.session, work.viewer.workspace_id, provider.id, work.now)
    for row in await work.session.fetch(_IDENTITIES, {**work.viewer.binds, "id": provider.id}):
        identity = load(MemberIdentity, row)
        await work.delete(identity, MEMBER_IDENTITY, IdentityUnlinked(identity.member_id))
    await work.delete(provider, IDENTITY_PROVIDER, IdentityProviderDeleted())


async def link_identity(work: Work, provider_id: str, subject: str, member_id: str) -> str:
    """Make an account of a provider a member, on an administrator's word. Raises Refused TAKEN where either is linked,
    NOT_FOUND, and INVALID for what is no subject."""
    work.may(MEMBER_IDENTITY, CREATE)
    await _require_administrator(work)
    if not 0 < len(subject) <= MAX_SUBJECT_LENGTH or not subject.isprintable():
        raise Refused("INVALID", f"`subject` must be 1 to {MAX_SUBJECT_LENGTH} printable letters.", ("subject",))
    await work.refer(IdentityProvider, IDENTITY_PROVIDER, provider_id, "providerId")
    await work.refer(Member, MEMBER, member_id, "memberId")
    identity: MemberIdentity = MemberIdentity.make(provider_id=provider_id, subject=subject, member_id=member_id)
    await work.create(identity, MEMBER_IDENTITY, IdentityLinked(member_id, "ADMINISTRATOR"))
    return identity.id


async def unlink_identity(work: Work, id_: str) -> None:
    """Take a provider's account from its member: its tokens stop working, and sessions that began with it end."""
    identity = await work.get(MemberIdentity, MEMBER_IDENTITY, id_, DELETE)
    await endings.of_identity(work.session, work.viewer.workspace_id, identity.id, work.now)
    await work.delete(identity, MEMBER_IDENTITY, IdentityUnlinked(identity.member_id))


async def _require_administrator(work: Work) -> None:
    """Raise Forbidden for anybody else, before anything is said of what they ask for; the unit of work asks again."""
    await hold_to_rights(work, IDENTITY_PROVIDER, None, None)


async def _write_secret(work: Work, provider: IdentityProvider, secret: NewSecret) -> None:
    removed = await work.session.execute(_SECRET, {**work.viewer.binds, "id": provider.id})
    if secret.sealed is not None:
        await work.add_part(ProviderSecret.make(id=provider.id, sealed=secret.sealed), PROVIDER_SECRET)
    elif not removed:
        return
    await work.save(provider, IDENTITY_PROVIDER, IdentityProviderSecretChanged(secret.sealed is None), beside={})


async def _check(work: Work, provider: IdentityProvider, limit: int | None = None) -> None:
    """Raise Refused for a configuration that cannot be meant, at the field that is wrong."""
    _check_texts("clientId", [provider.client_id])
    _check_texts("scopes", provider.scopes)
    _check_texts("audiences", provider.audiences)
    if OPENID not in provider.scopes:
        raise Refused("INVALID", f"`scopes` must have `{OPENID}`, or there is no ID token.", ("scopes",))
    if provider.accept_tokens and not provider.audiences:
        raise Refused(
            "REQUIRED",
            "`audiences` must have a value with `acceptTokens`: else tokens for other services would be accepted.",
            ("audiences",),
        )
    if provider.client_id in provider.audiences:
        raise Refused(
            "INVALID",
            "`audiences` cannot have the `clientId`: that is the audience of ID tokens, which are no access tokens.",
            ("audiences",),
        )
    for index, domain in enumerate(_bounded(provider.email_domains, "emailDomains")):
        if not _DOMAIN.match(domain):
            raise Refused(
                "INVALID", "This is no domain in small ASCII letters, `example.com`.", ("emailDomains", str(index))
            )
    if ADMIN in provider.default_roles:
        raise Refused("INVALID", f"Only a rule can give `{ADMIN}`, so that it says to whom.", ("defaultRoles",))
    parse_conditions(provider.required, "required")
    rules = parse_rules(provider.rules)
    teams = sorted({rule.team for rule in rules if rule.team is not None})
    (found,) = await work.session.fetch(_NAMES, {**work.viewer.binds, "teams": teams})
    if limit is not None and found["providers"] >= limit:
        raise Refused("INVALID", f"A workspace can have no more than {limit} identity providers.", ())
    known = {*BUILT_IN, *found["roles"]}
    _check_roles(_bounded(provider.default_roles, "defaultRoles"), known, ("defaultRoles",))
    for index, rule in enumerate(rules):
        _check_roles(rule.roles, known, ("rules", str(index), "roles"))
        if rule.team is not None and rule.team not in found["teams"]:
            raise Refused("INVALID", "There is no team of this name.", ("rules", str(index), "team"))


def _check_issuer(issuer: str, ours: Collection[str]) -> None:
    """Raise Refused for what is no issuer's address: it is compared to the letter, so it has one spelling. Nor is it
    ours: everybody here has tokens of it."""
    try:
        url = parse_url(issuer, "`issuer`")
    except IssuerFault as fault:
        raise Refused("INVALID", f"{fault.message}.", ("issuer",)) from None
    if url.scheme == "http" and not is_loopback(url.host):
        raise Refused("INVALID", "`issuer` must be https, except on this very machine.", ("issuer",))
    scheme, _, rest = issuer.partition("://")
    before_path = f"{scheme}://{rest.partition('/')[0]}"
    if "?" in issuer or before_path != before_path.lower():
        raise Refused("INVALID", "`issuer` has no query, and its host is in small letters.", ("issuer",))
    if issuer.rstrip("/") in {each.rstrip("/").lower() for each in ours} - {""}:
        raise Refused("INVALID", "`issuer` is this very installation, which is no provider to itself.", ("issuer",))
    if "/.well-known/" in issuer:
        raise Refused("INVALID", "`issuer` is what comes before `/.well-known/`.", ("issuer",))


def _check_roles(roles: Iterable[str], known: Iterable[str], path: tuple[str, ...]) -> None:
    for role in roles:
        if role not in known:
            raise Refused("INVALID", f"There is no role {role[:60]!r}; there are: {', '.join(sorted(known))}.", path)


def _check_texts(path: str, values: Sequence[str]) -> None:
    for value in _bounded(values, path):
        if not _TOKEN.match(value):
            raise Refused("INVALID", f"`{path}` must be 1 to 300 ASCII letters without spaces and quotes.", (path,))


def _bounded(values: Sequence[str], path: str) -> Sequence[str]:
    if len(values) > MAX_LISTED:
        raise Refused("INVALID", f"`{path}` can have no more than {MAX_LISTED} entries.", (path,))
    return values
