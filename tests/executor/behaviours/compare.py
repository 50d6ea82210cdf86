"""`check(case)`: one operation under our executor and under graphql-core, over the same data, with equal responses.

A `Case` is data: an SDL, the value of the root fields, an operation. It is run once for each *mode*, a way in which
that data may be held: as dicts, attributes, methods, behind resolvers (`plain.py`), or as fetched rows (`tables.py`).
Where `answer` or `errors` are given, both executors must also give exactly these, so that a misunderstanding that the
two share is found too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from inspect import isawaitable
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    build_ast_schema,
    get_variable_values,
    parse,
    validate,
)
from graphql import execute as core_execute
from graphql.execution import Executor as GraphQLExecutor
from graphql.validation.validate import assert_valid_sdl

from crm_graph.executor.execute import execute
from crm_graph.executor.fields import Bindings, Planning, present
from crm_graph.executor.planner import Planner
from crm_graph.executor.results import OnError
from crm_graph.graph.running.on_error import executor_class, halted
from tests.executor.behaviours.plain import ASYNC_MODES, PLAIN_MODES, attach_plain
from tests.executor.behaviours.tables import ROW_MODES, Tables

UNSAID: Any = object()
"""Marks an expectation that a case leaves to the comparison."""

MODES = (*PLAIN_MODES, *ROW_MODES)


@dataclass(slots=True)
class Context:
    """What resolvers and sources receive; `log` shows what they were asked, and in which order."""

    log: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One behaviour.

    `given` holds the values of the root fields (of the operation's type): dicts for objects (`__typename` where the
    field is abstract), sequences for lists, exceptions for what fails. `answers` are functions `(context, **arguments)`
    for fields with arguments, by coordinate; they return what a field of `given` could hold.
    `resolvers` are real ones, `(source, info, **arguments)`, by coordinate; a case with these runs on plain data only.
    """

    name: str
    sdl: str
    operation: str
    given: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    resolvers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    prepare: Callable[[GraphQLSchema], None] | None = None
    """Changes the built schema: enum values, scalars, `resolve_type`, `is_type_of`."""
    answer: Any = UNSAID
    """The expected data."""
    errors: Sequence[tuple[str, str]] | None = None
    """The expected errors: dotted path and message, in the order of the paths."""
    log: Sequence[Any] | None = None
    """What the context's log must hold afterwards, under both executors."""
    modes: Sequence[str] = ()
    """The modes that the case makes sense in; all where empty."""
    differs: Mapping[str, str] = field(default_factory=dict)
    """Known differences: the reason, by mode; `*` stands for all modes."""
    racing: bool = False
    """Whether two errors lead to the same null. Only the first need be told; in asynchronous modes, either may be."""
    on_error: OnError = OnError.PROPAGATE
    valid: bool = True
    """Whether the operation passes validation; executors must also bear some that do not."""

    def schema(self) -> GraphQLSchema:
        """Return a new schema."""
        schema = schema_of(self.sdl)
        if self.prepare is not None:
            self.prepare(schema)
        return schema

    def data(self) -> Mapping[str, Any]:
        """Return the values of the root fields; anew, where a case gives iterators."""
        return self.given() if callable(self.given) else self.given

    def runs_in(self) -> Sequence[str]:
        """Return the modes in which the case is run."""
        if self.resolvers:
            return self.modes or ("dicts",)
        return self.modes or MODES


def cases(*table: Case) -> pytest.MarkDecorator:
    """Parametrize a test with `case` and `mode`: each case in each of its modes."""
    parameters = []
    for case in table:
        for mode in case.runs_in():
            reason = case.differs.get(mode, case.differs.get("*"))
            marks = () if reason is None else (pytest.mark.xfail(strict=True, reason=reason),)
            parameters.append(pytest.param(case, mode, id=f"{case.name}-{mode}".replace(" ", "_"), marks=marks))
    return pytest.mark.parametrize(("case", "mode"), parameters)


async def check(case: Case, mode: str) -> None:
    """Run a case in one mode under both executors. Asserts equal data, order of keys, errors, paths and locations."""
    document = parse(case.operation)
    if case.valid:
        assert invalid(case) == ()
    theirs_context, ours_context = Context(), Context()
    theirs = response(await run_core(case, mode, document, theirs_context))
    ours = response(await run_ours(case, mode, document, ours_context))
    as_said = mode not in ROW_MODES or not case.answers  # a source is not given null arguments, which cases spell out
    if case.answer is not UNSAID and as_said:
        assert theirs["data"] == case.answer, "graphql-core itself"
    if case.racing and mode in ASYNC_MODES:
        assert ours["data"] == theirs["data"]
        assert nulls(ours) == nulls(theirs)
        return
    if case.errors is not None:
        found = [(".".join(str(key) for key in e.get("path", ())), e["message"]) for e in theirs["errors"]]
        assert found == list(case.errors), "graphql-core itself"
    assert pretty(ours) == pretty(theirs)
    if case.log is not None:
        assert theirs_context.log == list(case.log), "graphql-core itself"
        assert ours_context.log == list(case.log)


