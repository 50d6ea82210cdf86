"""Generates operations from the schema: valid documents that use everything GraphQL has, and how to run them.

The runs of a case go with other variables, other conditions, as another role, in another workspace. They share the
executors' caches, so that a plan that is wrong for the second run is seen. Everything follows from one seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from crm_graph.executor.results import OnError
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.permissions.roles import ADMIN, BUILT_IN
from tests.executor.arguments import Arguments
from tests.executor.cases import Case, Run
from tests.executor.known import WORKSPACES, Known
from tests.executor.selections import Selections
from tests.executor.values import ABSENT, Values, Variable


def generate(schema: BuiltSchema, known: Known, seed: str, *, mutations: float = 0.12) -> Case:
    """Return the case of a seed."""
    random = Random(seed)
    workspace = "demo" if random.random() < 0.9 else "other"
    wild = random.choice([0.0, 0.0, 0.0, 0.06])
    values = Values(random, schema, known, workspace, wild)
    generator = Selections(
        random,
        schema,
        values,
        Arguments(values, spoil=random.random() < 0.4),
        fields_left=random.choice([8, 20, 45, 70]),
    )
    mutation = random.random() < mutations
    root = schema.core.mutation_type if mutation else schema.core.query_type
    assert root is not None
    depth = random.choice([3, 5, 7, 8, 10, 12]) if random.random() < 0.995 else 14
    selection = generator.root(root, depth)
    source, operation = _document(generator, "mutation" if mutation else "query", selection)
    used = [each for each in values.variables.values() if f"${each.name}:" in source]
    runs = list(_runs(generator, used, workspace))
    paged = [each for each in generator.arguments.paged if f"${each.first}:" in source]
    return Case(seed, source, runs, operation, mutation, random.random() < 0.3, paged)


def _document(generator: Selections, kind: str, selection: str) -> tuple[str, str | None]:
    """Return the text of a document, with the fragments and variables that are used, and the operation's name."""
    random = generator.random
    bodies = [generator.fragments[name].body for name in sorted(generator.spreads)]
    text = "\n".join([selection, *bodies])
    mentioned = [each for each in generator.values.variables.values() if _mentions(text, each.name)]
    declared = ", ".join(each.declaration for each in mentioned)
    name = "Q" if random.random() < 0.15 else None
    head = f"{kind}{' Q' if name else ''}{f' ({declared})' if declared else ''} "
    if random.random() < 0.3:
        bodies.reverse()
    if name and random.random() < 0.3:
        bodies.append("query Other { __typename }")
    source = head + "\n".join([selection, *bodies])
    if kind == "query" and head == "query " and random.random() < 0.5:
        source = source.removeprefix("query ")
    return source, name


def _mentions(text: str, name: str) -> bool:
    return any(f"${name}{end}" in text for end in (")", ",", "]", "}", " "))


def _runs(generator: Selections, used: list[Variable], workspace: str) -> Iterator[Run]:
    random = generator.random
    role = ADMIN if random.random() < 0.3 else random.choice(BUILT_IN)
    drawn = {each.name: each.draw() for each in used}
    variables = {name: value for name, value in drawn.items() if value is not ABSENT}
    first = Run(role, workspace, variables)
    yield first
    conditions = [each for each in used if each.name in generator.values.conditions]
    if conditions and random.random() < 0.8:
        yield replace(first, variables={**variables, random.choice(conditions).name: random.random() < 0.5})
    if used and random.random() < 0.35:
        again = {each.name: each.draw() for each in used}
        yield replace(first, variables={name: value for name, value in again.items() if value is not ABSENT})
    if random.random() < 0.35:
        yield replace(first, role=random.choice(BUILT_IN))
    if random.random() < 0.08:
        yield replace(first, workspace=random.choice(WORKSPACES))
    if random.random() < 0.35:
        yield replace(first, on_error=random.choice([OnError.NULL, OnError.HALT]))
