"""The compiled statements of judges are bounded, and one that is used stays."""

from __future__ import annotations

import pytest

from crm_graph.graph.changes import judging
from crm_graph.graph.changes.judging import Judge
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.caches import RecentCache
from crm_graph.permissions.access import compile_access
from crm_graph.permissions.roles import built_in_roles


def test_a_new_form_of_filter_drops_no_other_that_is_in_use(
    schema: BuiltSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_STATEMENTS", RecentCache(3))
    monkeypatch.setattr(judging, "_RELATED", RecentCache(3))
    access = compile_access([built_in_roles(schema.policies)["admin"]], schema.policies)
    customer = schema.registry.records["Customer"]

    def judge(**where: object) -> Judge:
        return Judge.of(customer, schema.registry, where, ("where",))

    watched = judge(owner={"name": {"eq": "Ann"}})
    statement, related = watched.statement(access), watched.related(access)
    assert related is not None
    for operator in ("eq", "ne", "contains", "startsWith", "isNull"):
        judge(name={operator: operator == "isNull" or "x"}).related(access)
        assert watched.statement(access) is statement
        assert watched.related(access) is related
    assert len(judging._STATEMENTS) == len(judging._RELATED) == 3