def schema_of(sdl: str) -> GraphQLSchema:
    """Return a new schema, of an SDL that is parsed and validated once: that is four fifths of what it takes."""
    return build_ast_schema(_definitions(sdl), assume_valid_sdl=True)


@cache
def _definitions(sdl: str) -> DocumentNode:
    document = parse(sdl)
    assert_valid_sdl(document)
    return document


@cache
def invalid(case: Case) -> Sequence[str]:
    """Return what validation says of a case's operation."""
    return tuple(str(error) for error in validate(case.schema(), parse(case.operation)))


async def run_core(case: Case, mode: str, document: DocumentNode, context: Context) -> ExecutionResult:
    """Return what graphql-core says. Data that ours has in rows is read from dicts here, and its answers are given the
    arguments that a source is: a null one is an absent one (`executor.fields.present`)."""
    schema = case.schema()
    if mode in ROW_MODES:
        answers = {coordinate: _as_a_source(answer) for coordinate, answer in case.answers.items()}
        attach_plain(schema, replace(case, answers=answers), "dicts")
    else:
        attach_plain(schema, case, mode)
    made = executor_class(GraphQLExecutor, case.on_error)
    result = core_execute(schema, document, None, context, dict(case.variables), executor_class=made)
    finished = await result if isawaitable(result) else result
    return halted(finished) if case.on_error is OnError.HALT else finished


def _as_a_source(answer: Callable[..., Any]) -> Callable[..., Any]:
    return lambda context, **arguments: answer(context, **present(arguments))


async def run_ours(case: Case, mode: str, document: DocumentNode, context: Context) -> ExecutionResult:
    """Return what our executor says."""
    schema = case.schema()
    bindings: Bindings
    if mode in ROW_MODES:
        operation, _ = definitions(document)
        root = schema.get_root_type(operation.operation)
        assert root is not None
        bindings = Tables(schema, root.name, case.data(), case.answers, mode)
    else:
        bindings = attach_plain(schema, case, mode)
    return await run_planned(schema, bindings, document, case.variables, context, case.on_error)


async def run_planned(
    schema: GraphQLSchema,
    bindings: Bindings,
    document: DocumentNode,
    variables: Mapping[str, Any],
    context: Any,
    on_error: OnError = OnError.PROPAGATE,
) -> ExecutionResult:
    """Coerce the variables, plan and execute, as `graph/running/execution.py` does."""
    operation, fragments = definitions(document)
    coerced = get_variable_values(schema, operation.variable_definitions or (), dict(variables), max_errors=50)
    if isinstance(coerced, list):
        return ExecutionResult(None, coerced)
    try:
        plan = Planner(schema, bindings, Planning(context), operation, fragments, coerced).plan()
    except GraphQLError as error:
        return ExecutionResult(None, [error])
    return await execute(plan, context, coerced, on_error)


def definitions(document: DocumentNode) -> tuple[OperationDefinitionNode, dict[str, FragmentDefinitionNode]]:
    """Return the one operation of a document, and its fragments by name."""
    (operation,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    return operation, fragments


def response(result: ExecutionResult) -> dict[str, Any]:
    """Return the response as a client sees it, errors in the order of their paths: servers may report in any order."""
    return {"data": result.data, "errors": ordered(error.formatted for error in result.errors or ())}


def nulls(answer: Mapping[str, Any]) -> set[tuple[str | int, ...]]:
    """Return the places that the errors of a response made null."""
    places = set()
    for error in answer["errors"]:
        place: list[str | int] = []
        value = answer["data"]
        for key in error["path"]:
            if value is None:
                break
            value = value[key]
            place.append(key)
        assert value is None, error
        places.add(tuple(place))
    return places


def ordered(errors: Iterable[Any]) -> list[Any]:
    """Return formatted errors in the order of path and message."""
    return sorted(errors, key=lambda error: ([str(key) for key in error.get("path", ())], error["message"]))


def pretty(value: Any) -> str:
    """Return a response as text, keys in their order: what pytest shows the difference of."""
    return json.dumps(value, ensure_ascii=False, indent=1, default=repr)


def failing(message: str, **extensions: Any) -> GraphQLError:
    """Return an error as resolvers raise it on purpose."""
    return GraphQLError(message, extensions=extensions or None)
