"""The mutations of opportunities."""

from __future__ import annotations

import strawberry

from crm_graph.domains.sales.opportunities import lines, operations
from crm_graph.domains.sales.opportunities.graph.types import Opportunity, OpportunityLine
from crm_graph.domains.sales.pipelines.graph import Stage
from crm_graph.graph import writes
from crm_graph.graph.payloads import key_of
from crm_graph.graph.writes import Written
from crm_graph.work import UPDATE


@strawberry.input(description="A stage to remove, and the one that takes its place.")
class RetireStageInput(writes.OneOf):
    """See `operations.retire_stage`."""

    into: strawberry.ID = strawberry.field(
        description="The stage that its opportunities move to: of the same pipeline, and open, won or lost like it."
    )


class Mutations:
    """Fields of Mutation."""

    create_opportunity: Written[Opportunity] = writes.create("Opens an opportunity.", operations.create_opportunity)
    update_opportunity: Written[Opportunity] = writes.update(
        "Changes an opportunity's data; `moveOpportunity` changes its stage.", operations.update_opportunity
    )
    move_opportunity: Written[Opportunity] = writes.transition_with(
        "Moves an opportunity to another stage of its pipeline, won and lost included; to win it takes the right "
        "to `win` too.",
        operations.MOVE,
        operations.move_opportunity,
        needs=("stage",),
        takes=("amount", "probability", "expected_close", "next_step", "lost_reason"),
        about="A move to another stage, with what the stage requires.",
    )
    reopen_opportunity: Written[Opportunity] = writes.transition_with(
        "Opens a won or lost opportunity again.",
        operations.REOPEN,
        operations.reopen_opportunity,
        needs=("stage",),
        takes=("probability",),
        about="A won or lost opportunity to open again, and the open stage it goes back to.",
    )
    delete_opportunity: Written[Opportunity] = writes.delete(
        "Deletes an opportunity with its lines and history.", operations.delete_opportunity
    )
    retire_stage: Written[Stage] = writes.asked(
        "Removes a stage from its pipeline: its opportunities move to another one, and their histories keep its name. "
        "Needs the right to move each of them. Of many, `stage` is null where a later input retires that one as well.",
        UPDATE,
        RetireStageInput,
        lambda work, id_, input_: operations.retire_stage(
            work, id_, key_of(Stage, input_.into, "into"), input_.if_version
        ),
    )
    add_opportunity_line: Written[OpportunityLine] = writes.create("Puts a product on an opportunity.", lines.add_line)
    update_opportunity_line: Written[OpportunityLine] = writes.update(
        "Changes a line of an opportunity.", lines.update_line
    )
    remove_opportunity_line: Written[OpportunityLine] = writes.delete(
        "Takes a line off an opportunity.", lines.remove_line
    )
