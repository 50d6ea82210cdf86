"""The worst documents that we can think of, each of nearly 5,000 tokens, and what must be answered to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LIMIT = "COST_LIMIT_EXCEEDED"
INVALID = "VALIDATION_FAILED"
PARSE = "PARSE_FAILED"
INPUT = "BAD_USER_INPUT"

TYPES = (
    "Campaign",
    "CampaignMember",
    "Contact",
    "Customer",
    "Member",
    "Opportunity",
    "OpportunityLine",
    "Order",
    "OrderLine",
    "Pipeline",
    "Product",
    "Stage",
    "StageMove",
    "Team",
    "Ticket",
    "TicketReply",
    "Workspace",
)


@dataclass(frozen=True, slots=True)
class Worst:
    """A document; `code` is that of the first error, None for an answer without errors."""

    source: str
    code: str | None
    variables: Mapping[str, Any] = field(default_factory=dict)
    operation: str | None = None


def doubling(count: int, last: str = "id") -> str:
    """Fragments that each spread the next one twice, in one set."""
    chain = "".join(f"fragment F{i} on Customer {{ ...F{i + 1} ...F{i + 1} }} " for i in range(count))
    return f"{{ customers {{ nodes {{ ...F0 }} }} }} {chain} fragment F{count} on Customer {{ {last} }}"


def doubling_fields(count: int) -> str:
    """Fragments that each spread the next one twice, below different fields."""
    chain = "".join(
        f"fragment F{i} on Member {{ manager {{ ...F{i + 1} }} team {{ manager {{ ...F{i + 1} }} }} }} "
        for i in range(count)
    )
    return f"{{ viewer {{ member {{ ...F0 }} }} }} {chain} fragment F{count} on Member {{ id }}"


def overlapping(count: int, fragments: int) -> str:
    """Fields of one response key in many fragments, which validation compares pair by pair."""
    names = [f"F{i}" for i in range(fragments)]
    spreads = " ".join(f"...{name}" for name in names)
    body = "owner { id name } " * count
    return f"{{ customers {{ nodes {{ {spreads} }} }} }} " + " ".join(
        f"fragment {name} on Customer {{ {body} }}" for name in names
    )


def cyclic(count: int) -> str:
    """Every fragment spreads every other one."""
    spreads = " ".join(f"...F{i}" for i in range(count))
    return "{ customers { nodes { ...F0 } } } " + " ".join(
        f"fragment F{i} on Customer {{ {spreads} }}" for i in range(count)
    )


def ring(count: int) -> str:
    """One cycle through all fragments."""
    return "{ customers { nodes { ...F0 } } } " + " ".join(
        f"fragment F{i} on Customer {{ id ...F{(i + 1) % count} }}" for i in range(count)
    )


def chain(count: int) -> str:
    """Fragments that each spread the next one."""
    return (
        "{ customers { nodes { ...F0 } } } "
        + " ".join(f"fragment F{i} on Customer {{ id ...F{i + 1} }}" for i in range(count))
        + f" fragment F{count} on Customer {{ id }}"
    )


def filter_of(leaves: int, depth: int) -> str:
    """A literal `where` of so many leaves, nested so deep."""
    inner = 'name: {contains: "a", startsWith: "b", eq: "c", ne: "d"} '
    conditions = "or: [" + ("{ " + inner + "} ") * (leaves // 4) + "]"
    return "{ not: " * depth + "{" + conditions + "}" + " }" * depth


def filter_value(leaves: int, name: str = "name") -> dict[str, Any]:
    """A `where` of so many leaves, as a variable."""
    return {"or": [{name: {"contains": "a", "startsWith": "b", "eq": "c", "ne": "d"}} for _ in range(leaves // 4)]}


EVERY_EDGE = """
  owner { id } parent { id } subsidiaries { nodes { id } } contacts { nodes { id } } opportunities { nodes { id } }
  orders { nodes { id } } campaignMemberships { nodes { id } } tickets { nodes { id } }
