"""Who may see and change API clients: administrators, and whom a role of the workspace grants it, within the roles that
they hold themselves."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.clients.events import ApiClientUpdated
from crm_graph.domains.identity.clients.model import ApiClient, ApiKey, TrustedDocument
from crm_graph.kernel.errors import Forbidden, Refused
from crm_graph.permissions.policy import Policy, Writer
from crm_graph.permissions.rights import Image, refuse_beyond

_POWER = Statement(
    "SELECT first_party, roles FROM api_client WHERE workspace_id = $1 AND id = $2", ("workspace_id", "client_id"), {}
)


async def hold_power(work: Writer, before: Image | None, after: Image | None) -> None:
    """The rule of what gives a client its power: which roles it may use, and where codes for them are sent, with or
    without a secret, a consent, a bound to documents or rates. Raises Refused FORBIDDEN unless the writer holds all of
    these roles, before and after.

    The attack: a client of one's own, or an address of one's own at another's, by which an administrator signs in. A
    first-party one asks nobody for consent, and acts as people on their own records: administrators alone keep those.
    """
    for image in (before, after):
        if image is None:
            continue
        if image["first_party"]:
            raise Refused(
                "FORBIDDEN",
                "Only administrators may make or change clients that ask nobody for consent.",
                ("firstParty",),
            )
        if image["roles"] is None:
            raise Refused(
                "FORBIDDEN",
                "This client may use all roles of whoever signs in with it: only administrators may make or change"
                " such clients. Name in `memberRoles` roles that you hold.",
                ("memberRoles",),
            )
        refuse_beyond(work, image["roles"], "memberRoles")


async def hold_client_s_power(work: Writer, before: Image | None, after: Image | None) -> None:
    """The rule of what a client has: a key, with which it is the client, and the documents that it runs for whoever
    signs in with it. Who gives or takes one is held to the power of the client itself; what all clients run, an
    administrator's among them, is administrators' alone. Raises Refused or Forbidden."""
    for image in (before, after):
        if image is None:
            continue
        client_id = image["client_id"]
        if client_id is None:
            raise Forbidden("Only administrators may trust documents for all clients of the workspace.")
        key = f"power of client {client_id}"
        if key not in work.facts:
            values = {"workspace_id": work.viewer.workspace_id, "client_id": client_id}
            work.facts[key] = await work.session.fetch_row(_POWER, values)
        await hold_power(work, work.facts[key], None)


API_CLIENT = Policy(
    "ApiClient",
    table_of(ApiClient),
    directory=True,
    decides=dict.fromkeys(
        (
            *("roles", "member_id", "first_party", "redirect_uris", "kind", "document_mode"),
            *("requests_per_minute", "cost_per_minute", "name"),
        ),
        hold_power,
    ),
)
API_KEY = Policy(
    "ApiKey",
    table_of(ApiKey),
    parent=(API_CLIENT, "client_id"),
    in_version=ApiClientUpdated,
    directory=True,
    decides={"client_id": hold_client_s_power},
)
TRUSTED_DOCUMENT = Policy(
    "TrustedDocument",
    table_of(TrustedDocument),
    parent=(API_CLIENT, "client_id"),
    in_version=False,
    decides={"client_id": hold_client_s_power},
)
"""Not a type of the schema: it names the entity in the event log. Who may change a client may change its documents,
which builds push by the hundred while somebody edits the client: they leave its version alone."""
