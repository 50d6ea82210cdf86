"""`having` against brute force: groups computed in Python from the rows that the same viewer sees in a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.graph.measured import FUNCTIONS, Group, groups_of, holds, random_having, spelled
from tests.support.graph import Graph

CASES = 60


@dataclass(frozen=True)
class Subject:
    """What is aggregated: the fields of its rows, and which of them are keys, numbers and times."""

    record: str
    many: str
    keys: Mapping[str, str]
    """The selection of each key, the same on a record and on a group's key."""
    rows: Mapping[str, str]
    """The selection of each number and time on a record."""
    numbers: Sequence[str]
    moments: Sequence[str]

    @property
    def listed(self) -> str:
        """The document that lists all rows."""
        fields = " ".join(dict.fromkeys([*self.keys.values(), *self.rows.values()]))
        return f"{{ {self.many}(first: 200) {{ nodes {{ {fields} }} }} }}"

    def aggregated(self, keys: Sequence[str]) -> str:
        """Return the document that groups by keys, given in `$having`."""
        group_by = ", ".join(f"{{field: {key.upper()}}}" for key in keys)
        key = f"key {{ {' '.join(self.keys[key] for key in keys)} }}" if keys else ""
        sums = " ".join(f"{function} {{ {' '.join(self.numbers)} }}" for function in FUNCTIONS[:2])
        extremes = " ".join(
            f"{function} {{ {' '.join((*self.numbers, *self.moments))} }}" for function in FUNCTIONS[2:]
        )
        arguments = f"groupBy: [{group_by}], having: $having"
        return (
            f"query ($having: {self.record}Having) {{ {self.many}Aggregate({arguments})"
            f" {{ groups {{ {key} count {sums} {extremes} }} }} }}"
        )


OPPORTUNITIES = Subject(
    "Opportunity",
    "opportunities",
    {"status": "status", "owner": "owner { id }", "stage": "stage { id }"},
    {"amount": "amount { amount }", "probability": "probability", "createdAt": "createdAt", "closedOn": "closedOn"},
    ("amount", "probability"),
    ("createdAt", "closedOn"),
)
CUSTOMERS = Subject(
    "Customer",
    "customers",
    {"kind": "kind", "lifecycle": "lifecycle", "owner": "owner { id }", "city": "city"},
    {"annualRevenue": "annualRevenue { amount }", "createdAt": "createdAt", "lifecycleSince": "lifecycleSince"},
    ("annualRevenue",),
    ("createdAt", "lifecycleSince"),
)


def _key(value: Any) -> Any:
    return value["id"] if isinstance(value, dict) else value


def _number(value: Any) -> Decimal | None:
    value = value["amount"] if isinstance(value, dict) else value
    return None if value is None else Decimal(value)


async def _rows(graph: Graph, subject: Subject, role: str) -> list[dict[str, Any]]:
    nodes = (await graph.data(subject.listed, role=role))[subject.many]["nodes"]
    assert len(nodes) < 200, "a page must hold all rows"
    return [
        {
            name: _number(value) if name in subject.numbers else _key(value) if name in subject.keys else value
            for name, value in node.items()
        }
        for node in nodes
    ]


def _answered(subject: Subject, keys: Sequence[str], group: Mapping[str, Any]) -> Group:
    names = [(function, name) for function in FUNCTIONS[:2] for name in subject.numbers]
    names += [(function, name) for function in FUNCTIONS[2:] for name in (*subject.numbers, *subject.moments)]
    measures = {f"{function}.{name}": group[function][name] for function, name in names}
    return Group(tuple(_key(group["key"][key]) for key in keys), group["count"], measures)


def _sorted(groups: Sequence[Group]) -> list[str]:
    return sorted(repr((each.key, each.count, sorted(spelled(dict(each.measures)).items()))) for each in groups)


async def _scatter(graph: Graph, random: Random) -> None:
    """Write few different amounts, and none on many rows, so that groups have equal measures and null ones."""
    amounts = [None, None, None, "0", "10.5", "10.5", "33.3333", "1000", "7"]
    for table, column in (("opportunity", "amount"), ("customer", "annual_revenue")):
        for row in await graph.rows(f"SELECT id FROM {table} ORDER BY id"):
            amount = random.choice(amounts)
            await graph.rows(
                f"UPDATE {table} SET {column} = $1, currency = $2 WHERE id = $3",
                amount,
                "CNY" if amount is not None or table == "opportunity" else None,
                row["id"],
            )


