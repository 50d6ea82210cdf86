"""Which outage an error is told as."""

from __future__ import annotations

import logging

import asyncpg
import pytest

from crm_graph.db.connecting import explained
from crm_graph.db.outages import LOST_KIND, SILENT_KIND, Outages, kind_of
from crm_graph.kernel.errors import Unreachable

URL = "postgresql://ada:hidden@db.example.com:5432/crm?password=hidden&sslmode=require"


def said_by(severity: str) -> asyncpg.PostgresError:
    """Return the error of a connection, as who ends it says it, or who goes on."""
    error = asyncpg.ProtocolViolationError("server login has been failing")
    error.severity = error.severity_en = severity
    return error


def test_a_pooler_without_a_server_is_no_worker_of_a_cluster(caplog: pytest.LogCaptureFixture) -> None:
    """A coordinator goes on when a worker is away; PgBouncer ends the connection, and nobody else tells of it."""
    outages = Outages()
    with caplog.at_level(logging.WARNING):
        assert outages.tell(said_by("ERROR"))
        assert not caplog.records
        assert outages.tell(said_by("FATAL"))
    assert dict(outages.kinds) == {"a worker is down": 1, LOST_KIND: 1}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InvalidPasswordError("password authentication failed"),
        asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"),
        asyncpg.InvalidCatalogNameError("database does not exist"),
        asyncpg.ObjectNotInPrerequisiteStateError("database is not currently accepting connections"),
        asyncpg.InsufficientPrivilegeError("permission denied for database"),
    ],
)
def test_who_is_not_let_in_is_told_without_the_password(error: asyncpg.PostgresError) -> None:
    with pytest.raises(Unreachable) as caught, explained(URL):
        raise error
    assert str(error) in caught.value.what
    assert "ada@db.example.com" in caught.value.what
    assert "hidden" not in str(caught.value)
    assert kind_of(caught.value) == "it lets nobody in"


async def test_silence_is_known_where_its_end_is_looked_for() -> None:
    """Elsewhere it would be silent for ever after one time limit."""
    outages = Outages()

    async def probe() -> None:
        raise TimeoutError

    outages.tell(TimeoutError())
    assert outages.kinds[SILENT_KIND] == 1
    assert not outages.is_silent
    async with outages.watched(probe):
        outages.tell(TimeoutError())
        outages.tell(ConnectionResetError())  # our own doing, perhaps
        assert outages.is_silent
    assert not outages.is_silent  # type: ignore[unreachable] # it was asked before
