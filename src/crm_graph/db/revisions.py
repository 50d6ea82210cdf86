"""Revisions: which one a database is at, and which one the code needs. Read off the names in the migrations' files.

Alembic knows as much, and says it after 0.3 s of CPU: it imports SQLAlchemy and runs every migration's file. Each
command and each start of a process asks, and hardly ever is there anything to migrate. A test holds that both say the
same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from crm_graph.kernel.errors import OperatorError

HEAD = "head"
MIGRATIONS_LOCK = 7_226_101_000
"""The advisory lock of whoever changes the schema, or where its tables lie."""
_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)
_FOLLOWS = re.compile(r'^down_revision = "(\w+)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Which revision a database is at, and which one the code needs."""

    current: str | None
    head: str
    known: bool

    @property
    def up_to_date(self) -> bool:
        """Whether the database is at the code's revision."""
        return self.current == self.head


def migrations() -> Path:
    """Return where the migrations lie: beside the package when installed, at the root in a clone. Raises
    OperatorError."""
    package = Path(__file__).parents[1]
    for place in (package / "migrations", package.parents[1] / "migrations"):
        if (place / "env.py").is_file():
            return place
    raise OperatorError("the migrations are not installed", "install the package again: its files are incomplete")


def revisions() -> tuple[str, frozenset[str]]:
    """Return the revision that the code needs, which no other follows, and all that it knows."""
    texts = [path.read_text(encoding="utf-8") for path in (migrations() / "versions").glob("*.py")]
    known = frozenset(name for text in texts for name in _REVISION.findall(text))
    (head,) = known.difference(name for text in texts for name in _FOLLOWS.findall(text))
    return head, known


async def state(url: str) -> SchemaState:
    """Return where a database stands."""
    head, known = revisions()
    connection = await asyncpg.connect(url)
    try:
        current = None
        if await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            current = await connection.fetchval("SELECT version_num FROM alembic_version")
    finally:
        await connection.close()
    return SchemaState(current, head, current is None or current in known)


async def require_current(url: str) -> None:
    """Raise OperatorError unless the database is at the code's revision."""
    found = await state(url)
    if found.up_to_date:
        return
    if found.current is None:
        raise OperatorError("the database is empty: it has no tables of crm-graph", "run `crm-graph migrate`")
    if not found.known:
        raise OperatorError(
            f"the database is at revision {found.current}, which is newer than this code ({found.head})",
            "run the version of crm-graph that made it, or a newer one",
        )
    raise OperatorError(
        f"the database is at revision {found.current}, older than the code, which needs {found.head}",
        "run `crm-graph migrate`",
    )
