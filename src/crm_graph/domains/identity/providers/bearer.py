"""Bearer tokens of other issuers, where a workspace accepts them: from a token to the claims of a member.

What a token costs us is bounded by what we know: one whose issuer nobody configured costs a look at its payload, one
with an unknown key a fetch per cool-down. What was verified is remembered for a few seconds, no longer than a change
of configuration may take; whether the member, the link and the provider are still good is asked with each request
(`accounts/directory.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from crm_graph.domains.identity.accounts.directory import FULL_SCOPE, READ_SCOPE
from crm_graph.domains.identity.providers.directory import (
    Linked,
    Provider,
    accepted_issuers,
    find_link,
    most_trusted,
    providers_of_issuer,
)
from crm_graph.domains.identity.providers.provisioning import NotAdmitted, admit
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.identity.oidc.tokens import Verified, peek, verify
from crm_graph.identity.origin import NOWHERE
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import LEEWAY, Claims
from crm_graph.kernel.errors import IssuerFault, Refused, Unauthenticated
from crm_graph.kernel.ids import new_id

_WHAT = "bearer token"
_TYPES = frozenset({"at+jwt", "jwt"})
_OF_ID_TOKENS = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events"})
"""Claims that only ID tokens, and the notices of logouts, have: what proves a sign-in to a program is no key to us."""
_JWT = "eyJ"
"""How a JSON object begins in base64url, and so a JWT."""
MAX_REMEMBERED = 10_000
MAX_CONFIGURATIONS = 1_000
_log = logging.getLogger(__name__)


class ProviderTokens:
    """Implements `identity.Resolver`."""

    def __init__(self, services: Services, issuers: Issuers) -> None:
        self._services = services
        self._issuers = issuers
        self._clock = services.clock
        self._ttl = timedelta(milliseconds=services.settings.provider_cache_ms)
        self._remembered: OrderedDict[bytes, tuple[Claims, datetime]] = OrderedDict()
        self._accepted: tuple[frozenset[str], datetime] | None = None
        self._configured: OrderedDict[str, tuple[list[Provider], datetime]] = OrderedDict()
        self._turn = asyncio.Lock()

    async def __call__(self, token: str) -> Claims | None:
        """Return the claims of a token of an issuer that some workspace accepts; None for anything else. Raises
        Unauthenticated."""
        if not token.startswith(_JWT) or len(token) > self._services.settings.max_provider_token_bytes:
            return None
        digest = hashlib.sha256(token.encode()).digest()
        remembered = self._remembered.get(digest)
        if remembered is not None and self._clock() < remembered[1]:
            return remembered[0]
        peeked = peek(token)
        if peeked is None or self._services.authority.has_key(peeked[0].get("kid")):
            return None  # what we signed is no provider's, also where one is configured under our name
        issuer = peeked[1].get("iss")
        if not isinstance(issuer, str) or issuer == self._services.authority.issuer:
            return None
        if issuer not in await self._issuers_accepted():
            return None
        claims = await self._resolve(issuer, token)
        self._remember(digest, claims)
        return claims

    def _remember(self, digest: bytes, claims: Claims) -> None:
        self._remembered[digest] = claims, min(self._clock() + self._ttl, claims.expires_at + LEEWAY)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    async def _resolve(self, issuer: str, token: str) -> Claims:
        try:
            verified = await verify(self._issuers, issuer, token, what=_WHAT, types=_TYPES, clock=self._clock)
        except IssuerFault as fault:
            _log.warning("a bearer token cannot be checked: %s", fault.message)
            raise Unauthenticated(f"The {_WHAT} cannot be checked: its issuer does not answer. Try again.") from None
        if _OF_ID_TOKENS & verified.claims.keys():
            raise Unauthenticated(f"The {_WHAT} is of another kind.")
        linked = await self._member(self._meant(await self._providers(issuer), verified), verified)
        return Claims(
            linked.workspace_id,
            linked.member_id,
            verified.expires_at,
            verified.issued_at,
            scope=_scope(verified.claims),
            identity_id=linked.id,
        )

    def _meant(self, providers: list[Provider], verified: Verified) -> list[Provider]:
        """Return the providers that a token may be for: by its audience, and by the claims that must be there. They may
        be of several workspaces, since nobody has to show that an audience is theirs."""
        audiences = frozenset(verified.audiences)
        found = [each for each in providers if each.audiences & audiences and each.requires(verified.claims)]
        if not found:
            raise Unauthenticated(f"The {_WHAT} is for somebody else.")
        return found

    async def _member(self, providers: list[Provider], verified: Verified) -> Linked:
        """Return link and member of a token's subject: of the workspace where it has one. One who is new is admitted
        where anybody may sign up."""
        reader = self._services.database.primary_reader()
        linked = await find_link(reader, providers, verified.subject)
        if linked is not None:
            return linked
        provider = await most_trusted(reader, [each for each in providers if each.allow_sign_up])
        if provider is None:
            raise Unauthenticated(f"The {_WHAT} is of nobody who is a member here: sign in with the provider first.")
        try:
            async with self._services.database.transaction() as session:
                admitted = await admit(
                    session, provider, verified.subject, verified.claims, self._clock, NOWHERE, new_id()
                )
        except (NotAdmitted, Refused) as error:
            reason = error.reason if isinstance(error, NotAdmitted) else error.code
            _log.info("provider %s: nobody was admitted by a bearer token: %s", provider.api_id, reason)
            raise Unauthenticated(f"The {_WHAT} is of somebody who cannot become a member here.") from None
        return Linked(provider.workspace_id, admitted.identity_id, admitted.member_id)

    async def _issuers_accepted(self) -> frozenset[str]:
        now = self._clock()
        if self._accepted is None or now >= self._accepted[1]:
            async with self._turn:
                if self._accepted is None or now >= self._accepted[1]:
                    found = await accepted_issuers(self._services.database.primary_reader())
                    self._accepted = found, now + self._ttl
        return self._accepted[0]

    async def _providers(self, issuer: str) -> list[Provider]:
        now = self._clock()
        known = self._configured.get(issuer)
        if known is not None and now < known[1]:
            return known[0]
        found = await providers_of_issuer(self._services.database.primary_reader(), issuer)
        self._configured[issuer] = found, now + self._ttl
        self._configured.move_to_end(issuer)
        if len(self._configured) > MAX_CONFIGURATIONS:
            self._configured.popitem(last=False)
        return found


def _scope(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """Return our scopes of a token; None, all that the member may do, for one whose issuer knows none of ours."""
    text = claims.get("scope")
    found = frozenset(text.split()) & {FULL_SCOPE, READ_SCOPE} if isinstance(text, str) else frozenset()
    return found or None
