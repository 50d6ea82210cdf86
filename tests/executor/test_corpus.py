"""Every operation of the corpus under both executors: the same data, errors, paths and withheld coordinates.

A case is a file in `corpus/`; adding one is adding a file. Comments in its head say how it is run:

    # role: sales_rep                  as whom, admin unless given
    # variables: {"id": "@Customer"}   JSON; "@Customer" is the id of that type's first record
    # onError: NULL                    what errors do, PROPAGATE unless given
    # statements: 3                    how many the planned executor must send, exactly
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crm_graph.executor.results import OnError
from tests.support.graph import Graph

CASES = sorted((Path(__file__).parent / "corpus").glob("*.graphql"))


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
    expected = _head(source, "statements")
    if expected is not None:
        assert graph.statements == int(expected), "\n".join(graph.database.one.sent)


def test_the_corpus_is_there() -> None:
    assert len(CASES) >= 25
