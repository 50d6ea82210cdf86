"""A stage goes: its opportunities move to another one, their histories keep its name, and whoever follows is told."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.domains.sales.opportunities.operations import MAX_FOLLOWING
from crm_graph.kernel.ids import encode_id, split_id
from tests.support.graph import Graph

RETIRE = """mutation ($input: RetireStageInput!) { retireStage(input: $input) {
  stage { id name opportunities(first: 200) { totalCount } } errors { code message field } } }"""
DEAL = """query ($id: ID!) { opportunity(id: $id) { status probability closedOn version stage { name }
  stageMoves(orderBy: [{field: MOVED_AT}, {field: ID}]) { nodes {
    fromStage { name } retiredFrom toStage { name } retiredTo secondsInStage member { id } } } } }"""
FORBIDDEN = "Your roles do not allow to move every opportunity that is in this stage."


class Board:
    """A pipeline of its own with deals in it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.pipeline = ""
        self.stages: dict[str, str] = {}

    async def set_up(self) -> Board:
        source = """mutation { createPipeline(input: {name: "Partners"}) {
          pipeline { id stages(first: 20) { nodes { id name } } } } }"""
        made = (await self.graph.data(source))["createPipeline"]["pipeline"]
        self.pipeline = made["id"]
        self.stages = {each["name"]: each["id"] for each in made["stages"]["nodes"]}
        return self

    async def deal(self, stage: str = "Lead", **more: Any) -> str:
        source = """mutation ($input: CreateOpportunityInput!) {
          createOpportunity(input: $input) { opportunity { id } errors { code message } } }"""
        amount = {"amount": "5", "currency": "CNY"}
        sent = {"name": "Deal", "stageId": self.stages[stage], "amount": amount, **more}
        made = (await self.graph.data(source, {"input": sent}))["createOpportunity"]
        assert made["errors"] == []
        return str(made["opportunity"]["id"])

    async def move(self, deal: str, stage: str, **more: Any) -> None:
        source = """mutation ($input: MoveOpportunityInput!) {
          moveOpportunity(input: $input) { errors { code message } } }"""
        sent = {"id": deal, "stageId": self.stages[stage], **more}
        assert (await self.graph.data(source, {"input": sent}))["moveOpportunity"]["errors"] == []

    async def retire(self, stage: str, into: str, **more: Any) -> Any:
        sent = {"id": self.stages[stage], "into": self.stages.get(into, into)}
        return (await self.graph.data(RETIRE, {"input": sent}, **more))["retireStage"]

    async def see(self, deal: str) -> Any:
        return (await self.graph.data(DEAL, {"id": deal}))["opportunity"]

    async def names(self) -> list[str]:
        source = "query ($id: ID!) { pipeline(id: $id) { stages(first: 20) { nodes { name } } } }"
        nodes = (await self.graph.data(source, {"id": self.pipeline}))["pipeline"]["stages"]["nodes"]
        return [each["name"] for each in nodes]


@pytest.fixture
async def board(graph: Graph) -> Board:
    return await Board(graph).set_up()


def key(id_: str) -> str:
    found = split_id(id_)
    assert found is not None
    return found[1]


async def told(graph: Graph, after: int) -> list[tuple[str, str]]:
    rows = await graph.rows("SELECT type, entity_id FROM event WHERE seq > $1 ORDER BY seq", after)
    return [tuple(row) for row in rows]


async def last(graph: Graph) -> int:
    return int(await graph.value("SELECT max(seq) FROM event"))


