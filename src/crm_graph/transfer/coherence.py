"""Which rows of a batch do not go with what they point to: the rules of the unit of work (`crm_graph/coherence.py`), in
one statement over all rows of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import Integer, and_, column, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from crm_graph.coherence import fault, reason
from crm_graph.db.aliases import rows_of
from crm_graph.db.base import Base, table_of
from crm_graph.db.coherence import Agrees, Rule
from crm_graph.db.rules import targets_of
from crm_graph.permissions.policy import UUID, workspace
from crm_graph.transfer.spec import Draft
from crm_graph.work import Work

T = TypeVar("T")


async def incoherent(work: Work, model: type[Base], rows: Sequence[tuple[T, Draft]]) -> list[tuple[T, str, str]]:
    """Return of rows, each with whatever stands for it, those that do not go with what they point to: with the column
    and the reason. What was so in the past is not asked, and of stored rows only what changes."""
    asked = [
        (what, number, row)
        for number, rule in enumerate(model.__coherent__)
        for what, row in rows
        if _is_asked(work, rule, row)
    ]
    return await _broken(work, model, asked) if asked else []


def _is_asked(work: Work, rule: Rule, row: Draft) -> bool:
    if row.get(rule.column) in {None, work.viewer.member_id} or (
        isinstance(rule, Agrees) and row.get(rule.ours) is None
    ):
        return False
    if rule.past is not None and row.get(rule.past[0]) in rule.past[1]:
        return False
    return row.is_new() or any(row.changes_to(name) for name in rule.columns)


async def _broken(work: Work, model: type[Base], asked: Sequence[tuple[T, int, Draft]]) -> list[tuple[T, str, str]]:
    """Return those of rows that break the rule, by its number, that is asked of each."""
    rules, policy = model.__coherent__, work.access.over(table_of(model))
    names = sorted({name for _, number, _ in asked for name in rules[number].columns})
    numbers = column("place", Integer), column("rule", Integer)
    rows = func.jsonb_to_recordset(bindparam("given", type_=JSONB))
    table_valued = rows.table_valued(*numbers, *(column(name, UUID) for name in names), name="given")
    given = table_valued.render_derived(with_types=True)
    broken = []
    for number in sorted({number for _, number, _ in asked}):
        target = rows_of(targets_of(model)[rules[number].column], f"target_{number}")
        wrong = fault(rules[number], policy, target, lambda name: given.c[name])
        named = target.c.workspace_id == workspace(), target.c.id == given.c[rules[number].column]
        is_wrong = select(literal_column("1")).select_from(target).where(*named, wrong).correlate(given).exists()
        broken.append(and_(given.c.rule == literal_column(str(number)), is_wrong))
    values = [
        {"place": place, "rule": number, **{name: row.get(name) for name in names}}
        for place, (_, number, row) in enumerate(asked)
    ]
    places = await work.session.query(select(given.c.place).where(or_(*broken)), **work.viewer.binds, given=values)
    return [_told(work, model, *asked[row["place"]]) for row in sorted(places, key=lambda row: row["place"])]


def _told(work: Work, model: type[Base], what: T, number: int, row: Draft) -> tuple[T, str, str]:
    rule = model.__coherent__[number]
    why = reason(rule, work.access, work.access.over(table_of(model)), model)
    if not isinstance(rule, Agrees):
        return what, rule.column, why
    written = row.is_new() or row.changes_to(rule.column)
    return what, rule.column if written else rule.ours, f"{why} than {rule.ours.removesuffix('_id')}"
