"""Nobody waits without bound for a database that does not answer.

asyncpg's own transaction rolls back behind a statement that was not answered, and its own `close` waits for both. A
process that is told to stop, or whose statement ran out of time, hangs for as long as the network is silent. `unit` and
`close` of `db/connecting.py` cut such a connection.
"""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "crm_graph"
APART = {"db/connecting.py"}
"""They are made of asyncpg's own here."""
OURS = {"database", "_database", "lease"}
"""Whose transactions are our own."""


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def waits(source: str) -> list[str]:
    """Return the calls of asyncpg's `transaction`, and of its `close` without a limit."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if (node.func.attr == "transaction" and _name(node.func.value) not in OURS)
        or (
            node.func.attr == "close" and "connection" in _name(node.func.value) and not node.args and not node.keywords
        )
    ]


def test_what_waits_has_a_limit() -> None:
    found = {
        f"{name}: {call}"
        for path in sorted(SOURCE.rglob("*.py"))
        if (name := path.relative_to(SOURCE).as_posix()) not in APART
        for call in waits(path.read_text())
    }
    assert found == set()


def test_the_lint_sees_what_it_is_for() -> None:
    assert waits("async with connection.transaction(): pass")
    assert waits("async with self._connection.transaction(readonly=True): pass")
    assert waits("await connection.close()")
    assert not waits("async with services.database.transaction() as session: pass")
    assert not waits("async with unit(connection): pass")
    assert not waits("await connection.close(timeout=1)")
    assert not waits("await database.close()")
