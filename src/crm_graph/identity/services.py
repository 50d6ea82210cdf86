"""What a process has for identity: the keys, the database and the settings, for whoever signs somebody in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from crm_graph.db.pool import Database
from crm_graph.db.quota import Quotas
from crm_graph.identity.keys import derive_key
from crm_graph.identity.passwords import Passwords
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
    quotas: Quotas = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "passwords", Passwords(self.settings))
        object.__setattr__(self, "quotas", Quotas(self.settings))

    def keys(self, purpose: str, length: int = 32) -> list[bytes]:
        """Return the keys of one purpose: the first makes, all of them check."""
        return [derive_key(secret, purpose, length) for secret in self.secrets]
