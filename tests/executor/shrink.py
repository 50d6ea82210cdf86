"""Makes the operation of a difference small: takes parts away for as long as there still is a difference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from difflib import unified_diff
from typing import Any

from graphql import (
    REMOVE,
    DocumentNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

from tests.executor.comparing import Difference, Twins
from tests.executor.generate import Case

REMOVABLE = frozenset({"field", "inline_fragment", "fragment_spread", "directive", "argument", "object_field"})
MAX_TRIES = 600


async def shrink(twins: Twins, difference: Difference) -> Difference:
    """Return a difference of the same kind with a smaller operation. Plans are forgotten before each try."""
    case = difference.case
    tries = 0

    async def still(candidate: Case) -> Difference | None:
        nonlocal tries
        tries += 1
        twins.renew()
        found, _ = await twins.compare(candidate)
        return next((each for each in found if each.what[-10:] == difference.what[-10:]), None)

    alone = replace(case, runs=[difference.run], paged=[])
    best = await still(alone) or await still(case)
    if best is None:
        return difference  # it takes the plans of earlier cases
    progress = True
    while progress and tries < MAX_TRIES:
        progress = False
        for source in _smaller(best.case.source):
            found = await still(_with_source(best.case, source))
            if found is not None:
                best, progress = found, True
                break
            if tries >= MAX_TRIES:
                break
    return best


def _smaller(source: str) -> Iterator[str]:
    """Yield the document without one of its parts, outer parts first; invalid ones do not differ and so fall out."""
    document = parse(source)
    for number in range(_count(document)):
        try:
            yield print_ast(_tidy(visit(document, _Without(number))))
        except GraphQLError:
            continue


def _count(document: DocumentNode) -> int:
    counter = _Without(-1)
    visit(document, counter)
    return counter.seen


class _Without(Visitor):
    """Removes the part of a number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.seen = 0

    def enter(self, node: Node, *_: Any) -> Any:
        if node.kind not in REMOVABLE:
            return None
        self.seen += 1
        return REMOVE if self.seen - 1 == self.number else None


def _tidy(document: DocumentNode) -> DocumentNode:
    """Return the document without the fragments and variables that nothing uses any more."""
    while True:
        spread, used = _Names("fragment_spread"), _Names("variable")
        visit(document, spread)
        for definition in document.definitions:
            for part in ("selection_set", "directives"):
                for node in _nodes(getattr(definition, part, None)):
                    visit(node, used)
        kept = tuple(
            each
            for each in document.definitions
            if each.kind != "fragment_definition" or each.name.value in spread.names  # type: ignore[attr-defined]
        )
        if len(kept) == len(document.definitions):
            break
        document = DocumentNode(definitions=kept)
    definitions = []
    for each in document.definitions:
        if isinstance(each, OperationDefinitionNode):
            variables = tuple(v for v in each.variable_definitions or () if v.variable.name.value in used.names)
            each = OperationDefinitionNode(
                operation=each.operation,
                name=each.name,
                variable_definitions=variables,
                directives=each.directives,
                selection_set=each.selection_set,
            )
        definitions.append(each)
    return DocumentNode(definitions=tuple(definitions))


def _nodes(part: Any) -> list[Any]:
    return list(part) if isinstance(part, list | tuple) else [part] if part is not None else []


class _Names(Visitor):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.names: set[str] = set()

    def enter(self, node: Node, *_: Any) -> None:
        if node.kind == self.kind:
            self.names.add(node.name.value)  # type: ignore[attr-defined]


def _with_source(case: Case, source: str) -> Case:
    runs = [
        replace(run, variables={name: value for name, value in run.variables.items() if f"${name}:" in source})
        for run in case.runs
    ]
    return replace(case, source=source, runs=runs)


def describe(difference: Difference) -> str:
    """Return everything that is needed to see a difference again."""
    run = difference.run
    reference, planned = (text.splitlines() for text in difference.answers.values())
    changes = list(unified_diff(reference, planned, "reference", "planned", lineterm="", n=3))[:80]
    return "\n".join(
        [
            f"{difference.what}, seed {difference.case.seed}, as {run.role} in {run.workspace}",
            f"variables: {json.dumps(run.variables, ensure_ascii=False)}",
            *([] if len(difference.case.runs) == 1 else [f"after: {difference.case.runs[0]}"]),
            difference.case.source,
            *(changes or difference.answers["planned"].splitlines()[:80]),
        ]
    )
