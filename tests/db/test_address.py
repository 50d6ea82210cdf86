"""Addresses of Postgres without their passwords."""

from __future__ import annotations

import pytest

from crm_graph.cli.recovery.programs import connection_of
from crm_graph.db.address import split_password
from crm_graph.db.connecting import explained
from crm_graph.kernel.errors import OperatorError

ADDRESSES = {
    "postgresql://crm:secret@db:5432/crm": ("postgresql://crm@db:5432/crm", "secret"),
    "postgresql://crm:se%2Fcr%40et@db/crm": ("postgresql://crm@db/crm", "se/cr@et"),
    "postgresql://crm@db/crm": ("postgresql://crm@db/crm", None),
    "postgresql://crm@/crm?host=/run/crm&port=5432": ("postgresql://crm@/crm?host=/run/crm&port=5432", None),
    "postgresql://crm@db/crm?password=secret&sslmode=require": ("postgresql://crm@db/crm?sslmode=require", "secret"),
    "postgresql://crm@db/crm?password=secret": ("postgresql://crm@db/crm", "secret"),
    "postgresql://crm@db/crm?sslpassword=secret&sslmode=require": ("postgresql://crm@db/crm?sslmode=require", None),
    "postgresql://crm:secret@db1:5432,db2:5433/crm?application_name=a@b": (
        "postgresql://crm@db1:5432,db2:5433/crm?application_name=a@b",
        "secret",
    ),
    "postgresql://db:5432/crm?application_name=a@b": ("postgresql://db:5432/crm?application_name=a@b", None),
}
WRONG = ("postgresql://crm:se/cret@db/crm", "postgresql://crm:se?cret@db/crm", "postgresql://crm:12/cret@db/crm")


@pytest.mark.parametrize(("url", "parts"), ADDRESSES.items(), ids=ADDRESSES)
def test_an_address_and_its_password(url: str, parts: tuple[str, str | None]) -> None:
    assert split_password(url) == parts


@pytest.mark.parametrize("url", WRONG)
def test_a_password_that_is_not_escaped_is_not_shown(url: str) -> None:
    assert split_password(url) == ("postgresql://crm@db/crm", None)


def test_nor_is_what_is_wrong_in_one() -> None:
    """asyncpg quotes what it took for the port."""
    with pytest.raises(OperatorError) as raised, explained(WRONG[0]):
        int("se")
    assert raised.value.what == "DATABASE_URL is not a Postgres address"
    assert "%2F" in raised.value.fix


def test_what_is_no_address_is_not_shown() -> None:
    assert split_password("crm:secret") == ("DATABASE_URL", None)


def test_programs_are_not_given_a_password_among_their_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of a machine reads those; the environment is read by its owner alone."""
    monkeypatch.setenv("PGPASSWORD", "of the environment")
    arguments, environment = connection_of("postgresql://crm:secret@db/crm")
    assert arguments == ["--dbname", "postgresql://crm@db/crm"]
    assert environment["PGPASSWORD"] == "secret"
    assert connection_of("postgresql://crm@db/crm")[1]["PGPASSWORD"] == "of the environment"