async def test_its_opportunities_move_and_their_histories_keep_its_name(graph: Graph, board: Board) -> None:
    stays, passed, away = await board.deal(), await board.deal("Qualified"), await board.deal()
    await board.move(passed, "Lead")
    await board.move(away, "Proposal")
    seen = await last(graph)
    made = await board.retire("Lead", "Qualified")
    assert made == {
        "stage": {"id": board.stages["Qualified"], "name": "Qualified", "opportunities": {"totalCount": 2}},
        "errors": [],
    }
    assert "Lead" not in await board.names()
    assert await told(graph, seen) == [
        *(("OpportunityStageChanged", id_) for id_ in sorted((key(stays), key(passed)))),
        ("StageDeleted", key(board.stages["Lead"])),
        ("PipelineUpdated", key(board.pipeline)),
    ]
    found = await board.see(stays)
    assert (found["stage"]["name"], found["probability"], found["version"]) == ("Qualified", 25, 2)
    moves = found["stageMoves"]["nodes"]
    ends = [(each["fromStage"], each["retiredFrom"], each["toStage"], each["retiredTo"]) for each in moves]
    assert ends == [(None, None, None, "Lead"), (None, "Lead", {"name": "Qualified"}, None)]
    assert [each["secondsInStage"] is not None for each in moves] == [False, True]
    assert moves[1]["member"] is not None
    moves = (await board.see(passed))["stageMoves"]["nodes"]
    assert [(each["retiredFrom"], each["retiredTo"]) for each in moves] == [
        (None, None),
        (None, "Lead"),
        ("Lead", None),
    ]
    found = await board.see(away)
    assert (found["stage"]["name"], found["version"]) == ("Proposal", 2)
    moves = found["stageMoves"]["nodes"]
    assert [(each["retiredFrom"], each["retiredTo"]) for each in moves] == [(None, "Lead"), ("Lead", None)]


async def test_what_is_won_stays_won(graph: Graph, board: Board) -> None:
    source = """mutation ($input: CreateStageInput!) {
      createStage(input: $input) { stage { id } errors { code } } }"""
    new = {"pipelineId": board.pipeline, "name": "Renewed", "position": 9, "kind": "WON", "probability": 100}
    board.stages["Renewed"] = (await graph.data(source, {"input": new}))["createStage"]["stage"]["id"]
    deal = await board.deal()
    await board.move(deal, "Closed won")
    before = await board.see(deal)
    assert (await board.retire("Closed won", "Renewed"))["errors"] == []
    after = await board.see(deal)
    assert (after["status"], after["closedOn"]) == ("WON", before["closedOn"])
    assert (after["stage"]["name"], after["probability"]) == ("Renewed", 100)
    types = "SELECT type FROM event WHERE entity_id = $1 ORDER BY seq"
    assert [row[0] for row in await graph.rows(types, key(deal))][1:] == ["OpportunityWon", "OpportunityStageChanged"]


@pytest.mark.parametrize(
    ("stage", "into", "code", "message"),
    [
        ("Lead", "Lead", "INVALID", "A stage is retired into another one."),
        ("Lead", "Closed won", "INVALID", "This stage is OPEN, and Closed won is WON."),
        ("Lead", f"stg_{'0' * 31}7", "NOT_FOUND", "There is no such stage."),
        ("Lead", "nothing", "NOT_FOUND", "`into` is not the id of a stage."),
    ],
)
async def test_a_stage_that_cannot_take_its_place(board: Board, stage: str, into: str, code: str, message: str) -> None:
    await board.deal()
    made = await board.retire(stage, into)
    assert made == {"stage": None, "errors": [{"code": code, "message": message, "field": ["into"]}]}
    assert "Lead" in await board.names()


async def test_a_stage_of_another_pipeline(graph: Graph, board: Board) -> None:
    stage = await graph.value(
        "SELECT id FROM stage WHERE pipeline_id <> $1 AND kind = 'OPEN' LIMIT 1", key(board.pipeline)
    )
    code = (await board.retire("Lead", encode_id("stg", stage)))["errors"][0]["code"]
    assert code in {"INVALID", "NOT_FOUND"}  # of this workspace, or of another one
    assert "Lead" in await board.names()


