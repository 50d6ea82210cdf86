"""The lint of placement: what a statement may not ask of a Citus cluster, told on plain Postgres from its parse tree.

A cluster keeps the rows of a workspace on one node, and runs a statement there when it can see that all of it is about
one workspace. What it cannot see it asks of every node, or refuses; which of both, it says at run time only. So the
suite parses what the product sends (`recorded.py`) with Postgres' own parser and holds it to these rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pglast
from pglast import parse_sql
from pglast.enums import A_Expr_Kind, BoolExprType, JoinType
from pglast.visitors import Visitor

from crm_graph.db.placement import Placement

ast: Any = pglast.ast
"""Its classes; what their fields may hold, pglast does not say."""
WORKSPACE = "workspace_id"
VOLATILE = {"random", "gen_random_uuid", "clock_timestamp", "nextval"}
CHANGING = VOLATILE | {"now", "statement_timestamp", "transaction_timestamp"}


def violations(text: str, placements: Mapping[str, Placement]) -> list[str]:
    """Return what a cluster would not do, or would ask of every node, in a statement."""
    found: list[str] = []
    for raw in parse_sql(text):
        if isinstance(raw.stmt, ast.SelectStmt | ast.InsertStmt | ast.UpdateStmt | ast.DeleteStmt | ast.MergeStmt):
            _Statement(placements, found).level(raw.stmt, {}, None)
    return list(dict.fromkeys(found))


@dataclass(slots=True)
class _Source:
    """What stands in a FROM clause under a name."""

    name: str
    placement: Placement | None = None
    """None for what is no table: a function, a subquery, a common table."""
    bound: bool = False
    """Whether all of its rows are of the workspace that a parameter names."""


@dataclass(slots=True)
class _Level:
    """A query, or a subquery."""

    above: _Level | None
    sources: dict[str, _Source] = field(default_factory=dict)
    conditions: list[Any] = field(default_factory=list)
    kinds: set[Placement] = field(default_factory=set)
    """The placements of its tables, and of those of subqueries that name rows of it."""
    named: set[str] = field(default_factory=set)
    """The names by which it names rows, its subqueries included."""
    correlated: bool = False

    def find(self, alias: str) -> tuple[_Source, bool] | None:
        """Return a source by its name, and whether it is of a level above."""
        if alias in self.sources:
            return self.sources[alias], False
        found = self.above.find(alias) if self.above else None
        return None if found is None else (found[0], True)


@dataclass(slots=True)
class _Statement:
    placements: Mapping[str, Placement]
    found: list[str]

    def level(self, node: Any, common: Mapping[str, bool], above: _Level | None) -> tuple[bool, _Level]:
        """Judge a query with the common tables that it may name; return whether all of its rows are of one workspace,
        and the level."""
        level, common = _Level(above), dict(common)
        for cte in node.withClause.ctes if node.withClause else ():
            if node.withClause.recursive:
                common[cte.ctename] = True  # names itself; its arms are judged like any
            common[cte.ctename], _ = self.level(cte.ctequery, common, None)
        if isinstance(node, ast.MergeStmt):
            self.found.append("MERGE")
            return True, level
        if isinstance(node, ast.SelectStmt) and node.larg is not None:
            arms = [self.level(arm, common, above) for arm in (node.larg, node.rarg)]
            level.correlated = any(arm.correlated for _, arm in arms)
            for _, arm in arms:
                level.kinds |= arm.kinds
                level.named |= arm.named
            return all(bound for bound, _ in arms), level
        self._sources(node, level, common)
        self._subqueries(node, level, common)
        self._bind(level)
        self._judge(node, level)
        return all(source.bound for source in level.sources.values()), level

    def _sources(self, node: Any, level: _Level, common: Mapping[str, bool]) -> None:
        if isinstance(node, ast.UpdateStmt | ast.DeleteStmt):
            self._source(node.relation, level, common)
        for each in getattr(node, "fromClause", None) or getattr(node, "usingClause", None) or ():
            self._source(each, level, common)
        level.conditions += _conjuncts(getattr(node, "whereClause", None))

    def _source(self, node: Any, level: _Level, common: Mapping[str, bool]) -> None:
        if isinstance(node, ast.JoinExpr):
            self._source(node.larg, level, common)
            before = set(level.sources)
            self._source(node.rarg, level, common)
            conditions = list(_conjuncts(node.quals))
            level.conditions += conditions
            if node.jointype != JoinType.JOIN_INNER:
                new = [level.sources[name] for name in level.sources.keys() - before]
                if any(source.placement is Placement.DISTRIBUTED for source in new):
                    self._outer(conditions)
        elif isinstance(node, ast.RangeVar):
            alias = node.alias.aliasname if node.alias else node.relname
            if node.relname in common:
                level.sources[alias] = _Source(alias, None, common[node.relname])
            else:
                placement = self.placements.get(node.relname)
                level.sources[alias] = _Source(alias, placement, placement is not Placement.DISTRIBUTED)
                if placement is not None and placement is not Placement.REFERENCE:
                    level.kinds.add(placement)
        elif isinstance(node, ast.RangeSubselect):
            bound, inner = self.level(node.subquery, common, level)
            level.sources[node.alias.aliasname if node.alias else ""] = _Source("", None, bound)
            self._contain(level, inner)
        elif isinstance(node, ast.RangeFunction):
            name = node.alias.aliasname if node.alias else ""
            level.sources[name] = _Source(name, None, True)

    def _outer(self, conditions: Sequence[Any]) -> None:
        equations = [sides for each in conditions for sides in _equations(each)]
        keys = [sides for sides in equations if not any(_is_workspace(side) for side in sides)]
        never = any(isinstance(each, ast.A_Const) for each in conditions)  # folded, and the join with it
        if never or not any(all(map(_reads_a_column, sides)) for sides in keys):
            self.found.append("an outer join by a parameter alone: where that is null, the join is of no shard")

    def _subqueries(self, node: Any, level: _Level, common: Mapping[str, bool]) -> None:
        for each in _own(node):
            if isinstance(each, ast.ColumnRef) and len(each.fields) > 1:
                level.named.add(each.fields[-2].sval)
            elif isinstance(each, ast.SubLink):
                _, inner = self.level(each.subselect, common, level)
                if not each.subselect.targetList and inner.kinds == {Placement.LOCAL} and not each.subselect.larg:
                    self.found.append("a subquery of a local table that selects nothing: SELECT 1")
                self._contain(level, inner)

    def _contain(self, level: _Level, inner: _Level) -> None:
        """Take note of a subquery: by itself it is run by itself, and what names rows of a level is of that level."""
        level.named |= inner.named
        if inner.correlated:
            level.kinds |= inner.kinds

    def _bind(self, level: _Level) -> None:
        """Find the sources whose workspace is a parameter, or that of a source of the same level for which it is."""
        tables = [each for each in level.sources.values() if each.placement is not None]
        alone = tables[0] if len(tables) == 1 else None
        equal: list[tuple[_Source, _Source]] = []
        outer: set[str] = set()
        for each in level.conditions:
            for one, other in _equations(each):
                sides = [self._workspace_of(side, level, alone) for side in (one, other)]
                for found, side in ((sides[0], other), (sides[1], one)):
                    if found is not None and not found[1] and _is_parameter(side):
                        found[0].bound = True
                mine, theirs = sides
                if mine is not None and theirs is not None:
                    if mine[1] == theirs[1]:
                        equal.append((mine[0], theirs[0]))
                    else:
                        outer.add(mine[0].name if theirs[1] else theirs[0].name)
        if any(isinstance(each, ast.A_Const) and each.val == ast.Boolean(False) for each in level.conditions):
            outer.clear()
            for source in level.sources.values():  # of no rows, and so of no shard
                source.bound = True
        for _ in equal:
            for one, other in equal:
                one.bound = other.bound = one.bound or other.bound
        for source in level.sources.values():
            if source.placement is Placement.DISTRIBUTED and not source.bound:
                if source.name in outer:
                    self.found.append(f"{source.name}: workspace_id is compared with an outer row")
                    source.bound = True
                else:
                    self.found.append(f"{source.name}: no workspace_id that is a parameter, so every shard is asked")

    def _workspace_of(self, node: Any, level: _Level, alone: _Source | None) -> tuple[_Source, bool] | None:
        if not isinstance(node, ast.ColumnRef) or _column(node) != WORKSPACE:
            return None
        if len(node.fields) == 1:
            return None if alone is None else (alone, False)
        return level.find(node.fields[-2].sval)

    def _judge(self, node: Any, level: _Level) -> None:
        level.correlated = any(level.find(alias) is not None and alias not in level.sources for alias in level.named)
        if isinstance(node, ast.InsertStmt):
            self._insert(node, level)
        elif isinstance(node, ast.UpdateStmt | ast.DeleteStmt):
            self._write(node.relation.relname)
            if isinstance(node, ast.UpdateStmt) and Placement.DISTRIBUTED in level.kinds:
                self._functions(node.targetList, VOLATILE)
        elif node.lockingClause:
            for source in level.sources.values():
                if source.placement is Placement.REFERENCE and _locks(node, source.name):
                    self.found.append(f"{source.name}: a lock on every node")
        if {Placement.LOCAL, Placement.DISTRIBUTED} <= level.kinds:
            self.found.append("local and distributed tables in one query, which no common table keeps apart")

    def _write(self, table: str) -> None:
        if self.placements.get(table) is Placement.REFERENCE:
            self.found.append(f"{table}: a write to every node")

    def _insert(self, node: Any, level: _Level) -> None:
        table = node.relation.relname
        self._write(table)
        if self.placements.get(table) is not Placement.DISTRIBUTED:
            if node.selectStmt is not None:
                self.level(node.selectStmt, {}, None)
            return
        if node.onConflictClause is not None:
            self._functions(node.onConflictClause.targetList, CHANGING)
        select = node.selectStmt
        if select is None:
            return
        bound = select.valuesLists is None and self.level(select, dict.fromkeys(_commons(node), True), None)[0]
        columns = [each.name for each in node.cols or ()]
        place = columns.index(WORKSPACE) if WORKSPACE in columns else 0
        rows = select.valuesLists or ([each.val for each in select.targetList],)
        if not all(
            _is_parameter(row[place]) or (bound and isinstance(_uncast(row[place]), ast.ColumnRef))
            for row in rows
            if len(row) > place
        ):
            self.found.append(f"{table}: rows are inserted whose workspace_id is no parameter")

    def _functions(self, nodes: Any, refused: set[str]) -> None:
        for call in _all(nodes, ast.FuncCall):
            if call.funcname[-1].sval in refused:
                self.found.append(f"{call.funcname[-1].sval}() in what is set: each node would have its own")


def _commons(node: Any) -> Iterator[str]:
    yield from (cte.ctename for cte in (node.withClause.ctes if node.withClause else ()))


def _conjuncts(node: Any) -> Iterator[Any]:
    if isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
        for each in node.args:
            yield from _conjuncts(each)
    elif node is not None:
        yield node


def _is_workspace(node: Any) -> bool:
    return isinstance(node, ast.ColumnRef) and _column(node) == WORKSPACE


def _reads_a_column(node: Any) -> bool:
    """Return whether a column is anywhere in an expression."""
    if isinstance(node, ast.ColumnRef):
        return True
    if isinstance(node, tuple | list):
        return any(map(_reads_a_column, node))
    return isinstance(node, ast.Node) and any(_reads_a_column(getattr(node, name)) for name in node)


def _equations(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, ast.A_Expr) and node.kind == A_Expr_Kind.AEXPR_OP and node.name[-1].sval == "=":
        one, other = node.lexpr, node.rexpr
        if isinstance(one, ast.RowExpr) and isinstance(other, ast.RowExpr):
            yield from zip(one.args, other.args, strict=True)
        else:
            yield one, other


def _is_parameter(node: Any) -> bool:
    return isinstance(_uncast(node), ast.ParamRef | ast.A_Const)


def _uncast(node: Any) -> Any:
    return _uncast(node.arg) if isinstance(node, ast.TypeCast) else node


def _column(node: Any) -> str | None:
    last = node.fields[-1]
    return last.sval if isinstance(last, ast.String) else None


class _Walk(Visitor):
    def __init__(self, kind: type[Any]) -> None:
        super().__init__()
        self.kind = kind
        self.nodes: list[Any] = []

    def visit(self, _ancestors: Any, node: Any) -> None:
        """Keep the nodes of the kind."""
        if isinstance(node, self.kind):
            self.nodes.append(node)


def _all(node: Any, kind: type[Any]) -> list[Any]:
    if node is None:
        return []
    walk = _Walk(kind)
    for each in node if isinstance(node, tuple) else (node,):
        walk(each)
    return walk.nodes


def _children(node: Any) -> Iterator[Any]:
    for name in node:
        yield from _flat(getattr(node, name))


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for each in value:
            yield from _flat(each)
    elif isinstance(value, ast.Node):
        yield value


def _own(node: Any, *, top: bool = True) -> Iterator[Any]:
    """Yield the nodes of a query that lie in no subquery of it."""
    yield node
    inner = (ast.RangeSubselect, ast.WithClause)
    for child in _children(node):
        if isinstance(child, inner) or (top and isinstance(node, ast.InsertStmt) and isinstance(child, ast.SelectStmt)):
            continue
        if isinstance(child, ast.SubLink):
            yield child
            if child.testexpr is not None:
                yield from _own(child.testexpr, top=False)
        elif not isinstance(child, ast.SelectStmt):
            yield from _own(child, top=False)


def _locks(node: Any, alias: str) -> bool:
    return any(
        clause.lockedRels is None or alias in {each.relname for each in clause.lockedRels}
        for clause in node.lockingClause
    )
