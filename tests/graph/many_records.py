"""A schema of 80 record types, as the CRM will have: what introspection of it takes, for each role.

In a process of its own (`python -m tests.graph.many_records`): tables join the metadata of all models for good. Prints
JSON, by role: how many types introspection shows, and what the cut schemas take, by weight and truly.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
import types

from graphql import execute_sync, get_introspection_query, parse

from crm_graph.api.documents.cache import DocumentCache
from crm_graph.api.schema import SLICES
from crm_graph.graph.schema.build import BuiltSchema, build_schema
from crm_graph.graph.schema.cut import CutSchemas
from crm_graph.kernel.settings import Settings
from crm_graph.permissions.access import compile_access
from crm_graph.permissions.roles import BUILT_IN, built_in_roles

RECORDS = 80
TEMPLATE = """
import enum
import strawberry
from datetime import date, datetime
from decimal import Decimal
from sqlalchemy.orm import Mapped, mapped_column
from crm_graph.db.base import Amount, Id, Row, refers, table_of
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.graph.records import roots
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.records.record import Node, column, extend, money, record, to_many, to_one
from crm_graph.graph.records.types import AggregateOf, Connection, Money
from crm_graph.graph.writes import does
from crm_graph.permissions.grants import ALL, TEAM, Level, grant
from crm_graph.permissions.policy import Policy, owned_by
from crm_graph.permissions.roles import ANALYST, SALES_MANAGER, SALES_REP, {granted}

class {name}Row(Row):
    __tablename__ = "many_{number}"
    __table_args__ = (refers("customer_id", "customer"), refers("owner_id", "member"))
    name: Mapped[str]
    status: Mapped[str | None]
    note: Mapped[str | None]
    due: Mapped[date | None]
    amount: Mapped[Amount | None]
    currency: Mapped[str | None]
    score: Mapped[int | None]
    done: Mapped[bool | None]
    customer_id: Mapped[Id | None]
    owner_id: Mapped[Id | None]

POLICY = Policy("{name}", table_of({name}Row), scopes=owned_by("owner_id"), defaults={{
    SALES_MANAGER: grant(read=ALL, create=TEAM, update=TEAM, default=Level.WRITE),
    SALES_REP: grant(read=TEAM, default=Level.READ),
    {granted}: grant(read=ALL, default=Level.READ),
}})

@record("m{number}x", {name}Row, POLICY)
class {name}(Node):
    \"\"\"One of many types.\"\"\"
    name: str | None = column("Its name.")
    status: str | None = column("How it stands.")
    note: str | None = column("What is to be said of it.")
    due: date | None = column("When it is due.")
    amount: Money | None = money("amount", "currency", "What it is worth.")
    score: int | None = column("How it is rated.")
    done: bool | None = column("Whether it is done.")
    customer: Customer | None = to_one("customer_id", "Whose it is.")
    owner: Member | None = to_one("owner_id", "Who looks after it.")
    version: int = column("Counts the changes.")
    created_at: datetime = column("When it was made.")
    updated_at: datetime = column("When it changed.")

class OfCustomer:
    many_{number}: Connection[{name}] = to_many("customer_id", "Those of the customer.")

class Queries:
    {field}: {name} | None = roots.one("One by id.")
    {field}s: Connection[{name}] = roots.many("Those that you may see.")
    {field}s_aggregate: AggregateOf[{name}] = roots.aggregate("Measures over them.")

@strawberry.input(description="A new one.")
class Create{name}Input:
    name: str = strawberry.field(description="Its name.")
    note: str | None = strawberry.field(description="What is to be said of it.", default=None)
    score: int | None = strawberry.field(description="How it is rated.", default=None)

@strawberry.type(description="What was made.")
class {name}Payload:
    note: str | None = strawberry.field(description="What came of it.", default=None)

class Mutations:
    @strawberry.mutation(description="Makes one.", metadata=does(None))
    async def create_{field}(self, input: Create{name}Input) -> {name}Payload:
        return {name}Payload()

extend(Customer, OfCustomer)
SLICE = Slice("many_{number}", records=({name},), queries=(Queries,), mutations=(Mutations,))
"""


def many_records() -> BuiltSchema:
    """Return the product's schema with as many types more as it takes."""
    more = []
    for number in range(RECORDS - len(build_schema(SLICES).registry.records)):
        granted = ("MARKETER", "SUPPORT_AGENT", "INTEGRATION")[number % 3]
        source = TEMPLATE.format(name=f"Many{number}", field=f"many{number}x", number=number, granted=granted)
        module = types.ModuleType(f"many_{number}")
        sys.modules[module.__name__] = module
        exec(compile(source, module.__name__, "exec"), module.__dict__)
        more.append(module.SLICE)
    return build_schema((*SLICES, *more))


def main() -> None:
    """Print what introspection takes."""
    schema = many_records()
    documents = DocumentCache.of(schema, Settings())
    query = get_introspection_query()
    documents.get(query)  # within the limits
    cuts, found = CutSchemas(schema), {}
    for role in BUILT_IN:
        access = compile_access([built_in_roles(schema.policies)[role]], schema.policies, schema.vocabulary.inherent)
        gc.collect()
        tracemalloc.start()
        cut = cuts._make(access)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        answer = execute_sync(cut, parse(query))
        assert answer.errors is None
        assert answer.data is not None
        found[role] = {"types": len(answer.data["__schema"]["types"]), "taken": taken, "weight": cuts.cache.bytes}
    print(json.dumps({"records": len(schema.registry.records), "roles": found, "limit": cuts.cache.max_bytes}))


if __name__ == "__main__":
    main()
