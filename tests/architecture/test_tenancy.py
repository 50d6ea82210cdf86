"""Every table of a workspace has `workspace_id` first in all of its keys: the database itself keeps workspaces
apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Column, ForeignKeyConstraint, Index, MetaData, Table, Text, UniqueConstraint

import crm_graph.api.schema  # noqa: F401 - so that every table of a slice is in the metadata
from crm_graph.db.base import Base
from crm_graph.domains.identity.accounts.model import Attempt
from crm_graph.domains.identity.authorizations.model import DeviceCode
from crm_graph.events.horizon import EventHorizon
from crm_graph.events.model import HistoryPosition, HistoryType, LogEpoch
from crm_graph.identity.model import InstallationSecret, SigningKey

NOT_OF_A_WORKSPACE = {
    EventHorizon.__tablename__: "how far the installation's log was removed, which has one order over all workspaces",
    HistoryPosition.__tablename__: "how far the projector has come in the installation's log",
    HistoryType.__tablename__: "since when the history of a table is kept, of all workspaces at once",
    LogEpoch.__tablename__: "in which cluster the installation's log is, which has one order over all workspaces",
    InstallationSecret.__tablename__: "the installation's own",
    SigningKey.__tablename__: "keys of ID tokens, which are the installation's",
    Attempt.__tablename__: "counts attempts to sign in, before it is known who and where",
    DeviceCode.__tablename__: "waits for a member, before it is known of which workspace",
}
UNIQUE_IN_THE_INSTALLATION = {
    "uq_workspace_slug": "names a workspace on the command line, so it must be unique among all of them",
}


def violations(tables: Iterable[Table]) -> Iterator[str]:
    """Yield what is wrong. The attack: a key without the workspace lets a row point at, or collide with, another's."""
    for table in tables:
        if table.name in NOT_OF_A_WORKSPACE:
            continue
        keys = [list(table.primary_key.columns.keys())]
        keys += [list(each.columns.keys()) for each in table.constraints if isinstance(each, UniqueConstraint)]
        keys += [
            _columns(each) for each in table.indexes if each.unique and each.name not in UNIQUE_IN_THE_INSTALLATION
        ]
        for key in keys:
            if not key or key[0] != "workspace_id":
                yield f"{table.name}: unique key {key} does not start with workspace_id"
        for each in table.constraints:
            if not isinstance(each, ForeignKeyConstraint):
                continue
            own, other = next(iter(each.column_keys)), each.elements[0].target_fullname
            if own != "workspace_id" or not other.endswith(".workspace_id"):
                yield f"{table.name}: foreign key {each.column_keys} does not start with workspace_id"
            if each.ondelete == "SET NULL":
                yield f"{table.name}: ON DELETE SET NULL over a composite key would null the workspace"


def _columns(index: Index) -> list[str]:
    return [getattr(each, "name", str(each)) for each in index.expressions]


def test_no_table_escapes_its_workspace() -> None:
    assert list(violations(Base.metadata.tables.values())) == []
    assert len(Base.metadata.tables) > 20


def test_the_lint_sees_what_it_is_for() -> None:
    metadata = MetaData()
    parent = Table("parent", metadata, Column("id", Text, primary_key=True))
    child = Table(
        "child",
        metadata,
        Column("workspace_id", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("name", Text, unique=True),
        Column("parent_id", Text),
        ForeignKeyConstraint(["parent_id"], ["parent.id"], ondelete="SET NULL"),
    )
    assert len(list(violations([parent]))) == 1
    assert len(list(violations([child]))) == 3
