"""A plug-in's slice, written the textbook way: Strawberry resolvers on records, loaders in `info.context.loaders`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import strawberry
from aiodataloader import DataLoader
from sqlalchemy import ARRAY, any_, bindparam, select

from crm_graph.api.schema import SLICES
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.domains.customers.contacts.graph import Contact
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.graph.context import GraphContext, Info
from crm_graph.graph.reading.views import View
from crm_graph.graph.records.record import batch, by_key, extend, record_of
from crm_graph.graph.records.types import Money
from crm_graph.graph.schema.build import BuiltSchema, Slice, build_schema
from crm_graph.permissions.policy import UUID

CALLS: Counter[str] = Counter()
"""How often each batch function was called, and for how many parents."""


def contacts_of(context: GraphContext) -> Statement:
    """Return the statement that reads the contacts of customers that the viewer may see."""
    view = View.of(record_of(Contact), context.access)
    wanted = view.rows.c.customer_id == any_(bindparam("keys", type_=ARRAY(UUID)))
    columns = view.rows.c.customer_id, view.column("name")
    ordered = select(*(each for each in columns if each is not None)).order_by(view.rows.c.id)
    return compile_statement(ordered.where(*view.conditions(), wanted))


async def contact_names(context: GraphContext, customers: Sequence[str]) -> list[list[str]]:
    """Return the names of each customer's contacts."""
    found: dict[str, list[str]] = {key: [] for key in customers}
    for row in await context.reader.fetch(contacts_of(context), {**context.viewer.binds, "keys": list(found)}):
        found[row[0]].append(row[1])
    return [found[key] for key in customers]


def loader(context: GraphContext) -> DataLoader[str, list[str]]:
    """Return the request's loader of contact names by customer."""

    async def load(keys: list[str]) -> list[list[str]]:
        CALLS["loader"] += 1
        return await contact_names(context, keys)

    if "contact names" not in context.loaders:
        context.loaders["contact names"] = DataLoader(load)
    return context.loaders["contact names"]


@strawberry.interface(description="Something to say about a customer.")
class Remark:
    """An interface of plain objects."""

    text: str = strawberry.field(description="What is to be said.")


@strawberry.type(description="A remark about a name.")
class Note(Remark):
    """A plain object with resolvers, and with an edge to a record."""

    author_id: strawberry.Private[str | None] = None
    author: Member | None = by_key("author_id", "Who looks after the customer.")

    @strawberry.field(description="The text, loudly.")
    def loud(self) -> str:
        """Return the text in capitals."""
        return self.text.upper()

    @strawberry.field(description="The words of the text, later.")
    async def words(self, limit: int = 2) -> list[str]:
        """Return some words of the text. Raises ValueError for a limit below zero."""
        if limit < 0:
            raise ValueError("a limit below zero")
        return self.text.split()[:limit]


@strawberry.type(description="A remark with a number.")
class Warn(Remark):
    """Another plain object."""

    level: int = strawberry.field(description="How bad it is.")


class Extras:
    """Fields of Customer that a plug-in adds."""

    @strawberry.field(description="The name, loudly.")
    def shout(self: Any, suffix: str = "!") -> str:
        """A synchronous one."""
        CALLS["shout"] += 1
        return f"{self.name}{suffix}".upper()

    @strawberry.field(description="The names of its contacts.")
    async def contact_names(self: Any, info: Info) -> list[str]:
        """An asynchronous one that batches by a loader."""
        return await loader(info.context).load(self.id)

    @strawberry.field(description="Its name, unless that is short.")
    async def long_name(self: Any) -> str | None:
        """One that fails for some, later."""
        if len(self.name) % 3 == 0:
            raise ValueError(f"{self.name} is too short")
        return None if len(self.name) % 3 == 1 else self.get("name")

    @strawberry.field(description="The same where it must be.")
    def must(self: Any) -> str:
        """One that fails for some where it must not."""
        if len(self.name) % 5 == 0:
            raise ValueError(f"{self.name} is too short")
        return str(self.name)

    @strawberry.field(description="What it asked for that rows have not.")
    def unknown(self: Any) -> str | None:
        """One that reads what no row has."""
        return str(self.no_such_thing)

    @strawberry.field(description="What it turns over, as the plug-in sees it.")
    def revenue(self: Any) -> str | None:
        """One that reads a column that some roles may not see."""
        return None if self.annual_revenue is None else f"{self.annual_revenue} {self.get('annualRevenue.currency')}"

    @strawberry.field(description="Notes about it.")
    async def notes(self: Any) -> list[Note]:
        """Plain objects, in a list."""
        return [Note(text=f"{self.name} {self.kind}", author_id=self.owner), Note(text="no author")]

    @strawberry.field(description="Remarks about it.")
    def remarks(self: Any, info: Info) -> list[Remark]:
        """Plain objects behind an interface."""
        return [Note(text=self.name, author_id=self.owner), Warn(text=info.field_name, level=len(self.name))]


