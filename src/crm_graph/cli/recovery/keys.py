"""The keys that a backup is worth nothing without: which there are, and whether those given here open what is stored.

Encrypted in the database are the keys of workspaces (by a master key), and what is sealed under a secret of the
installation: webhooks' and providers' secrets, second factors, mails. The audit trail is sealed under it too: it cannot
be continued without.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from crm_graph.cli.installed import RETIRED_SECRETS, installation
from crm_graph.cli.place import settings
from crm_graph.db.connecting import close, connect
from crm_graph.db.pool import Database
from crm_graph.domains.identity.accounts import outbox, second_factor
from crm_graph.domains.identity.providers import secret as provider_secret
from crm_graph.domains.platform.audit.chain import seal_keys
from crm_graph.domains.platform.webhooks import signing
from crm_graph.identity.installation import Installation, make_services
from crm_graph.identity.sealing import unseal
from crm_graph.identity.secrets import secrets_of_environment
from crm_graph.kernel.errors import OperatorError
from crm_graph.vault.master import (
    FROM_ENVIRONMENT,
    SERVICE_VARIABLE,
    VARIABLE,
    MasterKeys,
    keys_of_environment,
)
from crm_graph.vault.status import wrappings

_KEY_IDS = "SELECT key_id FROM audit_head UNION SELECT key_id FROM audit_entry"
_SEALED = {
    signing.PURPOSE: "SELECT workspace_id, sealed FROM webhook_secret",
    provider_secret.PURPOSE: "SELECT workspace_id, sealed FROM identity_provider_secret",
    second_factor.PURPOSE: "SELECT workspace_id, totp_secret FROM credential WHERE totp_secret IS NOT NULL",
    outbox.PURPOSE: "SELECT workspace_id, content FROM mail",
}
"""What is sealed for each purpose: the workspace, and the text."""
_WRAPPED_BY = "SELECT DISTINCT wrapped_by FROM workspace_key ORDER BY wrapped_by"
KEEP = "set the variables as they were when the backup was made; without those keys what they encrypt is lost for good"


@dataclass(frozen=True, slots=True)
class KeysInUse:
    """What opens what is stored: names of secrets and of master keys; and whether the database keeps the secret."""

    secrets: tuple[str, ...]
    master_keys: tuple[str, ...]
    own_secret: bool

    def to_keep(self) -> list[str]:
        """Return what an operator is to keep beside a backup, a line for each."""
        secrets = ", ".join(self.secrets)
        if self.own_secret:
            kept = [f"the secret of the installation is in the backup itself ({secrets}): whoever has it can sign in"]
        else:
            kept = [f"CRM_SECRET, and {RETIRED_SECRETS} if it is set ({secrets})"]
        if os.environ.get(SERVICE_VARIABLE):
            kept.append(f"{SERVICE_VARIABLE} and what it names, which wraps the keys of workspaces")
        elif outside := [name for name in self.master_keys if name.startswith(f"{FROM_ENVIRONMENT}:")]:
            kept.append(f"{VARIABLE} ({', '.join(outside)})")
        return kept


def names_of(secrets: Sequence[bytes]) -> tuple[str, ...]:
    """Return the names of secrets, which tell nothing of them: those that the audit trail knows them by."""
    return tuple(key.id for key in seal_keys(secrets))


async def require_keys(database: Database) -> KeysInUse:
    """Return the keys that open what a database holds, once all of it was tried. Raises OperatorError naming what the
    keys that are given here do not open."""
    installed = await installation(database)
    reader = database.primary_reader()
    service = installed.key_service or MasterKeys.of({}, installed.secrets)
    await wrappings(reader, service)
    connection = await connect(database.url, None)  # a trail takes longer than a request
    try:
        used = {row["key_id"] for row in await connection.fetch(_KEY_IDS)}
        await _require_opened(database, installed, connection)
        masters = tuple(row["wrapped_by"] for row in await connection.fetch(_WRAPPED_BY))
    finally:
        await close(connection)
    given = names_of([*installed.secrets, *installed.retired_secrets])
    if missing := sorted(used.difference(given)):
        raise OperatorError(
            f"the audit trail is sealed under secrets that are not given here: {', '.join(missing)} (given are"
            f" {', '.join(given)})",
            f"put them into CRM_SECRET behind the newest, or into {RETIRED_SECRETS}; {KEEP}",
        )
    return KeysInUse(given, masters, own_secret=not secrets_of_environment(os.environ))


async def _require_opened(database: Database, installed: Installation, connection: asyncpg.Connection[Any]) -> None:
    services = make_services(installed, settings(), database)
    for purpose, query in _SEALED.items():
        for workspace_id, text in await connection.fetch(query):
            try:
                unseal(services, purpose, workspace_id, text)
            except OperatorError as error:
                raise OperatorError(f"CRM_SECRET is not the one of this installation: {error.what}", KEEP) from None


def require_named(secrets: Sequence[str], master_keys: Sequence[str], *, own_secret: bool) -> None:
    """Raise OperatorError unless the keys that a backup names are given here: before anything is restored. What a key
    service (`CRM_KEY_SERVICE`) opens is seen only when it is asked."""
    given = names_of([*secrets_of_environment(os.environ), *secrets_of_environment(os.environ, RETIRED_SECRETS)])
    missing = [name for name in secrets if name not in given]
    if missing and own_secret and given:
        raise OperatorError(
            "the backup has its secret in itself, and CRM_SECRET, which takes its place, is another one",
            "unset CRM_SECRET",
        )
    if missing and not own_secret:
        raise OperatorError(
            f"the backup was made under secrets that are not given here: {', '.join(missing)}",
            f"set CRM_SECRET, and {RETIRED_SECRETS}; {KEEP}",
        )
    known = {key.name for key in keys_of_environment(os.environ)}
    outside = [name for name in master_keys if name.startswith(f"{FROM_ENVIRONMENT}:") and name not in known]
    if outside and not os.environ.get(SERVICE_VARIABLE):
        raise OperatorError(
            f"the backup holds keys of workspaces that are wrapped by master keys that are not given here:"
            f" {', '.join(outside)}",
            f"set {VARIABLE}; {KEEP}",
        )