@pytest.mark.parametrize(
    ("subject", "role"),
    [
        (OPPORTUNITIES, "admin"),
        (OPPORTUNITIES, "sales_rep"),  # sees the rows of a team
        (CUSTOMERS, "admin"),
        (CUSTOMERS, "sales_rep"),  # sees all rows, and the revenue of a team's: that of others counts as null
    ],
    ids=lambda each: each if isinstance(each, str) else each.many,
)
async def test_groups_are_those_of_brute_force(graph: Graph, subject: Subject, role: str) -> None:
    random = Random(f"{subject.many} {role}")
    await _scatter(graph, random)
    rows = await _rows(graph, subject, role)
    assert any(row[subject.numbers[0]] is None for row in rows)
    assert any(row[subject.numbers[0]] is not None for row in rows)
    sizes: set[int] = set()
    for _ in range(CASES):
        keys = random.sample(list(subject.keys), random.choice([0, 1, 1, 1, 2]))
        groups = groups_of(rows, keys, subject.numbers, subject.moments)
        having = random_having(random, groups)
        answer = await graph.data(subject.aggregated(keys), {"having": spelled(having)}, role=role)
        answered = [_answered(subject, keys, each) for each in answer[f"{subject.many}Aggregate"]["groups"]]
        wanted = [each for each in groups if holds(having, each)]
        assert _sorted(answered) == _sorted(wanted), (keys, having)
        sizes.add(0 if not wanted else 1 if len(wanted) < len(groups) else 2)
    assert sizes == {0, 1, 2}, "some conditions must match none, some, and all groups"


async def _groups(graph: Graph, arguments: str, selection: str = "count", **options: Any) -> Any:
    document = f"{{ opportunitiesAggregate({arguments}) {{ groups {{ {selection} }} }} }}"
    return (await graph.data(document, **options))["opportunitiesAggregate"]["groups"]


async def test_the_one_group_is_there_or_not(graph: Graph) -> None:
    (all_,) = await _groups(graph, "having: {}")
    assert await _groups(graph, "having: {and: []}") == [all_]
    assert await _groups(graph, f"having: {{count: {{eq: {all_['count']}}}}}") == [all_]
    assert await _groups(graph, "having: {or: []}") == []
    assert await _groups(graph, "having: {not: {}}") == []
    assert await _groups(graph, "where: {or: []}, having: {count: {eq: 0}, sum: {amount: {isNull: true}}}") == [
        {"count": 0}
    ]
    assert await _groups(graph, "where: {or: []}, having: {count: {gt: 0}}") == []


async def test_keys_alone_make_one_group(graph: Graph) -> None:
    assert await _groups(graph, "where: {}", "key { currency }") == [{"key": {"currency": None}}]
    assert await _groups(graph, "having: {count: {gt: 0}}", "__typename") == [{"__typename": "OpportunityGroup"}]


async def test_a_number_is_text_whatever_its_column(graph: Graph) -> None:
    (group,) = await _groups(graph, "where: {}", "sum { probability } min { probability }")
    assert isinstance(group["sum"]["probability"], str)
    assert isinstance(group["min"]["probability"], str)
    total = group["sum"]["probability"]
    assert len(await _groups(graph, f'having: {{sum: {{probability: {{eq: "{total}"}}}}}}')) == 1
    assert len(await _groups(graph, f'having: {{sum: {{probability: {{gt: "{total}"}}}}}}')) == 0
    assert len(await _groups(graph, f'having: {{sum: {{probability: {{in: ["1.5", "{total}.0"]}}}}}}')) == 1


async def test_a_form_is_compiled_once(graph: Graph) -> None:
    document = """query ($least: Decimal!) {
      opportunitiesAggregate(groupBy: [{field: STATUS}], having: {sum: {amount: {gte: $least}}}) { groups { count } }
    }"""
    sent = []
    for least in ("0", "99999999999999"):
        await graph.data(document, {"least": least})
        sent += [_unguarded(text) for text in graph.database.one.sent if "HAVING" in text]
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert "LIMIT 1001" in sent[0], "no parameter: Postgres' generic plan would be made for a tenth of the groups"


