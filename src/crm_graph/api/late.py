"""The error of an operation whose time ran out."""

from __future__ import annotations

from graphql import GraphQLError

from crm_graph.db.lending import Lease
from crm_graph.db.outages import OUTAGES
from crm_graph.kernel.errors import InDoubt, RateLimited, RequestError
from crm_graph.kernel.shares import RETRY_AFTER_S


def late(error: TimeoutError, lease: Lease, *, mutation: bool) -> tuple[GraphQLError, str]:
    """Return the error and its code, as what it is: nobody is told that something was not done which may have been, and
    nobody is told to ask for less who waited for their own other operations, or for a database that answers nobody."""
    if lease.in_doubt:
        return _of(InDoubt())
    if OUTAGES.is_silent and not lease.committed:
        return GraphQLError(str(error), original_error=error), "TIMEOUT"  # which is then told as the outage that it is
    if lease.crowded:
        message = "Your other operations held all connections that one member may have: wait for their answers."
        return _of(RateLimited(message, RETRY_AFTER_S))
    if mutation:
        message = "This took too long and was stopped. What it had committed stays: read before you send it again."
        return GraphQLError(message), "TIMEOUT"
    return GraphQLError(str(error), original_error=error), "TIMEOUT"


def _of(error: RequestError) -> tuple[GraphQLError, str]:
    return GraphQLError(error.message, original_error=error), error.code
