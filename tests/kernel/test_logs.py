"""Log lines: what they are made of, and that a message cannot be more than one of them."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from crm_graph.kernel.logs import REQUEST_ID, Lines, Text


def trace(error: BaseException) -> str:
    return f"{type(error).__name__}\n"


def record(message: str, *args: object, name: str = "crm_graph.test", **extra: object) -> logging.LogRecord:
    return logging.getLogger(name).makeRecord(name, logging.WARNING, __file__, 1, message, args, None, extra=extra)


def test_a_line_of_json() -> None:
    made = record("a %s", "word", fields={"kind": "query", "durationMs": 1.5})
    made.created = 1_796_000_000.25
    assert json.loads(Lines(trace).format(made)) == {
        "time": "2026-11-30T00:53:20.250Z",
        "level": "warning",
        "logger": "crm_graph.test",
        "message": "a word",
        "kind": "query",
        "durationMs": 1.5,
    }


def test_lines_of_a_request_name_it() -> None:
    token = REQUEST_ID.set("abc")
    try:
        assert json.loads(Lines(trace).format(record("x")))["requestId"] == "abc"
        assert Text(trace).format(record("x")).endswith("crm_graph.test: x requestId=abc")
    finally:
        REQUEST_ID.reset(token)
    assert "requestId" not in json.loads(Lines(trace).format(record("x")))


def test_no_message_poses_as_another_line() -> None:
    made = record("first\n2026-11-30T00:00:00.000Z ERROR    crm_graph: second\rthird")
    assert Lines(trace).format(made).count("\n") == 0
    _, *more = Text(trace).format(made).splitlines()
    assert more
    assert all(line.startswith("    ") for line in more)


@pytest.mark.parametrize("unseen", ["\x1b[2J", "\x07", "\x7f", "\x9b31m", "\u2028", "\u202e", "\x85"])
def test_what_moves_a_terminal_is_shown(unseen: str) -> None:
    made = record("%s", f"before{unseen}after", fields={"operation": unseen})
    assert Lines(trace).format(made).isascii()
    assert json.loads(Lines(trace).format(made))["message"] == f"before{unseen}after"
    said = Text(trace).format(made)
    assert unseen not in said
    assert len(said.splitlines()) == 1
    assert ascii(unseen)[1:-1] in said


def test_exceptions_are_told_by_what_knows_how() -> None:
    made = record("failed")
    made.exc_info = (KeyError, KeyError("ada@example.com"), None)
    for formatter in (Lines(trace), Text(trace)):
        said = formatter.format(made)
        assert "KeyError" in said
        assert "ada" not in said


async def test_asyncio_describes_no_values(caplog: pytest.LogCaptureFixture) -> None:
    """A task whose failure nobody asked for."""

    async def fail() -> None:
        raise ValueError("ada@example.com")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    described = repr(task)
    task.exception()
    assert "ada@example.com" in described
    said = Lines(trace).format(record(f"Task exception was never retrieved\nfuture: {described}", name="asyncio"))
    assert "ada@example.com" not in said
    assert "fail" in said, "the place is told"
