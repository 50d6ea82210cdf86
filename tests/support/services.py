"""What a process has for identity, as tests have it."""

from __future__ import annotations

from crm_graph.db.pool import Database
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import TokenAuthority
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.settings import Settings
from crm_graph.vault.master import MasterKeys
from crm_graph.vault.vault import Vault

SECRET = b"s" * 32


def make_services(
    authority: TokenAuthority,
    database: Database,
    settings: Settings | None = None,
    clock: Clock = system_clock,
    secret: bytes = SECRET,
) -> Services:
    """Return services over a database, under one secret."""
    vault = Vault(MasterKeys.of({}, [secret]), database)
    return Services(authority, database, [secret], vault, settings or Settings(), clock)
