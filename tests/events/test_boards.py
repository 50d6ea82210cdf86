"""A live board: what moved, and what the columns show afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.identity.tokens import Claims
from tests.events.live import Live

BOARD = """subscription($id: ID!) { pipelineChanged(id: $id) {
    kind event recordId opportunity { id } pipeline { id } fromStage { id } toStage { id }
    stages { stage { id } count amounts { amount currency } }
} }"""
STAGES = """{ pipelines { nodes { id stages(orderBy: [{field: POSITION}]) { nodes { id kind } } } } }"""
TOTALS = """query($id: ID!) { pipeline(id: $id) { stages { nodes { id opportunities(first: 200) {
    totalCount nodes { amount { amount currency } } } } } } }"""


async def counted(live: Live, claims: Claims, pipeline: str) -> dict[str, tuple[int, dict[str, Decimal]]]:
    """Return what a board shows, counted by hand."""
    found = {}
    for stage in (await live.data(claims, TOTALS, {"id": pipeline}))["pipeline"]["stages"]["nodes"]:
        sums: dict[str, Decimal] = {}
        for each in stage["opportunities"]["nodes"]:
            if each["amount"] is not None:
                currency = each["amount"]["currency"]
                sums[currency] = sums.get(currency, Decimal(0)) + Decimal(each["amount"]["amount"])
        if stage["opportunities"]["totalCount"]:
            found[stage["id"]] = stage["opportunities"]["totalCount"], sums
    return found


def shown(change: Any) -> dict[str, tuple[int, dict[str, Decimal]]]:
    """Return what a change says that a board shows."""
    return {
        each["stage"]["id"]: (each["count"], {of["currency"]: Decimal(of["amount"]) for of in each["amounts"]})
        for each in change["stages"]
    }


@pytest.mark.parametrize("role", ["admin", "sales_rep"])
async def test_a_board(live: Live, role: str) -> None:
    admin, viewer = await live.member("admin"), await live.member(role)
    other = await live.mutate(admin, "createPipeline", {"name": f"Other {role}"}, "pipeline { id }")
    stage = {"pipelineId": other["pipeline"]["id"], "name": "New", "kind": "OPEN", "probability": 10, "position": 0}
    elsewhere = (await live.mutate(admin, "createStage", stage, "stage { id }"))["stage"]["id"]
    pipelines = (await live.data(admin, STAGES))["pipelines"]["nodes"]
    first = next(each for each in pipelines if len(each["stages"]["nodes"]) > 2)
    here, there = [each["id"] for each in first["stages"]["nodes"] if each["kind"] == "OPEN"][:2]
    request = GraphQLRequest(BOARD, None, {"id": first["id"]})
    operation = await live.engine.admission.operation(request, viewer)
    refusal, stream = await live.engine.subscribe(request, operation, lambda: viewer)
    assert refusal is None, refusal
    money = {"amount": "12.50", "currency": "EUR"}
    mine = {"ownerId": f"mem_{viewer.member_id}", "amount": money}
    await live.create(admin, "elsewhere", stageId=elsewhere, **mine)
    id_ = await live.create(admin, "a deal", stageId=here, **mine)
    created = (await anext(stream))[1].body["data"]["pipelineChanged"]
    assert (created["kind"], created["recordId"], created["pipeline"]["id"]) == ("CREATED", id_, first["id"])
    assert (created["fromStage"], created["toStage"]) == (None, None)
    assert shown(created) == await counted(live, viewer, first["id"])
    await live.mutate(admin, "moveOpportunity", {"id": id_, "stageId": there}, "opportunity { id }")
    moved = (await anext(stream))[1].body["data"]["pipelineChanged"]
    assert (moved["fromStage"]["id"], moved["toStage"]["id"]) == (here, there)
    assert shown(moved) == await counted(live, viewer, first["id"])
    await live.mutate(admin, "deleteOpportunity", {"id": id_}, "deletedId")
    gone = (await anext(stream))[1].body["data"]["pipelineChanged"]
    assert (gone["kind"], gone["opportunity"], gone["fromStage"]) == ("DELETED", None, None)
    assert shown(gone) == await counted(live, viewer, first["id"])
    await stream.aclose()


async def test_whoever_may_not_see_amounts_is_told_no_sums(live: Live) -> None:
    admin, marketer = await live.member("admin"), await live.member("marketer")
    first = (await live.data(admin, STAGES))["pipelines"]["nodes"][0]
    request = GraphQLRequest(BOARD, None, {"id": first["id"]})
    operation = await live.engine.admission.operation(request, marketer)
    refusal, stream = await live.engine.subscribe(request, operation, lambda: marketer)
    assert refusal is None, refusal
    stage = first["stages"]["nodes"][0]["id"]
    await live.create(admin, "hidden sum", stageId=stage, amount={"amount": "99", "currency": "EUR"})
    change = (await anext(stream))[1].body["data"]["pipelineChanged"]
    assert change["stages"]
    assert all(each["amounts"] == [] for each in change["stages"])
    await stream.aclose()


async def test_a_subscription_is_of_no_time(live: Live) -> None:
    admin = await live.member("admin")
    source = (
        "subscription ($at: DateTime) { customerChanged { customer { ...deals } } }"
        " fragment deals on Customer { opportunities(asOf: $at) { totalCount } }"
    )
    request = GraphQLRequest(source, None, {})
    operation = await live.engine.admission.operation(request, admin)
    refusal, stream = await live.engine.subscribe(request, operation, lambda: admin)
    await stream.aclose()
    assert refusal is not None
    (error,) = refusal.body["errors"]
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", ["asOf"])


@pytest.mark.parametrize("id_", ["", "cus_01a21586d01276e48f1b89d6e03ef123", "nonsense"])
async def test_what_is_no_pipeline_s_id_is_refused(live: Live, id_: str) -> None:
    """Which tells of no pipeline whether it exists: a well-formed id that is unknown shows nothing."""
    admin = await live.member("admin")
    for given, refused in ((id_, True), ("pip_01a21586d01276e48f1b89d6e03ef123", False)):
        request = GraphQLRequest(BOARD, None, {"id": given})
        operation = await live.engine.admission.operation(request, admin)
        refusal, stream = await live.engine.subscribe(request, operation, lambda: admin)
        await stream.aclose()
        assert (refusal is not None) is refused
        if refusal is not None:
            assert refusal.body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
