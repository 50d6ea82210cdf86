"""Placement: where the rows of a table lie when the database is a Citus cluster. Plain Postgres asks for none of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crm_graph.db.base import Base


class Placement(Enum):
    """Where the rows of a table lie. Every mapped class says it, as `__placement__`."""

    LOCAL = "local"
    """On the coordinator alone: what has one order over all workspaces, what is read across them, what is of none."""
    REFERENCE = "reference"
    """On every node, whole: written seldom, for a write goes to all of them and waits for all of them."""
    DISTRIBUTED = "distributed"
    """By `workspace_id`, beside all other rows of the workspace."""


LOCAL, REFERENCE, DISTRIBUTED = Placement.LOCAL, Placement.REFERENCE, Placement.DISTRIBUTED
UNDISTRIBUTED_SCHEMAS = ("crm_jobs",)
"""Schemas whose tables are not ours to declare, and are local: the queue's."""


class Unplaced(Exception):
    """Raised for a mapped class that says nothing of its placement."""


def placements(base: type[Base]) -> Mapping[str, Placement]:
    """Return the placement of every table by its name. Raises Unplaced."""
    placed: dict[str, Placement] = {}
    for mapper in base.registry.mappers:
        placement = vars(mapper.class_).get("__placement__")
        if not isinstance(placement, Placement):
            raise Unplaced(f"{mapper.class_.__name__} does not say its __placement__: LOCAL, REFERENCE or DISTRIBUTED")
        placed[mapper.local_table.name] = placement  # type: ignore[attr-defined]
    return placed
