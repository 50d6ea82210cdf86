"""What logs say of Postgres' errors: its message where that holds no values, names where it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from crm_graph.db.telling import trace
from crm_graph.kernel.errors import OperatorError, Unreadable

SECRET = "ada@example.com"


@pytest.fixture
async def connection(postgres: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection with a table of its own, which ends with it."""
    made = await asyncpg.connect(postgres)
    await made.execute(
        "CREATE TEMP TABLE person (email text CONSTRAINT one_of_each UNIQUE, age int NOT NULL, boss text REFERENCES"
        " pg_temp.person (email) DEFERRABLE)"
    )
    await made.execute("INSERT INTO person VALUES ($1, 1)", SECRET)
    yield made
    await made.close()


WITHOUT_VALUES = {
    "syntax": ("SELEC 1", (), '42601 syntax error at or near "SELEC"'),
    "no such table": ("SELECT 1 FROM nowhere", (), '42P01 relation "nowhere" does not exist'),
    "no such column": ("SELECT nothing FROM person", (), '42703 column "nothing" does not exist'),
    "too late": ("SET statement_timeout = 20; SELECT pg_sleep(9)", (), "57014 canceling statement due to"),
    "read only": ("SET transaction_read_only = on; CREATE TABLE x ()", (), "25006 cannot execute CREATE TABLE"),
}
WITH_VALUES = {
    "unique": ("INSERT INTO person VALUES ($1, 2)", (SECRET,), "23505 person one_of_each"),
    "null": ("INSERT INTO person VALUES ($1 || 'x', NULL)", (SECRET,), "23502 person age"),
    "foreign": ("INSERT INTO person VALUES ('b', 2, $1 || 'x')", (SECRET,), "23503 person person_boss_fkey"),
    "cast": ("SELECT $1::text::uuid", (SECRET,), "22P02"),
    "raised": (f"DO $$ BEGIN RAISE EXCEPTION '{SECRET}'; END $$", (), "P0001"),
    "argument": ("SELECT $1::int", (SECRET,), "DataError"),
}


async def failure(connection: asyncpg.Connection[Any], text: str, args: tuple[str, ...]) -> BaseException:
    try:
        await (connection.execute(text) if not args else connection.fetch(text, *args))
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(("text", "args", "said"), WITHOUT_VALUES.values(), ids=WITHOUT_VALUES.keys())
async def test_messages_that_hold_none_are_kept(
    connection: asyncpg.Connection[Any], text: str, args: tuple[str, ...], said: str
) -> None:
    assert said in trace(await failure(connection, text, args))


@pytest.mark.parametrize(("text", "args", "said"), WITH_VALUES.values(), ids=WITH_VALUES.keys())
async def test_values_are_not(connection: asyncpg.Connection[Any], text: str, args: tuple[str, ...], said: str) -> None:
    error = await failure(connection, text, args)
    assert SECRET in str(error), "else this shows nothing"
    told = trace(error)
    assert said in told
    assert "ada" not in told
    assert "test_telling.py" in told, "the place is told"


async def test_causes_are_told_as_carefully(connection: asyncpg.Connection[Any]) -> None:
    try:
        try:
            await connection.execute("INSERT INTO person VALUES ($1, 2)", SECRET)
        except asyncpg.UniqueViolationError as cause:
            raise KeyError(SECRET) from cause
    except KeyError as error:
        told = trace(ExceptionGroup(SECRET, [error]))
    assert "ada" not in told
    assert told.index("23505 person one_of_each") < told.index("builtins.KeyError")


def test_what_our_own_errors_and_python_say_is_kept() -> None:
    assert "no master key" in trace(OperatorError("no master key", "set one"))
    assert "contact.national_id" in trace(Unreadable("contact.national_id"))
    assert "NoneType" in trace(TypeError("'NoneType' object is not iterable"))


def test_an_exception_that_is_its_own_cause_ends() -> None:
    error = KeyError("x")
    error.__cause__ = error
    assert trace(error) == "builtins.KeyError\n"
