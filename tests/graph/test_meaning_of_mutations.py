"""Mutations say what they do to what; nothing is read off their names."""

from __future__ import annotations

import pytest
import strawberry

from crm_graph.api.schema import SLICES, make_schema
from crm_graph.graph.reading.sizes import DEFINITION
from crm_graph.graph.schema.build import Slice, build_schema
from crm_graph.graph.writes import DOES_KEY, Does


class Silent:
    """A mutation that does not say what it does."""

    @strawberry.mutation(description="Does something.")  # type: ignore[untyped-decorator]
    async def do_something(self) -> bool:
        return True


def test_a_mutation_that_does_not_say_what_it_does_is_refused() -> None:
    with pytest.raises(ValueError, match="do_something does not say what it does"):
        build_schema((*SLICES, Slice("silent", mutations=(Silent,))))


def test_the_verbs_of_mutations_are_verbs_of_their_types() -> None:
    core = make_schema().core
    assert core.mutation_type is not None
    for name, field in core.mutation_type.fields.items():
        does: Does = field.extensions[DEFINITION].metadata[DOES_KEY]
        if does.policy is not None:
            known = {"create", "update", "delete", *does.policy.transitions}
            assert does.verbs, name
            assert set(does.verbs) <= known, name
