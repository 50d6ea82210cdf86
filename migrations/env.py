"""Alembic's environment: runs on a connection that the caller gives (`crm_graph.db.migrate`)."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from crm_graph.db.base import Base
from crm_graph.db.revisions import comment_of, revisions, served_by


def _ours(_object: object, name: str | None, kind: str, reflected: bool, _compare: object) -> bool:
    """Leave alone what the metadata does not know: the tables of the job queue, of an extension, of a neighbour."""
    return not (kind == "table" and reflected and name not in Base.metadata.tables)


def _say_whom_it_serves(heads: set[str], **_: object) -> None:
    """Write down which revisions' code runs on the schema, in the transaction that changed it."""
    _, known = revisions()
    serves = [name for head in heads for name in served_by(head, known)]
    connection = context.config.attributes["connection"]
    connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{comment_of(serves)}'"))


def run() -> None:
    """Run the migrations in one transaction each, under an advisory lock that keeps two processes apart."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=_ours,
        transaction_per_migration=True,
        compare_type=True,
        on_version_apply=_say_whom_it_serves,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
