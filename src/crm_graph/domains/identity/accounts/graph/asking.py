"""What the mutations of accounts take from the context of a request."""

from __future__ import annotations

from crm_graph.db.lending import Lease
from crm_graph.domains.identity.accounts import texts
from crm_graph.domains.identity.accounts.journal import By
from crm_graph.domains.identity.accounts.operations import Me
from crm_graph.graph.context import GraphContext, Info
from crm_graph.graph.records.enums import describe

describe(
    texts.Language,
    "A language that mails are written in.",
    {"EN": "English.", "ZH": "Chinese, simplified."},
    name="MailLanguage",
)


def rested(info: Info) -> GraphContext:
    """Return the context of a request that holds no connection.

    These mutations commit attempts in transactions of their own and wait for passwords to be hashed. Requests that
    hold one connection and wait for a second would wait for each other.
    """
    _rest(info.context)
    return info.context


def me(info: Info) -> Me:
    """Return the member who asks, at work on their own account."""
    context = rested(info)
    viewer = context.viewer
    by = By(viewer.member_id, context.origin, context.request_id, viewer.client_id)
    return Me(context.services, viewer, context.reader, context.begin, lambda: _rest(context), by)


def _rest(context: GraphContext) -> None:
    if isinstance(context.reader.connection, Lease):
        context.reader.connection.rest()
