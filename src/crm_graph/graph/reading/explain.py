"""Why somebody sees a record or a field of it as they do: each grant that concerns it, and whether the grant covers it.

Reads through views, as everything does: of a record that the asker may not see there is nothing to explain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, select, true

from crm_graph.db.session import ReadSession
from crm_graph.graph.reading.views import View
from crm_graph.graph.records.record import Record
from crm_graph.identity.viewer import Viewer
from crm_graph.permissions.access import Access, TypeAccess
from crm_graph.permissions.compiler import AccessCompiler
from crm_graph.permissions.definitions import format_scopes
from crm_graph.permissions.grants import ALL, NONE, OWN, READ, TEAM, Grant, Level
from crm_graph.permissions.policy import UUID, Policy, workspace

_WORDS = {
    OWN: "rows that the member owns",
    TEAM: "rows whose owner is in a team that the member manages or belongs to, or below it",
    ALL: "all rows of the workspace",
    NONE: "no row",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One grant of one role that speaks of the record, or of the field; `holds` tells whether it holds for this row."""

    role: str
    grant: str
    meaning: str
    level: Level
    holds: bool
    of_field: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a member may do with a row, or a field of it, and the rules that decide."""

    visible: bool
    level: Level
    rules: tuple[Rule, ...]

    @property
    def deciding(self) -> Rule | None:
        """The rule that gives the level, the first of those that give as much."""
        return next((each for each in self.rules if each.of_field and each.holds and each.level == self.level), None)


async def explain(
    record: Record,
    id_: str,
    field: str | None,
    asker: tuple[Viewer, Access],
    subject: Viewer,
    compiler: AccessCompiler,
    reader: ReadSession,
) -> Explanation | None:
    """Return why `subject` sees a row so; None where the asker may not see the row, or there is none."""
    viewer, access = asker
    view = View.of(record, access)
    wanted = view.rows.c.id == bindparam("id", type_=UUID)
    if not await reader.query(select(true()).where(*view.conditions(), wanted), **viewer.binds, id=id_):
        return None
    rules = list(_rules(record.policy, field, subject, compiler))
    rows = View.of(record, access).rows
    columns = [_holds(record.policy, scopes, rows).label(f"r{index}") for index, (scopes, _) in enumerate(rules)]
    found = {}
    if columns:
        query = select(*columns).where(rows.c.workspace_id == workspace(), rows.c.id == bindparam("id", type_=UUID))
        (found,) = (dict(row) for row in await reader.query(query, **subject.binds, id=id_))
    judged = tuple(
        Rule(rule.role, rule.grant, rule.meaning, rule.level, found[f"r{index}"] is True, rule.of_field)
        for index, (_, rule) in enumerate(rules)
    )
    visible = any(each.holds for each in judged if not each.of_field)
    level = max((each.level for each in judged if each.of_field and each.holds), default=Level.NONE)
    return Explanation(visible, level if visible else Level.NONE, judged)


def _rules(
    policy: Policy, field: str | None, subject: Viewer, compiler: AccessCompiler
) -> Iterator[tuple[Sequence[str], Rule]]:
    """Yield each rule, not judged yet, with the scopes that must all hold for it. Of a verb with several scopes each is
    a rule."""
    for role in compiler.roles(subject):
        of = compiler.alone(role, read_only=subject.read_only).of(policy.type)
        for grant in of.grants:
            for scope in format_scopes(grant.scopes(READ)):
                yield from _rules_of(role.name, of, grant, scope, field)


def _rules_of(
    role: str, of: TypeAccess, grant: Grant, scope: str, field: str | None
) -> Iterator[tuple[Sequence[str], Rule]]:
    meaning = _WORDS.get(scope, f"rows of {scope}")
    yield (scope,), Rule(role, f"{READ} {scope}", meaning, Level.READ, holds=False, of_field=False)
    if field is None or scope == NONE:
        return
    for given in of.granted(grant, field):
        meaning = f"of these, {_WORDS.get(given.scope, f'rows of {given.scope}')}"
        granted = f"{field}: {given.level.name} {given.scope}"
        yield (scope, given.scope), Rule(role, granted, meaning, given.level, holds=False, of_field=True)


def _holds(policy: Policy, scopes: Sequence[str], rows: FromClause) -> ColumnElement[bool]:
    if NONE in scopes:
        return ~true()
    predicates = [policy.predicate(scope, rows) for scope in scopes]
    return and_(true(), *(predicate for predicate in predicates if predicate is not None))
