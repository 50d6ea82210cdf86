"""Pipelines: the ordered stages that opportunities pass through."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Id, Row, refers, unique
from crm_graph.db.coherence import fixed_by
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import between, one_of, some_of
from crm_graph.db.sizes import SizedList
from crm_graph.kernel.errors import Refused


class StageKind(Enum):
    """What it means for an opportunity to be in a stage."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


CERTAIN = {StageKind.WON: 100, StageKind.LOST: 0}
"""How likely a deal is that is decided, in percent."""
REQUIRABLE = ("amount", "expectedClose", "customer", "lostReason", "nextStep")
"""The fields of an opportunity that a stage can require."""


LAST_PLACE = 9_999
"""The highest position of a stage."""
MAX_STAGES = 100
"""Stages of a pipeline: each that is put before others moves all of them."""


class Pipeline(Row):
    """A way of selling, with its own stages."""

    __tablename__ = "pipeline"
    __placement__ = DISTRIBUTED
    __few__ = True
    __table_args__ = (refers("workspace_id", "workspace"), unique("name"))

    name: Mapped[str]


class Stage(Row):
    """A stage of a pipeline. `required_fields` are the fields that an opportunity must have to enter it."""

    __tablename__ = "stage"
    __placement__ = DISTRIBUTED
    __few__ = True
    __table_args__ = (
        refers("pipeline_id", "pipeline", on_delete="CASCADE"),
        unique("pipeline_id", "name"),
        unique("pipeline_id", "position", swapped=True),
        one_of("kind", StageKind),
        between("position", 0, LAST_PLACE),
        between("probability", 0, 100),
        some_of("required_fields", REQUIRABLE),
    )

    __fixed__ = (fixed_by("kind", "probability", CERTAIN),)

    pipeline_id: Mapped[Id]
    name: Mapped[str]
    position: Mapped[int]
    kind: Mapped[str]
    probability: Mapped[int]
    required_fields: Mapped[list[str]] = mapped_column(SizedList(50, 100), default=[], server_default="{}")

    def check_successor(self, to: Stage) -> None:
        """Raise Refused INVALID for a stage that cannot take the opportunities of this one over: they stay in their
        pipeline, and are decided as they were."""
        if to.id == self.id:
            raise Refused("INVALID", "A stage is retired into another one.", ("into",))
        if to.pipeline_id != self.pipeline_id:
            raise Refused("INVALID", f"The stage {to.name} belongs to another pipeline.", ("into",))
        if to.kind != self.kind:
            raise Refused("INVALID", f"This stage is {self.kind}, and {to.name} is {to.kind}.", ("into",))

    def place(self, position: int, others: Sequence[Stage]) -> list[Stage]:
        """Take a place among the other stages of the pipeline, and return those that give way: where another stage has
        it, all from there to the place that is left move up by one; of a new stage, to the next place that is free.
        Raises Refused LIMIT for a new stage of a pipeline that has as many as it may."""
        by_place = {each.position: each for each in others}
        before: int | None = self.position
        if before is None:
            check_room(len(others) + 1, "pipelineId")
        self.position = position
        given_way = []
        step = 1 if before is None or position < before else -1
        while position != before and (stage := by_place.get(position)) is not None:
            position += step
            stage.position = position
            given_way.append(stage)
        return given_way


def check_room(count: int, path: str) -> None:
    """Raise Refused LIMIT at `path` for more stages than a pipeline may have."""
    if count > MAX_STAGES:
        raise Refused("LIMIT", f"A pipeline may have at most {MAX_STAGES} stages.", (path,))


DEFAULT_STAGES = (
    ("Lead", StageKind.OPEN, 10, ()),
    ("Qualified", StageKind.OPEN, 25, ()),
    ("Proposal", StageKind.OPEN, 50, ("amount",)),
    ("Negotiation", StageKind.OPEN, 75, ("amount", "expectedClose")),
    ("Closed won", StageKind.WON, 100, ("amount",)),
    ("Closed lost", StageKind.LOST, 0, ("lostReason",)),
)
"""The stages of a new pipeline: name, kind, probability in percent, required fields."""
