"""The installation that a command works on: its addresses and secrets, and what is made from them."""

from __future__ import annotations

import os

from crm_graph.cli.place import settings
from crm_graph.db.pool import Database
from crm_graph.identity.installation import Installation, make_services, make_vault
from crm_graph.identity.secrets import load_secrets, secrets_of_environment
from crm_graph.identity.services import Services
from crm_graph.vault.master import load_service
from crm_graph.vault.vault import Vault

RETIRED_SECRETS = "CRM_AUDIT_SECRETS"
"""Secrets that were in CRM_SECRET once and left it: they verify the audit trail, and nothing else."""


async def installation(database: Database) -> Installation:
    """Return what an API process needs, with the secrets of this installation."""
    secrets = await load_secrets(database.primary_reader(), os.environ)
    service = load_service(os.environ, secrets)
    retired = secrets_of_environment(os.environ, RETIRED_SECRETS)
    others: tuple[str | None, str | None] = None, None
    if database.url == os.environ.get("DATABASE_URL"):  # and not an embedded one, which has no others
        others = os.environ.get("DATABASE_READ_URL") or None, os.environ.get("DATABASE_POOL_URL") or None
    return Installation(database.url, secrets, *others, service, retired)


async def services_of(database: Database) -> Services:
    """Return what a command has for identity."""
    return make_services(await installation(database), settings(), database)


async def vault_of(database: Database) -> Vault:
    """Return the vault of a command."""
    return make_vault(await installation(database), settings(), database)
