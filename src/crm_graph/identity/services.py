"""What a process has for identity: the keys, the database and the settings, for whoever signs somebody in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_graph.db.pool import Database
from crm_graph.identity.keys import derive_key
from crm_graph.identity.passwords import Passwords
from crm_graph.identity.rsa_keys import RS256, RsaKeys
from crm_graph.identity.tokens import TokenAuthority
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.settings import Settings
from crm_graph.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Services:
    """One a process; `secrets` are the installation's, the newest first."""

    authority: TokenAuthority
    database: Database
    secrets: Sequence[bytes]
    vault: Vault
    settings: Settings
    clock: Clock = system_clock
    passwords: Passwords = field(init=False, repr=False)
    rsa: RsaKeys = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "passwords", Passwords(self.settings))
        keys = RsaKeys(self.database, self.secrets, self.settings.key_days, self.clock)
        object.__setattr__(self, "rsa", keys)

    def sign_id_token(self, claims: dict[str, Any]) -> str:
        """Return an ID token: not of an access token's type, so that none is taken for one. After `rsa.turn`."""
        if self.settings.id_token_algorithm == RS256:
            return self.rsa.sign(claims, "JWT")
        return self.authority.sign(claims, "JWT")

    async def client_of_id_token(self, token: str) -> str | None:
        """Return the client (`aud`) of an ID token that was made here, over or not; None for any other text."""
        await self.rsa.turn()
        claims = self.rsa.verify(token) or self.authority.verify_id_token(token)
        audience = None if claims is None else claims.get("azp")
        return audience if isinstance(audience, str) else None

    async def jwks(self) -> dict[str, Any]:
        """Return the public keys by which tokens and ID tokens of today can be checked, as a JWK set."""
        return {"keys": [*self.authority.jwks()["keys"], *await self.rsa.public()]}

    def keys(self, purpose: str, length: int = 32) -> list[bytes]:
        """Return the keys of one purpose: the first makes, all of them check."""
        return [derive_key(secret, purpose, length) for secret in self.secrets]
