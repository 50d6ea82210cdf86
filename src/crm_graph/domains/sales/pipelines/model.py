"""Pipelines: the ordered stages that opportunities pass through."""

from __future__ import annotations

from enum import Enum

from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Id, Row, refers, unique
from crm_graph.db.rules import between, one_of, some_of
from crm_graph.db.sizes import SizedList


class StageKind(Enum):
    """What it means for an opportunity to be in a stage."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


REQUIRABLE = ("amount", "expectedClose", "customer", "lostReason", "nextStep")
"""The fields of an opportunity that a stage can require."""


class Pipeline(Row):
    """A way of selling, with its own stages."""

    __tablename__ = "pipeline"
    __table_args__ = (refers("workspace_id", "workspace"), unique("name"))

    name: Mapped[str]


class Stage(Row):
    """A stage of a pipeline. `required_fields` are the fields that an opportunity must have to enter it."""

    __tablename__ = "stage"
    __table_args__ = (
        refers("pipeline_id", "pipeline", on_delete="CASCADE"),
        unique("pipeline_id", "name"),
        one_of("kind", StageKind),
        between("position", 0),
        between("probability", 0, 100),
        some_of("required_fields", REQUIRABLE),
    )

    pipeline_id: Mapped[Id]
    name: Mapped[str]
    position: Mapped[int]
    kind: Mapped[str]
    probability: Mapped[int]
    required_fields: Mapped[list[str]] = mapped_column(SizedList(50, 100), default=[], server_default="{}")


DEFAULT_STAGES = (
    ("Lead", StageKind.OPEN, 10, ()),
    ("Qualified", StageKind.OPEN, 25, ()),
    ("Proposal", StageKind.OPEN, 50, ("amount",)),
    ("Negotiation", StageKind.OPEN, 75, ("amount", "expectedClose")),
    ("Closed won", StageKind.WON, 100, ("amount",)),
    ("Closed lost", StageKind.LOST, 0, ("lostReason",)),
)
"""The stages of a new pipeline: name, kind, probability in percent, required fields."""
