"""Relative operands: held to a slow model of the calendar, in both executors, stored and live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Date, DateTime

from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.sales.opportunities.graph import Opportunity
from crm_graph.graph.changes.stored import stored_judges
from crm_graph.graph.records.relative import Moment, Period, Start, TimeUnit, bounds
from crm_graph.graph.schema.build import BuiltSchema
from tests.support.database import savepoint
from tests.support.graph import Graph

NOW = datetime(2026, 3, 29, 12, 30, tzinfo=UTC)
"""In Berlin the clocks were put forward this night."""
ZONES = st.sampled_from(
    ["UTC", "Asia/Shanghai", "America/Los_Angeles", "Europe/Berlin", "Pacific/Apia", "Africa/Cairo"]
)
MOMENTS = st.builds(
    Moment,
    st.integers(631_152_000, 2_208_988_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    ZONES,
    st.integers(1, 12),
)
CLOSE = "query ($w: OpportunityFilter) { opportunities(where: $w) { nodes { name } } }"


def days_of(period: Period, today: date, fiscal_start: int) -> Iterator[date]:
    """Yield the days of the period that a day lies in, day by day: the slow model."""

    def period_of(day: date) -> tuple[int, ...]:
        months = day.year * 12 + day.month - fiscal_start
        match period:
            case Period.DAY:
                return (day.toordinal(),)
            case Period.WEEK:
                return day.isocalendar()[:2]
            case Period.MONTH:
                return day.year, day.month
            case Period.QUARTER:
                return (months // 3,)
        return (months // 12,)

    first = today
    while period_of(first - timedelta(1)) == period_of(today):
        first -= timedelta(1)
    while period_of(first) == period_of(today):
        yield first
        first += timedelta(1)


@given(MOMENTS, st.sampled_from(Period), st.booleans())
def test_a_period_is_the_days_that_lie_in_it(moment: Moment, period: Period, fiscal: bool) -> None:
    days = list(days_of(period, moment.today, moment.fiscal_year_start if fiscal else 1))
    assert Start(period, 0, fiscal, of_date=True).at(moment) == days[0]
    assert Start(period, 1, fiscal, of_date=True).at(moment) == days[-1] + timedelta(1)
    begins = Start(period, 0, fiscal, of_date=False).at(moment)
    assert isinstance(begins, datetime)
    zone = ZoneInfo(moment.time_zone)
    assert begins.astimezone(zone).date() == days[0] or moment.time_zone == "Pacific/Apia"  # which left a day out
    assert (begins - timedelta(microseconds=1)).astimezone(zone).date() < days[0]


@given(MOMENTS, st.sampled_from(Period), st.booleans(), st.integers(-30, 30))
def test_periods_follow_one_another(moment: Moment, period: Period, fiscal: bool, offset: int) -> None:
    starts = [Start(period, offset + step, fiscal, of_date=True).at(moment) for step in (0, 1)]
    assert starts[0] < starts[1]
    inside = Moment(moment.midnight(starts[0]) + timedelta(hours=12), moment.time_zone, moment.fiscal_year_start)
    assert Start(period, 0, fiscal, of_date=True).at(inside) == starts[0]


@pytest.mark.parametrize(
    ("unit", "n", "since"),
    [
        (TimeUnit.MINUTE, 90, "2026-03-29T11:00:00+00:00"),
        (TimeUnit.HOUR, 24, "2026-03-28T12:30:00+00:00"),
        (TimeUnit.DAY, 1, "2026-03-28T13:30:00+00:00"),  # 14:30 in Berlin, as it is now
        (TimeUnit.WEEK, 2, "2026-03-15T13:30:00+00:00"),
        (TimeUnit.MONTH, 1, "2026-02-28T13:30:00+00:00"),  # there is no 29 February
        (TimeUnit.QUARTER, 1, "2025-12-29T13:30:00+00:00"),
        (TimeUnit.YEAR, 2, "2024-03-29T13:30:00+00:00"),
    ],
)
def test_spans_of_a_time(unit: TimeUnit, n: int, since: str) -> None:
    (_, first), (_, last) = bounds("withinLast", {"n": n, "unit": unit}, DateTime(), ("where",))
    moment = Moment(NOW, "Europe/Berlin")
    assert first.at(moment) == datetime.fromisoformat(since)
    assert last.at(moment) == NOW


def test_spans_of_a_date() -> None:
    moment = Moment(datetime(2026, 12, 31, 23, 0, tzinfo=UTC), "Asia/Shanghai")
    last = [each.at(moment) for _, each in bounds("withinLast", {"n": 7, "unit": TimeUnit.DAY}, Date(), ())]
    assert last == [date(2026, 12, 25), date(2027, 1, 1)]
    coming = [each.at(moment) for _, each in bounds("withinNext", {"n": 1, "unit": TimeUnit.MONTH}, Date(), ())]
    assert coming == [date(2027, 1, 1), date(2027, 2, 1)]


@pytest.fixture
async def shanghai(database_url: str, schema: BuiltSchema) -> AsyncIterator[Graph]:
    """A graph whose clock stands, an hour before midnight in Greenwich and seven after it in Shanghai."""
    async with savepoint(database_url) as database:
        graph = Graph(schema, database, clock=lambda: datetime(2026, 5, 31, 23, 0, tzinfo=UTC))
        await graph.rows("UPDATE workspace SET time_zone = 'Asia/Shanghai', fiscal_year_start = 4 WHERE slug = 'demo'")
        await graph.rows("UPDATE opportunity SET expected_close = NULL")
        closes = ("2026-02-28", "2026-03-31", "2026-04-01", "2026-05-31", "2026-06-01", "2026-06-30", "2026-07-01")
        ids = await graph.rows(
            "SELECT id FROM opportunity WHERE workspace_id = (SELECT id FROM workspace WHERE slug = 'demo')"
            " ORDER BY id LIMIT $1",
            len(closes),
        )
        for (id_,), closes_on in zip(ids, closes, strict=True):
            await graph.rows(
                "UPDATE opportunity SET name = $2, expected_close = $2::text::date,"
                " created_at = ($2::text::date + time '00:30') AT TIME ZONE 'Asia/Shanghai' WHERE id = $1",
                id_,
                closes_on,
            )
        yield graph


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "today": ({"inPeriod": {"period": "DAY"}}, ["2026-06-01"]),
    "yesterday": ({"inPeriod": {"period": "DAY", "offset": -1}}, ["2026-05-31"]),
    "this month": ({"inPeriod": {"period": "MONTH"}}, ["2026-06-01", "2026-06-30"]),
    "this quarter": (
        {"inPeriod": {"period": "QUARTER"}},
        ["2026-04-01", "2026-05-31", "2026-06-01", "2026-06-30"],
    ),
    "last fiscal year": ({"inPeriod": {"period": "YEAR", "offset": -1, "fiscal": True}}, ["2026-02-28", "2026-03-31"]),
    "the last two days": ({"withinLast": {"n": 1, "unit": "DAY"}}, ["2026-05-31", "2026-06-01"]),
    "the next month": ({"withinNext": {"n": 1, "unit": "MONTH"}}, ["2026-06-01", "2026-06-30", "2026-07-01"]),
    "longer ago": ({"olderThan": {"n": 2, "unit": "MONTH"}}, ["2026-02-28", "2026-03-31"]),
}


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize("case", CASES)
async def test_dates(shanghai: Graph, case: str, executor: str) -> None:
    shanghai.use(executor)
    given, expected = CASES[case]
    found = await shanghai.data(CLOSE, {"w": {"expectedClose": given}})
    assert sorted(each["name"] for each in found["opportunities"]["nodes"]) == expected


async def test_times_are_those_of_the_workspace(shanghai: Graph) -> None:
    where = {"createdAt": {"inPeriod": {"period": "MONTH"}}, "expectedClose": {"isNull": False}}
    found = await shanghai.data(CLOSE, {"w": where})
    assert sorted(each["name"] for each in found["opportunities"]["nodes"]) == ["2026-06-01", "2026-06-30"]
    source = """query ($w: OpportunityFilter) { opportunitiesAggregate(where: $w, groupBy: [{field: STATUS}],
      having: {min: {createdAt: {inPeriod: {period: MONTH}}}}) { groups { count } } }"""
    groups = (await shanghai.data(source, {"w": where}))["opportunitiesAggregate"]["groups"]
    assert sum(each["count"] for each in groups) == 2


async def test_what_differs_is_a_value_and_no_other_statement(shanghai: Graph) -> None:
    texts = []
    for n in (90, 1, 30):
        await shanghai.data(CLOSE, {"w": {"expectedClose": {"withinLast": {"n": n, "unit": "DAY"}}}})
        texts.append(list(shanghai.database.one.sent))
    assert texts[1] == texts[2]


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ({"expectedClose": {"withinLast": {"n": -1, "unit": "DAY"}}}, ["expectedClose", "withinLast", "n"]),
        ({"expectedClose": {"withinLast": {"n": 2, "unit": "HOUR"}}}, ["expectedClose", "withinLast", "unit"]),
        ({"createdAt": {"olderThan": {"n": 2_000, "unit": "YEAR"}}}, ["createdAt", "olderThan", "n"]),
        (
            {"createdAt": {"inPeriod": {"period": "MONTH", "offset": 2_000_000_000}}},
            ["createdAt", "inPeriod", "offset"],
        ),
        ({"createdAt": {"inPeriod": {"period": "WEEK", "fiscal": True}}}, ["createdAt", "inPeriod", "fiscal"]),
        ({"createdAt": {"inPeriod": None}}, ["createdAt", "inPeriod"]),
        ({"owner": {"isViewer": None}}, ["owner", "isViewer"]),
    ],
)
async def test_what_cannot_be_meant(graph: Graph, where: dict[str, Any], path: list[str]) -> None:
    error = await graph.error(CLOSE, {"w": where})
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"].get("argumentPath", error["extensions"].get("path")) in (["where", *path], None)
    assert ".".join(path[-1:]) in error["message"] or path[-1] in {"n", "offset", "unit", "fiscal"}


async def _owners(graph: Graph, where: dict[str, Any], role: str, executor: str) -> set[str]:
    graph.use(executor)
    source = "query ($w: CustomerFilter) { customers(where: $w, first: 200) { nodes { owner { id } } } }"
    found = await graph.data(source, {"w": where}, role=role)
    return {each["owner"] and each["owner"]["id"] for each in found["customers"]["nodes"]}


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_who_asks(graph: Graph, executor: str) -> None:
    rep = await graph.claims("sales_manager")
    me = f"mem_{rep.member_id}"
    await graph.rows("UPDATE customer SET owner_id = $1 WHERE id = (SELECT min(id::text)::uuid FROM customer"
                     " WHERE workspace_id = $2)", rep.member_id, rep.workspace_id)  # fmt: skip
    assert await _owners(graph, {"owner": {"isViewer": True}}, "sales_manager", executor) == {me}
    others = await _owners(graph, {"owner": {"isViewer": False}}, "sales_manager", executor)
    assert others
    assert me not in others
    assert None not in others
    circle = await _owners(graph, {"owner": {"inViewerTeams": True}}, "sales_manager", executor)
    assert me in circle
    rest = await _owners(graph, {"not": {"owner": {"inViewerTeams": True}}}, "sales_manager", executor)
    assert not circle & rest
    assert await graph.data("{ members(where: {isViewer: true}) { nodes { id } } }", role="sales_manager") == {
        "members": {"nodes": [{"id": me}]}
    }


async def test_mine_is_found_by_the_index_of_the_owner(graph: Graph) -> None:
    await graph.data("{ customers(where: {owner: {isViewer: true}}) { nodes { id } } }")
    text = next(each for each in graph.database.one.sent if "FROM customer" in each)
    assert "owner_id = $" in text


async def test_a_stored_filter_is_read_as_of_its_use(schema: BuiltSchema) -> None:
    stored = {"Opportunity": {"createdAt": {"withinLast": {"n": 1, "unit": "DAY"}}, "owner": {"isViewer": True}}}
    judge = stored_judges(schema, stored)["Opportunity"]
    assert all(not isinstance(value, datetime) for value in judge.values.values())


def test_the_records_are_those_of_the_schema() -> None:
    assert Customer.__record__.edges["owner"].target.views  # type: ignore[attr-defined]
    assert not Opportunity.__record__.views  # type: ignore[attr-defined]
