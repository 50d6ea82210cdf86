"""An installation: the addresses and secrets that its processes and commands are given, and what is made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crm_graph.db.pool import Database
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import TokenAuthority
from crm_graph.kernel.settings import Settings
from crm_graph.vault.master import MasterKeys
from crm_graph.vault.service import KeyService
from crm_graph.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Installation:
    """What a process is given to run on: addresses and secrets; the newest secret first."""

    url: str
    secrets: Sequence[bytes]
    read_url: str | None = None
    pool_url: str | None = None
    key_service: KeyService | None = None
    """What wraps the keys of workspaces; None derives it from the secrets."""
    retired_secrets: Sequence[bytes] = ()
    """Secrets that only verify what the audit trail sealed under them."""


def authority(installation: Installation, settings: Settings) -> TokenAuthority:
    """Return the authority that signs and checks this installation's tokens."""
    issuer = settings.issuer or settings.public_url.rstrip("/") or "crm-graph"
    return TokenAuthority(installation.secrets, issuer, settings.audience, key_days=settings.key_days)


def make_vault(installation: Installation, settings: Settings, database: Database) -> Vault:
    """Return the vault of a process."""
    service = installation.key_service or MasterKeys.of({}, installation.secrets)
    return Vault(service, database, settings.vault_cache_ms, settings.vault_workspaces)


def make_services(installation: Installation, settings: Settings, database: Database) -> Services:
    """Return what a process has for identity."""
    vault = make_vault(installation, settings, database)
    return Services(authority(installation, settings), database, installation.secrets, vault, settings)
