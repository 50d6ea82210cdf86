"""Every example of GraphiQL runs as it stands, with the variables that the page finds for it."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.api.console.examples import EXAMPLES, Example
from tests.support.graph import Graph
from tests.support.projected import begin

WITHOUT_RECORDS = [each for each in EXAMPLES if "signIn" not in each.operation]
"""The password of `signIn` stands in the banner: `tests/journeys/test_newcomer.py` signs in with it."""


async def variables(graph: Graph, example: Example) -> dict[str, Any]:
    """Return what the page puts into the variables, as `graphiql.js` does."""
    found: dict[str, Any] = dict(example.variables)
    if example.fill:
        data = await graph.data(example.fill, role="admin")
        for name in found:
            (record,) = data[name]["nodes"]
            found[name] = record["id"]
    return found


@pytest.mark.parametrize("example", WITHOUT_RECORDS, ids=lambda example: example.title)
async def test_an_example_runs(graph: Graph, example: Example) -> None:
    if example.operation.strip().startswith("subscription"):
        pytest.skip("the clients' suite runs it in a browser")
    await begin(graph)
    data = await graph.data(example.operation, await variables(graph, example), role="admin")
    for payload in data.values():
        assert payload is not None
        assert payload.get("errors", []) == []


def test_every_variable_of_an_example_has_a_value() -> None:
    for example in EXAMPLES:
        declared = set(example.operation.partition("{")[0].replace("$", " $").split())
        names = {word[1:].rstrip(":") for word in declared if word.startswith("$")}
        assert names == set(example.variables), example.title
