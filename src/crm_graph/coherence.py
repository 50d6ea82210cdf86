"""Asking what rows say together with what they point to (`db/coherence.py`): the same rules and the same SQL for the
unit of work, which asks them where it looks up what a row points to, and for imports, which ask them of a batch.

What a rule reads is held as it is until the transaction ends (`FOR SHARE`): who moves a contact to another customer and
who makes a ticket with it come one after another. An import holds nothing so: it would stand in everybody's way.

Decided in D-work-07 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, literal_column, not_, or_, select

from crm_graph.db.aliases import rows_of
from crm_graph.db.base import Base
from crm_graph.db.coherence import Agrees, Rule, Sees, Stands
from crm_graph.db.rules import targets_of
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.naming import camel, one, plural, words
from crm_graph.permissions.access import Access
from crm_graph.permissions.grants import ALL, OWN, READ
from crm_graph.permissions.policy import Policy, workspace
from crm_graph.permissions.roles import ADMIN


@dataclass(frozen=True, slots=True)
class Question:
    """A rule as it is asked of a row: of what the row points to, and with the value of its own that must agree."""

    rule: Rule
    target: str
    own: Any
    path: str
    """The column that is at fault if it does not hold: of those that were written."""


def questions(model: type[Base], values: Mapping[str, Any], changed: Collection[str] | None) -> list[Question]:
    """Return what is asked of a row's values, of which some are `changed`: all of a new one, None."""
    asked = []
    for rule in model.__coherent__:
        target = values.get(rule.column)
        if target is None or not (changed is None or rule.columns.intersection(changed)):
            continue
        own = values.get(rule.ours) if isinstance(rule, Agrees) else None
        if own is None and isinstance(rule, Agrees):
            continue
        written = changed is None or rule.column in changed or not isinstance(rule, Agrees)
        asked.append(Question(rule, target, own, rule.column if written else rule.ours))
    return asked


def fault(
    rule: Rule, policy: Policy, rows: FromClause, own: Callable[[str], ColumnElement[Any]]
) -> ColumnElement[bool]:
    """Return whether a rule does not hold, over `rows` of what a column points to; `own` returns the column of the row
    itself, which is of a policy's type."""
    match rule:
        case Agrees():
            return rows.c[rule.theirs].is_distinct_from(own(rule.ours))
        case Stands():
            if rule.values == (True,):
                return rows.c[rule.theirs].is_not(True)
            return rows.c[rule.theirs] != literal_column(f"ALL ({_array(rule.values)})")
        case Sees():
            return not_(_sees(policy.whole, rows))
        case _:
            raise TypeError(f"nothing says what {rule} asks")


def _array(values: Sequence[str]) -> str:
    """Return names of ours as an array of SQL."""
    return f"ARRAY[{', '.join(map(_quoted, values))}]::text[]"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sees(policy: Policy, members: FromClause) -> ColumnElement[bool]:
    """Return whether members have a role that shows them what is their own of a type: a built-in one, or one that the
    workspace defines, which takes the place of a built-in one of its name."""
    scopes = sorted({ALL, OWN, *policy.around_own})
    built_in = sorted({ADMIN, *(name for name, given in policy.defaults.items() if given.scopes(READ) & set(scopes))})
    tables = Base.metadata.tables
    held, role = rows_of(tables["member_role"], "held"), rows_of(tables["role"], "defined")
    of_member = held.c.workspace_id == workspace(), held.c.member_id == members.c.id
    named = role.c.workspace_id == workspace(), role.c.name == held.c.role
    redefined = select(literal_column("1")).select_from(role).where(*named).correlate(held).exists()
    is_admin = held.c.role == literal_column(_quoted(ADMIN))
    plain = and_(held.c.role == literal_column(f"ANY ({_array(built_in)})"), or_(is_admin, not_(redefined)))
    read = role.c.grants.op("->")(literal_column(_quoted(policy.type))).op("->")(literal_column(_quoted(READ)))
    shown = read.op("?|")(literal_column(f"({_array(scopes)})"))
    own = select(literal_column("1")).select_from(role).where(*named, shown).correlate(held).exists()
    of_them = select(held.c.role).where(*of_member, or_(plain, own))
    return of_them.correlate(members).exists()


def reason(rule: Rule, access: Access, policy: Policy, model: type[Base]) -> str:
    """Return in words why a rule does not hold, of what a column points to."""
    table = targets_of(model)[rule.column]
    what = one(access.over(table).type)
    match rule:
        case Agrees():
            return f"names {what} of another {words(access.over(targets_of(model)[rule.ours]).type)}"
        case Stands():
            return f"names {what} that {rule.otherwise}"
        case Sees():
            return f"names a member whose roles show them no {plural(policy.whole.type)} of their own"
        case _:
            raise TypeError(f"nothing says how {rule} is told")


def refuse_incoherent(
    asked: Sequence[Question],
    faults: Mapping[str, Any],
    access: Access,
    policy: Policy,
    model: type[Base],
    path: str = "",
) -> None:
    """Raise Refused INCOHERENT at the first rule that does not hold: `faults` has, by column, what was found of each of
    its rules in their order. It is said of the column that was written, or of the `path` where that is another one."""
    for column, of_column in by_column(asked):
        for question, wrong in zip(of_column, faults.get(column) or (), strict=False):
            if wrong:
                why = f"`{camel(column)}` {reason(question.rule, access, policy, model)}"
                than = "" if question.path == column else f" than `{camel(question.path)}`"
                raise Refused("INCOHERENT", f"{why}{than}.", (path or camel(question.path),))


def by_column(asked: Sequence[Question]) -> Iterator[tuple[str, list[Question]]]:
    """Yield the columns that are asked about, each with what is asked of it."""
    for column in dict.fromkeys(question.rule.column for question in asked):
        yield column, [question for question in asked if question.rule.column == column]


def own_bind(name: str) -> str:
    """Return the name of the bind of a value of the row itself."""
    return f"own_{name}"


def binds_of(asked: Sequence[Question]) -> dict[str, Any]:
    """Return the binds of what is asked."""
    targets = {question.rule.column: question.target for question in asked}
    own = {own_bind(rule.ours): question.own for question in asked if isinstance(rule := question.rule, Agrees)}
    return {**targets, **own}
