"""Whether the secrets that a process is given open what its database holds: before it serves, not when somebody asks.

One that starts with another secret than its installation's refuses every token, cannot send a webhook, and seals an
audit trail that nobody can verify. So it does not start.
"""

from __future__ import annotations

from collections.abc import Iterable

from crm_graph.db.pool import Database
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts import outbox, second_factor
from crm_graph.domains.identity.providers import secret as provider_secret
from crm_graph.domains.platform.audit.chain import seal_keys
from crm_graph.domains.platform.webhooks import signing
from crm_graph.identity.installation import Installation, make_services
from crm_graph.identity.sealing import unseal
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings
from crm_graph.vault.master import MasterKeys
from crm_graph.vault.status import wrappings

LOOKED_AT = 1_000
"""So many values of each kind are opened: a process that starts does not read a whole table."""
_HEADS = Statement("SELECT DISTINCT key_id FROM audit_head ORDER BY key_id", (), {})
_SEALED = {
    signing.PURPOSE: "SELECT workspace_id, sealed FROM webhook_secret",
    provider_secret.PURPOSE: "SELECT workspace_id, sealed FROM identity_provider_secret",
    second_factor.PURPOSE: "SELECT workspace_id, totp_secret FROM credential WHERE totp_secret IS NOT NULL",
    outbox.PURPOSE: "SELECT workspace_id, content FROM mail",
}
"""What is sealed for each purpose: the workspace, and the text."""


async def require_openable(installed: Installation, database: Database) -> None:
    """Raise OperatorError for a secret or master key that does not open what the database holds, naming which and how
    to mend it."""
    reader = database.primary_reader()
    await wrappings(reader, installed.key_service or MasterKeys.of({}, installed.secrets))
    services = make_services(installed, Settings(), database)
    for purpose, query in _SEALED.items():
        for workspace_id, text in await reader.fetch(Statement(f"{query} LIMIT {LOOKED_AT}", (), {}), {}):
            try:
                unseal(services, purpose, workspace_id, text)
            except OperatorError as error:
                raise OperatorError(f"CRM_SECRET is not this installation's: {error.what}", error.fix) from None
    await _require_trail(reader, [*installed.secrets, *installed.retired_secrets])


async def _require_trail(reader: ReadSession, secrets: Iterable[bytes]) -> None:
    given = [key.id for key in seal_keys(secrets)]
    sealed = [row["key_id"] for row in await reader.fetch(_HEADS, {})]
    missing = [id_ for id_ in sealed if id_ not in given]
    if missing:
        raise OperatorError(
            f"CRM_SECRET is not this installation's: its audit trail is sealed under {', '.join(missing)}, and given "
            f"are {', '.join(given)}",
            "put that secret back into CRM_SECRET, behind the new one and a comma, or into CRM_AUDIT_SECRETS",
        )