async def test_whoever_may_not_move_all_of_them_retires_nothing(graph: Graph, board: Board) -> None:
    """A manager changes the deals of the team, and stages: a deal of somebody else keeps the stage."""
    claims = await graph.claims("sales_manager")
    own = await board.deal(ownerId=encode_id("mem", claims.member_id))
    outside = await graph.value(
        "SELECT id FROM member WHERE workspace_id = $1 AND team_id IS NULL AND id <> $2 LIMIT 1",
        *(claims.workspace_id, claims.member_id),
    )
    foreign = await board.deal(ownerId=encode_id("mem", outside))
    seen = await last(graph)
    refused = {"stage": None, "errors": [{"code": "FORBIDDEN", "message": FORBIDDEN, "field": ["id"]}]}
    assert await board.retire("Lead", "Qualified", role="sales_manager") == refused
    assert await told(graph, seen) == []
    assert [(await board.see(each))["stage"]["name"] for each in (own, foreign)] == ["Lead", "Lead"]
    await board.move(foreign, "Qualified")
    assert (await board.retire("Lead", "Qualified", role="sales_manager"))["errors"] == []


async def test_a_stage_that_deals_only_passed(graph: Graph, board: Board) -> None:
    deal = await board.deal()
    await board.move(deal, "Qualified")
    source = "mutation ($id: ID!) { deleteStage(input: {id: $id}) { deletedId errors { code } } }"
    payload = (await graph.data(source, {"id": board.stages["Lead"]}))["deleteStage"]
    assert payload == {"deletedId": None, "errors": [{"code": "IN_USE"}]}
    assert (await board.retire("Lead", "Proposal"))["errors"] == []
    assert (await board.see(deal))["stageMoves"]["nodes"][0]["retiredTo"] == "Lead"
    payload = (await graph.data(source, {"id": board.stages["Negotiation"]}))["deleteStage"]
    assert payload["errors"] == []


@pytest.mark.parametrize("deals", [2, 40])
async def test_it_takes_the_same_statements_however_many_deals_move(graph: Graph, board: Board, deals: int) -> None:
    for stage in ("Proposal", "Lead"):
        for _ in range(deals):
            await board.deal(stage)
    await board.retire("Proposal", "Negotiation")  # what is compiled and asked once
    assert (await board.retire("Lead", "Qualified"))["errors"] == []
    # The stage with its pipeline; its name; the other stage; which deals are in it; of all of them the rows, the
    # changes, the events, the entries of their histories; the names in histories; the deletion, the version of the
    # pipeline and two events in one; two for the payload.
    assert graph.statements == 12


async def test_two_stages_in_one_batch(graph: Graph, board: Board) -> None:
    deal = await board.deal()
    source = """mutation ($inputs: [RetireStageInput!]!) {
      retireStages(inputs: $inputs) { results { errors { code } } errors { code } } }"""
    steps = [("Lead", "Qualified"), ("Qualified", "Proposal")]
    inputs = [{"id": board.stages[stage], "into": board.stages[into]} for stage, into in steps]
    made = (await graph.data(source, {"inputs": inputs}))["retireStages"]
    assert (made["errors"], [each["errors"] for each in made["results"]]) == ([], [[], []])
    found = await board.see(deal)
    assert (found["stage"]["name"], found["probability"]) == ("Proposal", 50)
    ends = [(each["retiredFrom"], each["retiredTo"]) for each in found["stageMoves"]["nodes"]]
    assert sorted(ends, key=str) == sorted([(None, "Lead"), ("Lead", "Qualified"), ("Qualified", None)], key=str)


async def test_more_than_can_follow(graph: Graph, board: Board) -> None:
    await board.deal()
    columns = await graph.value(
        "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
        " WHERE table_name = 'opportunity' AND column_name NOT IN ('id', 'external_id')"
    )
    await graph.rows(
        f"INSERT INTO opportunity (id, {columns}) SELECT gen_random_uuid(), {columns} FROM opportunity,"
        f" generate_series(1, {MAX_FOLLOWING}) WHERE stage_id = $1",
        key(board.stages["Lead"]),
    )
    errors = (await board.retire("Lead", "Qualified"))["errors"]
    message = "More than 10,000 opportunities are in this stage: move some of them first."
    assert errors == [{"code": "LIMIT", "message": message, "field": ["id"]}]
