"""No document keeps the loop for long: each of the worst is refused, or answered, by the check that should do it.

Times are for `python -m tests.security.worst`. Here the work is counted: Python's function calls, the same on every
machine, of which 250 ms have several millions.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.documents.cache import DocumentError
from crm_graph.kernel.settings import Settings
from tests.security.documents import WORST, Worst
from tests.support.graph import Graph

SETTINGS = Settings(max_tokens=5_000)
MAX_CALLS = 3_500_000


class Calls:
    """Counts the calls of Python functions while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Calls:
        gc.disable()  # what it calls is not the document's
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        gc.enable()

    def _called(self, _frame: Any, event: str, _argument: Any) -> None:
        if event in {"call", "c_call"}:
            self.count += 1


@pytest.mark.parametrize("worst", WORST.values(), ids=WORST.keys())
async def test_a_worst_document(graph: Graph, worst: Worst) -> None:
    """It has the code that says which check stopped it, and takes a bounded number of calls."""
    strict = Graph(graph.schema, graph.database, SETTINGS)
    claims = await strict.claims("admin")
    request = GraphQLRequest(worst.source, worst.operation, worst.variables)
    with Calls() as calls:
        try:
            operation = await strict.engine.admission.operation(request, claims)
            body = (await strict.engine.execute(request, operation, claims)).body
        except DocumentError as error:
            body = strict.engine.answers.refuse(error.errors, error.code).body
    errors = body.get("errors")
    assert (errors[0]["extensions"]["code"] if errors else None) == worst.code, errors
    assert calls.count < MAX_CALLS
