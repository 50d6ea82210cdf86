"""Every operation of the corpus under both executors: the same data, errors, paths and withheld coordinates.

A case is a file in `corpus/`; adding one is adding a file. Comments in its head say how it is run:

    # role: sales_rep                  as whom, admin unless given
    # variables: {"id": "@Customer"}   JSON; "@Customer" is the id of that type's first record
    # onError: NULL                    what errors do, PROPAGATE unless given
    # fails: yes                       some errors are expected
    # statements: 3                    how many the planned executor must send, exactly; required

Statements are those that read and write, a mutation's transaction included; finding the viewer is not counted. The
heads are measured and written by

    UPDATE_STATEMENTS=1 .venv/bin/python -m pytest tests/executor/test_corpus.py

whose changes belong under review: a number that grew is a statement more for every client.
"""

from __future__ import annotations

import json
import os
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from crm_graph.executor.results import OnError
from tests.support.graph import Graph

CASES = sorted((Path(__file__).parent / "corpus").glob("*.graphql"))
UPDATE = "UPDATE_STATEMENTS"
COMMAND = f"{UPDATE}=1 .venv/bin/python -m pytest tests/executor/test_corpus.py"


def _head(source: str, name: str) -> str | None:
    prefix = f"# {name}: "
    return next((line.removeprefix(prefix) for line in source.splitlines() if line.startswith(prefix)), None)


async def _variables(graph: Graph, source: str) -> dict[str, Any]:
    async def fill(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("@"):
            name, _, where = value[1:].partition(" where ")
            return await graph.id_of(graph.schema.registry.records[name].cls, where or "true")
        if isinstance(value, dict):
            return {key: await fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [await fill(item) for item in value]
        return value

    found: dict[str, Any] = await fill(json.loads(_head(source, "variables") or "{}"))
    return found


def with_statements(source: str, statements: int) -> str:
    """Return a case with the number of its statements as the last line of its head."""
    head = list(takewhile(lambda line: line.startswith("# "), source.splitlines(keepends=True)))
    kept = [line for line in head if not line.startswith("# statements: ")]
    return "".join([*kept, f"# statements: {statements}\n", source[sum(map(len, head)) :]])


def comparable(body: dict[str, Any]) -> str:
    """Return a response as text: errors in the order of their paths, without their request ids."""
    errors = body.get("errors", [])
    for error in errors:
        error.get("extensions", {}).pop("requestId", None)
    ordered = sorted(errors, key=lambda error: json.dumps(error.get("path")))
    return json.dumps({**body, "errors": ordered}, ensure_ascii=False, indent=1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
async def test_both_executors_answer_alike(graph: Graph, case: Path) -> None:
    source = case.read_text()
    role = _head(source, "role") or "admin"
    on_error = OnError[_head(source, "onError") or "PROPAGATE"]
    variables = await _variables(graph, source)
    answers = {}
    for executor in ("reference", "planned"):
        graph.use(executor)
        savepoint = graph.database.one.connection.transaction()
        await savepoint.start()
        answers[executor] = comparable(await graph.execute(source, variables, role=role, on_error=on_error))
        await graph.database.one.idle()
        await savepoint.rollback()
    assert answers["planned"] == answers["reference"]
    assert '"errors": []' in answers["planned"] or _head(source, "fails") == "yes", answers["planned"]
    if os.environ.get(UPDATE):
        case.write_text(with_statements(source, graph.statements))
        return
    expected = _head(source, "statements")
    assert expected is not None, f"{case.name} does not say how many statements it sends: {COMMAND}"
    assert graph.statements == int(expected), "\n".join([*graph.database.one.sent, COMMAND])


def test_the_corpus_is_there() -> None:
    assert len(CASES) >= 25


def test_heads_are_written_once() -> None:
    written = with_statements("# role: analyst\n# fails: yes\n{ viewer { roles } }\n# statements: said\n", 3)
    assert written == "# role: analyst\n# fails: yes\n# statements: 3\n{ viewer { roles } }\n# statements: said\n"
    assert with_statements(written, 3) == written
    assert with_statements(written, 4) == written.replace("# statements: 3", "# statements: 4")
    assert with_statements("{ a }", 0) == "# statements: 0\n{ a }"