def ranks(parents: Sequence[Any], arguments: Mapping[str, Any], _: GraphContext) -> list[Any]:
    """A synchronous batch function that fails for some parents."""
    CALLS["ranks"] += 1
    CALLS["ranked"] += len(parents)
    return [
        ValueError(f"{parent.name} has no rank") if parent.name[0] in "AEIOU" else len(parent.name) + arguments["plus"]
        for parent in parents
    ]


async def remembered(parents: Sequence[Any], _: Mapping[str, Any], context: GraphContext) -> list[list[Note] | None]:
    """An asynchronous batch function that reads, and returns lists of plain objects."""
    CALLS["remembered"] += 1
    names = await contact_names(context, [parent.id for parent in parents])
    return [
        [Note(text=name, author_id=parent.owner) for name in each] for parent, each in zip(parents, names, strict=True)
    ]


def miscounted(parents: Sequence[Any], _: Mapping[str, Any], __: GraphContext) -> list[int]:
    """A batch function that is wrong."""
    return [1, 2, 3][: len(parents) - 1]


def rich(parents: Sequence[Any], _: Mapping[str, Any], __: GraphContext) -> list[bool | None]:
    """A batch function that reads a column that some roles may not see."""
    return [None if parent.annual_revenue is None else float(parent.annual_revenue) > 1e6 for parent in parents]


def initials(parents: Sequence[Any], _: Mapping[str, Any], __: GraphContext) -> list[Awaitable[str]]:
    """A batch function whose values are awaitable."""

    async def later(parent: Any) -> str:
        return str(parent.name[:1])

    return [later(parent) for parent in parents]


class Batches:
    """Fields of Customer that batch functions answer."""

    rank: int | None = batch(
        ranks,
        ["name"],
        description="How long its name is.",
        arguments={"plus": Annotated[int, strawberry.argument(description="What is added.")]},
    )
    remembered: list[Note] | None = batch(remembered, ["id", "owner"], description="A note for each contact.")
    miscounted: int | None = batch(miscounted, ["id"], description="What a wrong function answers.")
    rich: bool | None = batch(rich, ["annualRevenue"], description="Whether it turns over a million.")
    initial: str | None = batch(initials, ["name"], description="The first letter of its name.")


class MemberExtras:
    """Fields of Member, which to-one edges lead to."""

    @strawberry.field(description="The name, quietly.")
    def whisper(self: Any) -> str:
        """Fail where the member is not there: it must not be called then."""
        assert self.id is not None
        return str(self.name).lower()


class MoneyExtras:
    """Fields of Money, which lies in the row of its record."""

    @strawberry.field(description="Amount and currency.")
    def label(self: Any) -> str:
        """Fail where there is no money: it must not be called then."""
        assert self.amount is not None
        return f"{self.amount} {self.currency}"


@contextmanager
def _restored(*classes: type) -> Iterator[None]:
    """Take the fields that are added to types away again: other tests build the schema without them."""
    fields: list[list[Any]] = [each.__strawberry_definition__.fields for each in classes]  # type: ignore[attr-defined]
    before = [list(each) for each in fields]
    try:
        yield
    finally:
        for each, old in zip(fields, before, strict=True):
            each[:] = old


def make_plugged_schema() -> BuiltSchema:
    """Return the product's schema with the plug-in."""
    plugged: dict[type, Sequence[Callable[..., Any] | type]] = {
        Customer: (Extras, Batches),
        Member: (MemberExtras,),
        Money: (MoneyExtras,),
    }
    with _restored(*plugged):
        extensions = [extend(target, cls) for target, each in plugged.items() for cls in each if isinstance(cls, type)]
        return build_schema((*SLICES, Slice("plugin", extensions=extensions)))
