"""Places of stages: no two stages of a pipeline have the same, and one mutation moves a stage among the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest

from crm_graph.domains.sales.pipelines.model import LAST_PLACE, Stage
from crm_graph.kernel.ids import split_id
from tests.support.graph import Graph
from tests.transfer.conftest import desk
from tests.transfer.desk import Desk

__all__ = ["desk"]
USUAL = ["Lead", "Qualified", "Proposal", "Negotiation", "Closed won", "Closed lost"]


def stages_at(places: Sequence[int]) -> list[Stage]:
    return [Stage(name=str(place), position=place) for place in places]


def in_order(stages: Sequence[Stage]) -> list[str]:
    """Return the names of stages by their places, which differ."""
    assert len({stage.position for stage in stages}) == len(stages)
    return [stage.name for stage in sorted(stages, key=lambda stage: stage.position)]


@pytest.mark.parametrize(("source", "target"), list(product(range(5), range(5))))
def test_a_move_is_that_of_a_list(source: int, target: int) -> None:
    stages = stages_at(range(5))
    expected = in_order(stages)
    expected.insert(target, expected.pop(source))
    given_way = stages[source].place(target, [stage for stage in stages if stage.name != str(source)])
    assert in_order(stages) == expected
    assert [stage.position for stage in stages if stage.name == str(source)] == [target]
    assert len(given_way) == abs(target - source)


@pytest.mark.parametrize(
    ("places", "source", "target", "after"),
    [
        ((0, 1, 5), 0, 3, {1: 1, 0: 3, 5: 5}),  # to where nobody is: nobody gives way
        ((0, 1, 5), 0, 5, {1: 1, 5: 4, 0: 5}),
        ((0, 2, 3), 0, 3, {2: 1, 3: 2, 0: 3}),
        ((1, 2, 9), 9, 1, {9: 1, 1: 2, 2: 3}),
        ((4, 5), 4, 4, {4: 4, 5: 5}),
    ],
)
def test_gaps_stay(places: Sequence[int], source: int, target: int, after: Mapping[int, int]) -> None:
    stages = stages_at(places)
    moved = next(stage for stage in stages if stage.position == source)
    moved.place(target, [stage for stage in stages if stage is not moved])
    assert {int(stage.name): stage.position for stage in stages} == after


def test_a_new_stage_has_those_behind_it_give_way_up_to_the_next_free_place() -> None:
    stages = stages_at((0, 1, 2, 4))
    new = Stage(name="new")
    assert [stage.name for stage in new.place(1, stages)] == ["1", "2"]
    assert in_order([*stages, new]) == ["0", "new", "1", "2", "4"]


def key(id_: str) -> str:
    """Return the inner id of an API id."""
    found = split_id(id_)
    assert found is not None
    return found[1]


async def pipeline(graph: Graph) -> str:
    source = 'mutation { createPipeline(input: {name: "Partners"}) { pipeline { id } errors { code } } }'
    return str((await graph.data(source))["createPipeline"]["pipeline"]["id"])


async def stages(graph: Graph, id_: str) -> list[dict[str, Any]]:
    source = """query ($id: ID!) { pipeline(id: $id) { version
      stages(orderBy: [{field: POSITION}]) { nodes { id name position version } } } }"""
    return list((await graph.data(source, {"id": id_}))["pipeline"]["stages"]["nodes"])


async def version(graph: Graph, id_: str) -> int:
    source = "query ($id: ID!) { pipeline(id: $id) { version } }"
    return int((await graph.data(source, {"id": id_}))["pipeline"]["version"])


async def sent(graph: Graph, field: str, **input_: Any) -> list[tuple[str, str, list[str]]]:
    """Return what a mutation of a stage refuses."""
    type_ = f"{field[0].upper()}{field[1:]}Input!"
    source = f"mutation ($input: {type_}) {{ {field}(input: $input) {{ errors {{ code message field }} }} }}"
    payload = (await graph.data(source, {"input": input_}))[field]
    return [(each["code"], each["message"], each["field"]) for each in payload["errors"]]


async def events(graph: Graph, after: int = 0) -> list[tuple[str, str, Any]]:
    query = "SELECT type, entity_id, changes -> 'position' AS moved, seq FROM event WHERE seq > $1 ORDER BY seq"
    return [(row["type"], row["entity_id"], row["moved"]) for row in await graph.rows(query, after)]


async def last(graph: Graph) -> int:
    return int(await graph.value("SELECT max(seq) FROM event"))


async def test_one_mutation_moves_a_stage_and_tells_of_all_that_give_way(graph: Graph) -> None:
    of = await pipeline(graph)
    by_name = {each["name"]: each["id"] for each in await stages(graph, of)}
    assert list(by_name) == USUAL
    before, seen = await version(graph, of), await last(graph)
    assert await sent(graph, "moveStage", id=by_name["Negotiation"], position=1) == []
    found = await stages(graph, of)
    assert [each["name"] for each in found] == [USUAL[0], USUAL[3], *USUAL[1:3], *USUAL[4:]]
    assert [each["position"] for each in found] == [0, 1, 2, 3, 4, 5]
    assert [each["version"] for each in found] == [1, 2, 2, 2, 1, 1]
    assert await version(graph, of) == before + 1
    told = await events(graph, seen)
    moved = {name: key(by_name[name]) for name in ("Negotiation", "Qualified", "Proposal")}
    assert sorted(told[:-1]) == sorted(
        [
            ("StageUpdated", moved["Negotiation"], [3, 1]),
            ("StageUpdated", moved["Qualified"], [1, 2]),
            ("StageUpdated", moved["Proposal"], [2, 3]),
        ]
    )
    assert told[-1] == ("PipelineUpdated", key(of), None)
    seen = await last(graph)
    assert await sent(graph, "moveStage", id=by_name["Negotiation"], position=1) == []
    assert await events(graph, seen) == []


async def test_a_move_takes_the_same_statements_however_many_give_way(graph: Graph) -> None:
    of = await pipeline(graph)
    first, *_ = (each["id"] for each in await stages(graph, of))
    await sent(graph, "moveStage", id=first, position=2)  # what is compiled and asked once
    counts = []
    for position in (1, 5, 0):
        assert await sent(graph, "moveStage", id=first, position=position) == []
        counts.append(graph.statements)
    # The stage with its pipeline, locked; the stages beside it; all of them in one statement, within a savepoint and
    # its end; the version of the pipeline with the events.
    assert counts == [6, 6, 6]


async def test_a_new_stage_takes_its_place(graph: Graph) -> None:
    of = await pipeline(graph)
    new = {"pipelineId": of, "kind": "OPEN", "probability": 5}
    assert await sent(graph, "createStage", **new, name="First", position=0) == []
    assert await sent(graph, "createStage", **new, name="Far", position=40) == []
    found = await stages(graph, of)
    assert [(each["name"], each["position"]) for each in found] == [
        ("First", 0),
        *zip(USUAL, range(1, 7), strict=True),
        ("Far", 40),
    ]


async def test_a_stage_is_moved_with_its_other_data_too(graph: Graph) -> None:
    of = await pipeline(graph)
    ids = [each["id"] for each in await stages(graph, of)]
    assert await sent(graph, "updateStage", id=ids[0], name="Late", position=3, ifVersion=1) == []
    found = await stages(graph, of)
    assert [each["name"] for each in found] == [*USUAL[1:4], "Late", *USUAL[4:]]
    assert [each["version"] for each in found] == [2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize("position", [-1, LAST_PLACE + 1, 2**31 - 1])
async def test_what_is_no_place(graph: Graph, position: int) -> None:
    of = await pipeline(graph)
    before = await stages(graph, of)
    refused = [("INVALID", f"`position` must be from 0 to {LAST_PLACE}.", ["position"])]
    new = {"pipelineId": of, "name": "New", "kind": "OPEN", "probability": 5}
    assert await sent(graph, "createStage", **new, position=position) == refused
    for field in ("updateStage", "moveStage"):
        assert await sent(graph, field, id=before[0]["id"], position=position) == refused
    assert await stages(graph, of) == before


async def test_nobody_gives_way_beyond_the_last_place(graph: Graph) -> None:
    of = await pipeline(graph)
    new = {"pipelineId": of, "kind": "OPEN", "probability": 5, "position": LAST_PLACE}
    assert await sent(graph, "createStage", **new, name="Last") == []
    assert [each[0] for each in await sent(graph, "createStage", **new, name="Later")] == ["INVALID"]


@pytest.mark.parametrize("on_error", ["REJECT_ALL", "REJECT_FAILED"])
async def test_a_batch_moves_one_after_another(graph: Graph, on_error: str) -> None:
    """As single mutations in its order would: each sees what the one before it left."""
    of = await pipeline(graph)
    ids = [each["id"] for each in await stages(graph, of)]
    source = """mutation ($inputs: [MoveStageInput!]!, $onError: OnRefusal!) {
      moveStages(inputs: $inputs, onError: $onError) { results { stage { name } errors { code } } errors { code } } }"""
    inputs = [{"id": ids[place], "position": to} for place, to in ((0, 5), (1, 4), (2, 3), (5, 0))]
    made = (await graph.data(source, {"inputs": inputs, "onError": on_error}))["moveStages"]
    assert [each["errors"] for each in made["results"]] == [[], [], [], []]
    found = await stages(graph, of)
    expected = list(USUAL)
    for name, to in ((USUAL[0], 5), (USUAL[1], 4), (USUAL[2], 3), (USUAL[5], 0)):
        expected.remove(name)
        expected.insert(to, name)
    assert ([each["name"] for each in found], [each["position"] for each in found]) == (expected, list(range(6)))


async def test_a_batch_of_new_stages_in_one_place(graph: Graph) -> None:
    of = await pipeline(graph)
    source = """mutation ($inputs: [CreateStageInput!]!) {
      createStages(inputs: $inputs) { results { errors { code } } errors { code } } }"""
    new = {"pipelineId": of, "kind": "OPEN", "probability": 5, "position": 1}
    made = await graph.data(source, {"inputs": [{**new, "name": f"New {number}"} for number in range(4)]})
    assert made["createStages"]["errors"] == []
    expected = [USUAL[0], "New 3", "New 2", "New 1", "New 0", *USUAL[1:]]
    assert [each["name"] for each in await stages(graph, of)] == expected


async def test_a_place_is_said_once_in_a_file_and_taken_by_nobody_else(desk: Desk) -> None:
    await desk.load("pipeline", "name\nPartners\n")
    head = "pipeline,name,position,kind,probability\n"
    report = await desk.load("stage", f"{head}Partners,A,0,OPEN,1\nPartners,B,0,OPEN,1\nPartners,C,10000,OPEN,1\n")
    assert sorted((each.row, each.column, each.reason) for each in report.errors) == [
        (3, "position", "stands in row 2 already"),
        (4, "position", "must be from 0 to 9999"),
    ]
    report = await desk.load("stage", f"{head}Partners,A,0,OPEN,1\nSales,A,9,OPEN,1\n")
    assert report.errors == []
    report = await desk.load("stage", f"{head}Partners,B,0,OPEN,1\n")
    assert [(each.column, each.reason) for each in report.errors] == [
        ("position", "belongs to another stage, which this row does not match")
    ]


async def test_a_pipeline_has_room_for_a_hundred_stages_of_a_file(desk: Desk) -> None:
    await desk.load("pipeline", "name\nPartners\n")
    head = "pipeline,name,position,kind,probability\n"
    rows = "".join(f"Partners,S{place},{place},OPEN,1\n" for place in range(101))
    report = await desk.load("stage", head + rows)
    message = "A pipeline may have at most 100 stages."
    assert [(each.row, each.column, each.reason) for each in report.errors] == [(102, "pipeline", message)]
