"""`history` of a record: who changed what from what to what, cut to what the reader may see of it."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.kernel.ids import encode_id
from tests.events.test_projector import change, create
from tests.graph.test_as_of import EXECUTORS, now
from tests.support.graph import Graph
from tests.support.projected import begin, project

SOURCE = """
    query ($id: ID!, $first: Int, $after: String, $at: DateTime) {
      customer(id: $id, asOf: $at) {
        history(first: $first, after: $after) {
          totalCount
          pageInfo { hasNextPage endCursor }
          nodes { at event actorKind clientId actor { id } changes { field from to } }
        }
      }
    }
"""


async def history(graph: Graph, id_: str, **options: Any) -> Any:
    variables: dict[str, Any] = {"id": id_}
    variables |= {name: options.pop(name) for name in ("first", "after", "at") if name in options}
    data = await graph.data(SOURCE, variables, **options)
    return data["customer"]["history"]


def told(found: Any) -> list[tuple[str, dict[str, tuple[str | None, str | None]]]]:
    return [
        (entry["event"], {each["field"]: (each["from"], each["to"]) for each in entry["changes"]})
        for entry in found["nodes"]
    ]


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_who_changed_what_from_what_to_what(graph: Graph, executor: str) -> None:
    graph.use(executor)
    await begin(graph)
    admin = await graph.claims("admin")
    me = encode_id("mem", admin.member_id)
    id_ = await create(graph, "Ada", annualRevenue={"amount": "12.50", "currency": "EUR"})
    await change(graph, id_, city="Paris", annualRevenue={"amount": "13", "currency": "EUR"})
    between = now()
    await change(graph, id_, city=None, employees=3)
    await project(graph)
    found = await history(graph, id_)
    assert found["totalCount"] == 3
    assert {(entry["actor"]["id"], entry["actorKind"], entry["clientId"]) for entry in found["nodes"]} == {
        (me, "MEMBER", None)
    }
    last, middle, first = told(found)
    assert last == ("CustomerUpdated", {"city": ("Paris", None), "employees": (None, "3")})
    assert middle == ("CustomerUpdated", {"city": (None, "Paris"), "annualRevenue": ("12.5 EUR", "13 EUR")})
    assert first[0] == "CustomerCreated"
    assert first[1]["name"] == (None, "Ada")
    assert first[1]["owner"] == (None, me)
    assert told(await history(graph, id_, at=between)) == [middle, first], "as of a time there is what was until then"
    page = await history(graph, id_, first=2)
    assert (told(page), page["pageInfo"]["hasNextPage"]) == ([last, middle], True)
    rest = await history(graph, id_, first=2, after=page["pageInfo"]["endCursor"])
    assert (told(rest), rest["pageInfo"]["hasNextPage"]) == ([first], False)


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_it_is_cut_to_the_reader(graph: Graph, executor: str) -> None:
    """An analyst sees masked addresses, a marketer no revenue; a change of nothing else is not there for them."""
    graph.use(executor)
    await begin(graph)
    id_ = await create(graph, "Ada", email="ada@example.com")
    await change(graph, id_, email="eva@example.com")
    await change(graph, id_, annualRevenue={"amount": "13", "currency": "EUR"})
    await project(graph)
    analyst = told(await history(graph, id_, role="analyst"))
    assert analyst[1] == ("CustomerUpdated", {"email": ("a***@example.com", "e***@example.com")})
    marketer = await history(graph, id_, role="marketer")
    assert [event for event, _ in told(marketer)] == ["CustomerUpdated", "CustomerCreated"]
    assert marketer["totalCount"] == 2


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_of_a_row_that_could_not_be_read_nothing_is_told(graph: Graph, executor: str) -> None:
    graph.use(executor)
    await begin(graph)
    rep = await graph.claims("sales_rep")
    other = await graph.value(
        "SELECT id FROM member WHERE workspace_id = $1 AND id <> ALL ("
        " SELECT member_id FROM member_role WHERE workspace_id = $1 AND role = 'sales_rep') ORDER BY id LIMIT 1",
        rep.workspace_id,
    )
    id_ = await create(graph, "Theirs", ownerId=f"mem_{other}")
    await change(graph, id_, city="Paris")
    await change(graph, id_, city="Rome", ownerId=f"mem_{rep.member_id}")
    await project(graph)
    assert told(await history(graph, id_, claims=rep)) == [
        ("CustomerUpdated", {"city": (None, "Rome"), "owner": (None, f"mem_{rep.member_id}")})
    ]


async def test_a_record_that_may_not_be_read_has_none(graph: Graph) -> None:
    await begin(graph)
    id_ = await create(graph, "Ada")
    await project(graph)
    rep = await graph.claims("sales_rep")
    assert await graph.data(SOURCE, {"id": id_}, claims=rep) == {"customer": None}
    error = await graph.error(SOURCE, {"id": id_, "first": 1_000})
    assert (error["extensions"]["code"], error["message"]) == (
        "BAD_USER_INPUT",
        "`first` must be between 0 and 200, not 1000.",
    )


async def test_histories_of_many_records_are_one_statement(graph: Graph) -> None:
    await begin(graph)
    for number in range(3):
        await create(graph, f"C{number}", city="Nowhere")
    await project(graph)
    source = '{ customers(where: {city: {eq: "Nowhere"}}) { nodes { history { nodes { event } } } } }'
    data = await graph.data(source)
    assert [len(node["history"]["nodes"]) for node in data["customers"]["nodes"]] == [1, 1, 1]
    assert graph.statements == 3, "the page, whether history has come so far, and the histories"
