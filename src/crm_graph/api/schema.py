"""The explicit list of slices: what is not listed here is not in the product.

Tables come with the models that slices import, and those of no slice are listed too: who imports this module has them
all (`db.base.Base.metadata`).
"""

from __future__ import annotations

from functools import lru_cache

from crm_graph.db.usage import WorkspaceUsage
from crm_graph.domains.catalog.products.graph import SLICE as PRODUCTS
from crm_graph.domains.customers.contacts.graph import SLICE as CONTACTS
from crm_graph.domains.customers.customers.graph import SLICE as CUSTOMERS
from crm_graph.domains.identity.accounts.graph import SLICE as ACCOUNTS
from crm_graph.domains.identity.authorizations.graph import SLICE as AUTHORIZATIONS
from crm_graph.domains.identity.clients.graph import SLICE as CLIENTS
from crm_graph.domains.identity.providers.graph import SLICE as PROVIDERS
from crm_graph.domains.marketing.campaigns.graph import SLICE as CAMPAIGNS
from crm_graph.domains.orders.orders.graph import SLICE as ORDERS
from crm_graph.domains.platform.audit.graph import SLICE as AUDIT
from crm_graph.domains.platform.jobs.graph import SLICE as JOBS
from crm_graph.domains.platform.webhooks.graph import SLICE as WEBHOOKS
from crm_graph.domains.sales.opportunities.graph import SLICE as OPPORTUNITIES
from crm_graph.domains.sales.pipelines.graph import SLICE as PIPELINES
from crm_graph.domains.service.tickets.graph import SLICE as TICKETS
from crm_graph.domains.workspace.members.graph import SLICE as MEMBERS
from crm_graph.domains.workspace.rates.graph import SLICE as EXCHANGE_RATES
from crm_graph.domains.workspace.workspaces.graph import SLICE as WORKSPACE
from crm_graph.events.horizon import EventHorizon
from crm_graph.events.model import EventRow, HistoryPosition, HistoryType, LogEpoch
from crm_graph.graph.changes.feed import FeedQueries
from crm_graph.graph.reading.page_requests import PageLimits
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import Node
from crm_graph.graph.schema.build import BuiltSchema, Slice, build_schema
from crm_graph.identity.model import InstallationSecret, SigningKey
from crm_graph.vault.model import WorkspaceKey


class NodeQueries:
    """Relay's fields of Query."""

    node: Node | None = roots.node("Any object by its id; null for what you may not see, and for what does not exist.")
    nodes: list[Node | None] = roots.nodes("Objects by their ids, in the order of the ids.")


FEED = Slice("feed", queries=(FeedQueries,))
NODES = Slice("nodes", queries=(NodeQueries,))

SLICES = (
    NODES,
    FEED,
    WORKSPACE,
    MEMBERS,
    CLIENTS,
    ACCOUNTS,
    PROVIDERS,
    AUTHORIZATIONS,
    AUDIT,
    JOBS,
    WEBHOOKS,
    EXCHANGE_RATES,
    PRODUCTS,
    CUSTOMERS,
    CONTACTS,
    PIPELINES,
    OPPORTUNITIES,
    ORDERS,
    CAMPAIGNS,
    TICKETS,
)
TABLES = (
    EventRow,
    EventHorizon,
    LogEpoch,
    HistoryPosition,
    HistoryType,
    InstallationSecret,
    SigningKey,
    WorkspaceKey,
    WorkspaceUsage,
)
"""The tables of no slice. What reads and writes them is text, and does not import them."""


def make_schema(limits: PageLimits | None = None) -> BuiltSchema:
    """Return the schema of the product. It takes a second of CPU, and is the same for the same limits."""
    return _made(limits or PageLimits())


@lru_cache(maxsize=4)
def _made(limits: PageLimits) -> BuiltSchema:
    return build_schema(SLICES, limits)
