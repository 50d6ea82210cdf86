"""Revisions: which one a database is at, and whether this code runs on it. Read off the migrations' files.

Alembic knows as much, and says it after 0.3 s of CPU: it imports SQLAlchemy and runs every migration's file. Each
command and each start of a process asks, and hardly ever is there anything to migrate. A test holds that both say the
same.

A migration that only adds says `adds_only = True`: the code of the revision before runs on the schema after it, so that
processes are replaced one by one. Which revisions' code runs on a database, the database says itself, in a comment on
its table of revisions: code does not know the migrations that come after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from crm_graph.db.connecting import close
from crm_graph.kernel.errors import OperatorError

HEAD = "head"
MIGRATIONS_LOCK = 7_226_101_000
"""The advisory lock of whoever changes the schema, or where its tables lie."""
_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)
_FOLLOWS = re.compile(r'^down_revision = "(\w+)"$', re.MULTILINE)
_ADDS_ONLY = re.compile(r"^adds_only = True$", re.MULTILINE)
_SERVES = "serves "
"""What the comment begins with; the revisions follow."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A migration: what it follows, and whether the code of that runs on the schema after it."""

    name: str
    follows: str | None
    adds_only: bool


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Which revision a database is at, and which one the code needs."""

    current: str | None
    head: str
    known: bool
    serves: frozenset[str] = frozenset()
    """The revisions, besides its own, whose code runs on it."""

    @property
    def up_to_date(self) -> bool:
        """Whether the database is at the code's revision."""
        return self.current == self.head

    @property
    def runs(self) -> bool:
        """Whether the code runs on the database."""
        return self.up_to_date or self.head in self.serves


def migrations() -> Path:
    """Return where the migrations lie: beside the package when installed, at the root in a clone. Raises
    OperatorError."""
    package = Path(__file__).parents[1]
    for place in (package / "migrations", package.parents[1] / "migrations"):
        if (place / "env.py").is_file():
            return place
    raise OperatorError("the migrations are not installed", "install the package again: its files are incomplete")


def revisions() -> tuple[str, Mapping[str, Revision]]:
    """Return the revision that the code needs, which no other follows, and all that it knows, by name."""
    known = {}
    for path in (migrations() / "versions").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in _REVISION.findall(text):
            follows = _FOLLOWS.search(text)
            known[name] = Revision(name, follows and follows[1], bool(_ADDS_ONLY.search(text)))
    (head,) = known.keys() - {each.follows for each in known.values()}
    return head, known


def served_by(revision: str, known: Mapping[str, Revision]) -> list[str]:
    """Return the revisions, the latest first, whose code runs on the schema of a later one."""
    found: list[str] = []
    at = known[revision]
    while at.adds_only and at.follows is not None:
        found.append(at.follows)
        at = known[at.follows]
    return found


def comment_of(serves: list[str]) -> str:
    """Return the comment that says which revisions' code runs on a database."""
    return _SERVES + " ".join(serves)


async def state(url: str) -> SchemaState:
    """Return where a database stands."""
    head, known = revisions()
    connection = await asyncpg.connect(url)
    try:
        current, said = None, None
        if await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            current = await connection.fetchval("SELECT version_num FROM alembic_version")
            said = await connection.fetchval("SELECT obj_description('alembic_version'::regclass)")
    finally:
        await close(connection)
    serves = said.removeprefix(_SERVES).split() if said is not None and said.startswith(_SERVES) else []
    return SchemaState(current, head, current is None or current in known, frozenset(serves))


async def require_current(url: str) -> None:
    """Raise OperatorError unless the code runs on the database: it is at the code's revision, or at a later one that
    only adds to it."""
    found = await state(url)
    if found.runs:
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
