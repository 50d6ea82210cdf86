"""Alembic's environment: runs on a connection that the caller gives (`crm_graph.db.migrate`)."""

from __future__ import annotations

from alembic import context

from crm_graph.db.base import Base


def _ours(_object: object, name: str | None, kind: str, reflected: bool, _compare: object) -> bool:
    """Leave alone what the metadata does not know: the tables of the job queue, of an extension, of a neighbour."""
    return not (kind == "table" and reflected and name not in Base.metadata.tables)


def run() -> None:
    """Run the migrations in one transaction each, under an advisory lock that keeps two processes apart."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=_ours,
        transaction_per_migration=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