"""

FILTERED_EDGES = re.sub(
    r"(\w+) { nodes",
    r'\1(where: {or: [{not: {version: {ne: 1}}}, {createdAt: {gt: "2026-01-01T00:00:00Z"}}]},'
    r" orderBy: [{field: CREATED_AT, nulls: FIRST}, {field: UPDATED_AT}]) { totalCount nodes",
    EVERY_EDGE.replace("campaignMemberships { nodes { id } }", ""),
)

WORST: dict[str, Worst] = {
    "doubling fragments": Worst(doubling(400), LIMIT),
    "doubling fragments, few": Worst(doubling(18), LIMIT),
    "doubling fragments, cheap enough": Worst(doubling(9), None),
    "doubling fields": Worst(doubling_fields(240), LIMIT),
    "doubling fields, few": Worst(doubling_fields(12), LIMIT),
    "cyclic fragments": Worst(cyclic(46), INVALID),
    "a ring of fragments": Worst(ring(450), LIMIT),
    "a small ring of fragments": Worst(ring(100), INVALID),
    "a chain of fragments": Worst(chain(450), LIMIT),
    "a chain of fragments, as deep as measured": Worst(chain(200), LIMIT),
    "a chain of fragments that passes": Worst(chain(60), None),
    "overlapping fields": Worst("{ customers { nodes { " + "owner { id name } " * 990 + "} } }", LIMIT),
    "overlapping fields, deep": Worst(
        "{ customers { nodes { " + "owner { team { manager { id } } } " * 490 + "} } }", LIMIT
    ),
    "overlapping fragments": Worst(overlapping(20, 45), LIMIT),
    "overlapping fragments, many": Worst(overlapping(1, 400), LIMIT),
    "overlapping arguments": Worst(
        "{ customers { nodes { " + "".join(f"orders(first: {i}) {{ totalCount }} " for i in range(480)) + "} } }", LIMIT
    ),
    "overlapping leaves": Worst("{ customers { nodes { " + "id " * 4980 + "} } }", LIMIT),
    "one field many times": Worst(
        "{ customers { nodes { id } } " * 1 + "customers { nodes { id } } " * 700 + "}", LIMIT
    ),
    "root __typename": Worst("{ " + "__typename " * 4990 + "}", LIMIT),
    "aliases of one leaf": Worst("{ " + " ".join(f"a{i}: __typename" for i in range(1600)) + " }", LIMIT),
    "deep selections": Worst("{ viewer { member { " + "manager { " * 2000 + "id" + " }" * 2000 + " } } }", PARSE),
    "rather deep selections": Worst("{ viewer { member { " + "manager { " * 80 + "id" + " }" * 80 + " } } }", LIMIT),
    "deep inline fragments": Worst("{ " + "... { " * 80 + "__typename" + " }" * 80 + " }", None),
    "deeper inline fragments": Worst("{ " + "... { " * 1200 + "__typename" + " }" * 1200 + " }", PARSE),
    "many inline fragments": Worst("{ customers { nodes { " + "... on Node { id } " * 800 + "} } }", LIMIT),
    "many conditional inline fragments": Worst(
        "query ($c: Boolean = true) { customers { nodes { " + "... @include(if: $c) { id } " * 430 + "} } }", LIMIT
    ),
    "many directives": Worst("{ __typename " + "@include(if: true) " * 700 + "}", INVALID),
    "many unknown directives": Worst("{ __typename " + "@x " * 2400 + "}", INVALID),
    "unknown fields": Worst("{ " + " ".join(f"x{i}" for i in range(4980)) + " }", LIMIT),
    "unknown fields of a record": Worst("{ viewer { " + " ".join(f"x{i}" for i in range(4970)) + " } }", INVALID),
    "unknown arguments": Worst(
        "{ customers(" + " ".join(f"x{i}: 1" for i in range(1600)) + ") { totalCount } }", INVALID
    ),
    "unknown fragments": Worst("{ viewer { " + " ".join(f"...x{i}" for i in range(2400)) + " } }", INVALID),
    "unused fragments": Worst(
        "{ __typename } " + " ".join(f"fragment F{i} on Customer {{ id }}" for i in range(700)), INVALID
    ),
    "unused variables": Worst("query (" + " ".join(f"$v{i}: Int" for i in range(1200)) + ") { __typename }", INVALID),
    "many variables": Worst(
        "query ("
        + " ".join(f"$v{i}: ID" for i in range(550))
        + ") { customers(where: {or: ["
        + " ".join(f"{{id: {{eq: $v{i}}}}}" for i in range(250))
        + "]}) { totalCount } }",
        INVALID,
    ),
    "many operations": Worst(" ".join(f"query Q{i} {{ __typename }}" for i in range(990)), None, {}, "Q7"),
    "many operations of one fragment": Worst(
        " ".join(f"query Q{i} {{ ...F }}" for i in range(700))
        + " fragment F on Query { __typename "
        + "viewer { roles } " * 19
        + "}",
        None,
        {},
        "Q7",
    ),
    "many operations that share a chain": Worst(
        " ".join(f"query Q{i} {{ ...F0 }}" for i in range(400))
        + "".join(f"fragment F{i} on Query {{ ...F{i + 1} }}" for i in range(200))
        + "fragment F200 on Query { __typename }",
        LIMIT,
        {},
        "Q7",
    ),
    "many operations with variables": Worst(
        " ".join(f"query Q{i}($n: Int) {{ ...F0 }}" for i in range(250))
        + "".join(f"fragment F{i} on Query {{ ...F{i + 1} }}" for i in range(150))
        + "fragment F150 on Query { customers(first: $n) { totalCount } }",
        None,
        {"n": 1},
        "Q7",
    ),
    "a huge filter": Worst("{ customers(where: " + filter_of(1200, 0) + ") { totalCount } }", LIMIT),
    "a huge filter that passes": Worst("{ customers(where: " + filter_of(100, 4) + ") { totalCount } }", None),
    "a deep filter": Worst("{ customers(where: " + "{not: " * 80 + "{}" + "}" * 80 + ") { totalCount } }", LIMIT),
    "a filter of many edges": Worst(
        "{ customers(where: {or: ["
        + '{opportunities: {some: {orders: {some: {lines: {some: {quantity: {gt: "1"}}}}}}}} ' * 90
        + "]}) { totalCount } }",
        LIMIT,
    ),
    "a huge list": Worst("{ nodes(ids: [" + "1 " * 4970 + "]) { id } }", LIMIT),
    "a huge list of null": Worst("{ nodes(ids: [" + "null " * 4970 + "]) { id } }", INVALID),
    "a huge list in a filter": Worst(
        "{ customers(where: {name: {in: [" + '"x" ' * 4900 + "]}}) { totalCount } }", LIMIT
    ),
    "a wrong list": Worst("{ customers(where: {name: {in: [" + "{} " * 2400 + "]}}) { totalCount } }", INVALID),
    "repeated input fields": Worst("{ customers(where: {" + "name: {} " * 1200 + "}) { totalCount } }", INVALID),
    "a long name": Worst("{ " + "x" * 60_000 + " }", INVALID),
    "a long string": Worst('{ node(id: "' + "x" * 60_000 + '") { id } }', INVALID),
    "a long block string": Worst('{ node(id: """' + "\\n  x\n" * 9_000 + '""") { id } }', INVALID),
    "comments": Worst("#\n" * 4_900 + "{ __typename }", None),
    "commas": Worst("{" + "," * 60_000 + "__typename }", None),
    "introspection": Worst(
        "{ __schema { types { name fields { name args { name type { ...T } } type { ...T } } inputFields"
        " { name type { ...T } }"
        " possibleTypes { ...T } enumValues { name } } } } fragment T on __Type { kind name ofType { kind name ofType {"
        " kind name ofType { kind name } } } }",
        None,
    ),
    "introspection in introspection": Worst(
        "{ __schema { types { fields { type { ...L fields { args { type { ...L"
        " ofType { ...L } } } type { ...L } } } } } } }"
        " fragment L on __Type { kind name description enumValues { name description isDeprecated deprecationReason }"
        " inputFields { name description args: type { name ofType { name ofType { name } } } } }",
        LIMIT,
    ),
    "introspection of all objects twice": Worst(
        "{ __schema { types { "
        + "fields { name type { name kind description fields { name type { name ofType { name } } } } }"
        " } } }",
        None,
    ),
    "introspection of all arguments": Worst(
        "{ __schema { types { fields { args { type { name ofType { name ofType { name } } inputFields {"
        " name type { name ofType { name } } } } } } } } }",
        LIMIT,
    ),
    "introspection of fields, aliased": Worst(
        "{ __schema { types { fields { "
        + " ".join(f"a{i}: type {{ name ofType {{ name ofType {{ name ofType {{ name }} }} }} }}" for i in range(7))
        + " } } } }",
        None,
    ),
    "introspection, aliased": Worst(
        "{ __schema { types { "
        + " ".join(
            f"a{i}: fields {{ name args {{ name type {{ name ofType {{ name ofType {{ name }} }} }} }} }}"
            for i in range(29)
        )
        + " } } }",
        LIMIT,
    ),
    "introspection of possible types": Worst(
        '{ __type(name: "Node") { possibleTypes { fields { type { ofType { ofType { ofType { name } } } fields { type {'
        " ofType { name kind description } name kind description } args { name type"
        " { name kind ofType { name } } } } } } } } }",
        INVALID,
    ),
    "node by all types": Worst(
        "{ node(id: 1) { " + " ".join(f"... on {name} {{ id version }}" for name in TYPES) + " } }", None
    ),
    "a node by each root field": Worst(
        "{ " + " ".join(f"a{i}: node(id: {i}) {{ id }}" for i in range(20)) + " }", None
    ),
    "nodes of any types by each root field": Worst(
        "{ " + " ".join(f"a{i}: nodes(ids: [{i}]) {{ id }}" for i in range(20)) + " }", LIMIT
    ),
    "a node with every edge of every type": Worst(
        "{ node(id: 1) { ... on Customer { "
        + EVERY_EDGE
        + " } ... on Opportunity { customer { "
        + EVERY_EDGE
        + " } owner { team { members { nodes { id } } } } } ... on Order { customer { "
        + EVERY_EDGE
        + " } } } }",
        None,
    ),
    "every edge, as many as pass": Worst(
        "{ " + " ".join(f"a{i}: customer(id: 1) {{ {EVERY_EDGE} }}" for i in range(11)) + " }", None
    ),
    "every edge below every edge": Worst(
        "{ customers(first: 1) { nodes { ...A orders(first: 1) { nodes { customer { ...A } } }"
        " opportunities(first: 1) { nodes { customer { ...A } } } tickets(first: 1) { nodes { customer { ...A } } }"
        " contacts(first: 1) { nodes { customer { ...A } } } subsidiaries(first: 1) { nodes { ...A } } } } }"
        " fragment A on Customer { " + EVERY_EDGE.replace(" { nodes", "(first: 1) { nodes") + " }",
        None,
    ),
    "fields of many rows": Worst(
        "{ customers(first: 200) { nodes { " + "id name kind lifecycle email phone version " * 600 + " } } }", LIMIT
    ),
    "filters of many edges in a variable": Worst(
        "query ($w: CustomerFilter) { "
        + " ".join(f"a{i}: customers(where: $w, first: 1) {{ nodes {{ id }} }}" for i in range(20))
        + " }",
        LIMIT,
        {"w": filter_value(100)},
    ),
    "filters below filters in a variable": Worst(
        "query ($w: OrderFilter) { "
        + " ".join(
            f"a{i}: customers(first: 1) {{ totalCount"
            f" nodes {{ orders(where: $w, first: 1) {{ totalCount nodes {{ id }} }} }} }}"
            for i in range(20)
        )
        + " }",
        LIMIT,
        {"w": filter_value(100, "number")},
    ),
    "filters of many edges below one object": Worst(
        "query ($w: CustomerFilter) { customers(first: 1) { nodes { "
        + " ".join(f"a{i}: subsidiaries(where: $w, first: 1) {{ totalCount nodes {{ id }} }}" for i in range(30))
        + " } } }",
        LIMIT,
        {"w": filter_value(100)},
    ),
    "filters of many objects below one object": Worst(
        "query ($w: OpportunityFilter) { customers(first: 1) { nodes { "
        + " ".join(f"a{i}: opportunities(where: $w, first: 1) {{ totalCount nodes {{ id }} }}" for i in range(30))
        + " } } }",
        LIMIT,
        {"w": {"or": [{"customer": {"opportunities": {"some": {"orders": {"some": {"number": {"eq": "1"}}}}}}}] * 49}},
    ),
    "a filter of 4,000 conditions in a variable": Worst(
        "query ($w: CustomerFilter) { customers(where: $w) { totalCount } }", LIMIT, {"w": filter_value(16_000)}
    ),
    "a filter of 60,000 empty objects in a variable": Worst(
        "query ($w: CustomerFilter) { customers(where: $w) { totalCount } }", LIMIT, {"w": {"or": [{}] * 60_000}}
    ),
    "60,000 ids in a variable": Worst("query ($i: [ID!]!) { nodes(ids: $i) { id } }", LIMIT, {"i": ["a"] * 60_000}),
    "60,000 wrong ids in a variable": Worst(
        "query ($i: [ID!]!) { nodes(ids: $i) { id } }", LIMIT, {"i": [{}] * 60_000}
    ),
    "unknown input fields in a variable": Worst(
        "query ($w: CustomerFilter) { customers(where: $w) { totalCount } }",
        LIMIT,
        {"w": {f"x{i}": 1 for i in range(20_000)}},
    ),
    "as many ids as pass, all wrong": Worst("query ($i: [ID!]!) { nodes(ids: $i) { id } }", INPUT, {"i": [{}] * 9_900}),
    "as large a filter as is coerced": Worst(
        "query ($w: CustomerFilter) { customers(where: $w) { totalCount } }", LIMIT, {"w": {"or": [{}] * 9_900}}
    ),
    "as many unknown input fields as pass": Worst(
        "query ($w: CustomerFilter) { customers(where: $w) { totalCount } }",
        INPUT,
        {"w": {f"x{i}": 1 for i in range(9_900)}},
    ),
    "every edge filtered and ordered, as many as pass": Worst(
        "{ " + " ".join(f"a{i}: customer(id: 1) {{ {FILTERED_EDGES} }}" for i in range(7)) + " }", None
    ),
    "mutations": Worst(
        "mutation { "
        + " ".join(
            f"a{i}: shipOrder(input: {{id: 1}}) {{ errors {{ code }} order {{ customer {{ {EVERY_EDGE} }} }} }}"
            for i in range(10)
        )
        + " }",
        None,
    ),
}
