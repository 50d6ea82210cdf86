"""Makes the query of a difference small: takes parts away for as long as there still is a difference."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.permissions.oracle.documents import Aggregate, Document, Page, Root, Select
from tests.permissions.oracle.judge import Difference, Judge
from tests.permissions.oracle.kinds import kinds
from tests.permissions.oracle.sight import Sight

MAX_TRIES = 300
MAX_DETAILS = 12


async def shrink(judge: Judge, sight: Sight, document: Document, difference: Difference) -> Difference:
    """Return a difference of a smaller query, in the world that there still is."""
    best, tries, progress = difference, 0, True
    while progress and tries < MAX_TRIES:
        progress = False
        for smaller in _smaller(document):
            tries += 1
            _, found = await judge.ask(sight, smaller)
            if found is not None:
                best, document, progress = found, smaller, True
                break
    return best


def _smaller(document: Document) -> Iterator[Document]:
    known = {id(kind): kind for kind in kinds().values()}
    for index in range(sum(1 for _ in _cuts(document))):
        candidate = copy.deepcopy(document, dict(known))
        list(_cuts(candidate))[index]()
        yield candidate


Cut = Callable[[], Any]


def _cuts(document: Document) -> Iterator[Cut]:
    """Yield what can be taken away."""
    yield from _each(document.roots)
    for root in document.roots:
        yield from _of_root(root)


def _of_root(root: Root) -> Iterator[Cut]:
    for select in root.selects:
        yield from _of_select(select)
    if root.page is not None:
        yield from _of_page(root.page)
    if root.aggregate is not None:
        yield from _of_aggregate(root.aggregate)


def _of_aggregate(of: Aggregate) -> Iterator[Cut]:
    for name in ("where", "having", "order", "first"):
        if getattr(of, name) is not None:
            yield partial(setattr, of, name, None)
    for name in ("measures", "apart", "groups", "keys"):
        given = list(getattr(of, name))
        if given:
            yield partial(setattr, of, name, given[1:])


def _of_page(page: Page) -> Iterator[Cut]:
    if page.where is not None:
        yield partial(setattr, page, "where", None)
        if len(page.where) > 1:
            where = dict(page.where)
            for name in where:
                yield partial(setattr, page, "where", {name: where[name]})
    if page.order:
        yield partial(setattr, page, "order", list(page.order)[1:])
        yield partial(setattr, page, "order", list(page.order)[:-1])
    if page.size is not None and not page.movable:
        yield partial(setattr, page, "size", None)
    if page.nodes is not None and page.edges is not None:
        yield partial(setattr, page, "nodes", None)
    if page.info:
        yield partial(setattr, page, "info", ())
    if page.total:
        yield partial(setattr, page, "total", False)
    for select in (page.nodes, page.edges):
        if select is not None:
            yield from _of_select(select)


def _of_select(select: Select) -> Iterator[Cut]:
    yield from _each(select.items)
    for item in select.items:
        if item.inner is not None:
            yield from _of_select(item.inner)
        if item.page is not None:
            yield from _of_page(item.page)


def _each(given: list[Any]) -> Iterator[Cut]:
    if len(given) > 1:
        for index in range(len(given)):
            yield partial(given.pop, index)


def describe(difference: Difference) -> str:
    """Return everything that is needed to see what is wrong: who asks, with which roles, and what comes back."""
    sight = difference.sight
    roles = {name: sight.world.roles[name] for name in sight.held if name in sight.world.roles}
    return "\n".join(
        [
            difference.what,
            f"as {sight.member} with {sight.credential}, circle {sorted(sight.circle)}, teams {sorted(sight.teams)}",
            *(
                f"  {name}: {type_} {json.dumps(grant, ensure_ascii=False)}"
                for name, role in roles.items()
                for type_, grant in role.items()
            ),
            difference.source,
            json.dumps(difference.variables, ensure_ascii=False),
            *(f"  {text}" for text in difference.details[:MAX_DETAILS]),
        ]
    )