def _unguarded(text: str) -> str:
    """Return a statement without the question about the viewer that the first one of a request is put in."""
    return text.removeprefix("SELECT * FROM (").partition(") AS guarded")[0]


async def test_an_operand_is_not_rounded(graph: Graph) -> None:
    await graph.rows("UPDATE opportunity SET amount = 10.5, currency = 'CNY'")
    for below in ("10.49999", "10.49999999"):
        for given in (f'where: {{amount: {{gt: "{below}"}}}}', f'having: {{min: {{amount: {{gt: "{below}"}}}}}}'):
            (group,) = await _groups(graph, given)
            assert group["count"] > 0
        for given in (f'where: {{amount: {{in: ["{below}"]}}}}', f'where: {{amount: {{lte: "{below}"}}}}'):
            assert await _groups(graph, given) == [{"count": 0}]
        assert await _groups(graph, f'having: {{max: {{amount: {{eq: "{below}"}}}}}}') == []


def _nested(depth: int) -> dict[str, Any]:
    return {"not": _nested(depth - 1)} if depth else {"count": {"gt": 0}}


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"having": {"sum": None}}, ["having", "sum"]),
        ({"having": {"sum": {"amount": None}}}, ["having", "sum", "amount"]),
        ({"having": {"sum": {"amount": {"gt": None}}}}, ["having", "sum", "amount", "gt"]),
        ({"having": {"count": {"in": None}}}, ["having", "count", "in"]),
        (
            {"having": {"or": [{"max": {"createdAt": {"isNull": None}}}]}},
            ["having", "or", 0, "max", "createdAt", "isNull"],
        ),
        ({"having": {"and": None}}, ["having", "and"]),
        ({"having": {"not": None}}, ["having", "not"]),
        ({"having": {"count": {"in": [1] * 501}}}, ["having", "count", "in"]),
        ({"having": _nested(6)}, ["having", *["not"] * 6]),
        ({"having": {"and": [{"count": {"gt": 0}}] * 101}}, ["having", "and", 100, "count"]),
        ({"having": {"or": [{}] * 200}}, ["having", "or", 198]),  # `where: {}` is an object too
        (
            {"where": {"and": [{"name": {"ne": "x"}}] * 60}, "having": {"and": [{"count": {"gt": 0}}] * 41}},
            ["having", "and", 40, "count"],
        ),
    ],
    ids=lambda each: ".".join(map(str, each)) if isinstance(each, list) else "",
)
async def test_what_is_wrong_is_named(graph: Graph, variables: dict[str, Any], path: list[str | int]) -> None:
    document = """query ($where: OpportunityFilter = {}, $having: OpportunityHaving) {
      opportunitiesAggregate(where: $where, having: $having) { groups { count } }
    }"""
    error = await graph.error(document, variables)
    assert error["extensions"]["code"] in {"BAD_USER_INPUT", "COST_LIMIT_EXCEEDED"}
    assert error["extensions"]["argument"] == path
    assert not any("opportunity" in text for text in graph.database.one.sent)


async def test_limits_are_met_exactly(graph: Graph) -> None:
    document = """query ($where: OpportunityFilter, $having: OpportunityHaving) {
      opportunitiesAggregate(where: $where, having: $having) { groups { count } }
    }"""
    where = {"and": [{"name": {"ne": "x"}}] * 60}
    for having in ({"and": [{"count": {"gt": 0}}] * 40}, _nested(5), {"count": {"notIn": [0] * 500}}):
        body = await graph.execute(document, {"where": where, "having": having})
        assert "errors" not in body, body


async def test_all_conditions_of_an_operation_are_limited(graph: Graph) -> None:
    fields = " ".join(
        f"a{index}: opportunitiesAggregate(having: $having) {{ groups {{ count }} }}" for index in range(8)
    )
    having = {"and": [{"count": {"gt": 0}}] * 99}
    body = await graph.execute(f"query ($having: OpportunityHaving) {{ {fields} }}", {"having": having})
    codes = {(error["extensions"]["code"], tuple(error["extensions"]["argument"])) for error in body["errors"]}
    assert codes == {("COST_LIMIT_EXCEEDED", ("having",))}
