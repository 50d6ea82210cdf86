"""The schema cut to what somebody may reach: the rest is not in it, neither fields nor the inputs that name them.

By `crm-graph schema --role`, and by introspection, which answers each member with the schema cut to their roles.

A cut says which members of which types stay (`graph/reading/pruning.py` makes a schema of that). It hides by
permissions alone: grants that hide the same have one cut.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLSchema,
    get_named_type,
    is_required_input_field,
)

from crm_graph.executor.fields import BEYOND
from crm_graph.graph.reading.aggregate_fields import aggregate_fields
from crm_graph.graph.reading.currencies import CURRENCIES
from crm_graph.graph.reading.orders import enum_name, order_keys
from crm_graph.graph.reading.pruning import Kept, printed, prune, weight
from crm_graph.graph.reading.sizes import DEFINITION
from crm_graph.graph.records.record import Record, RecordColumn
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.graph.writes import DOES_KEY, Does
from crm_graph.kernel.caches import ByteCache
from crm_graph.kernel.errors import OperatorError
from crm_graph.permissions.access import Access, compile_access
from crm_graph.permissions.grants import READ, Level
from crm_graph.permissions.roles import built_in_roles

MAX_BYTES = 64 * 1024 * 1024
"""What all cut schemas of a process may take together."""
MAX_ACCESSES = 10_000
"""Sets of grants whose cut is remembered, 100 bytes each."""


def cut_to_role(schema: BuiltSchema, role: str) -> str:
    """Return the SDL of what a role can reach. Raises OperatorError for an unknown role."""
    roles = built_in_roles(schema.policies)
    if role not in roles:
        raise OperatorError(f"there is no role {role!r}", f"there are: {', '.join(roles)}")
    cut = _Cut(schema, compile_access([roles[role]], schema.policies, schema.vocabulary.inherent))
    return printed(schema.strawberry.as_str(), cut.kept())


class CutSchemas:
    """The schema as each set of permissions sees it; made in a thread when it is first asked for.

    The schemas are weighed, and bounded together: a workspace that makes ever more roles makes others wait for theirs
    to be made again, and takes no more memory.
    """

    def __init__(self, schema: BuiltSchema, max_bytes: int = MAX_BYTES) -> None:
        self._schema = schema
        self.cache: ByteCache[str, GraphQLSchema] = ByteCache(max_bytes)
        self._digests: ByteCache[str, str] = ByteCache(MAX_ACCESSES)
        self._making = asyncio.Lock()

    async def of(self, access: Access) -> GraphQLSchema:
        """Return the schema cut to an access; the whole one, as it is, for whoever may do everything."""
        found = self._found(access)
        if found is not None:
            return found
        async with self._making:
            found = self._found(access)
            return found if found is not None else await asyncio.to_thread(self._make, access)

    def _found(self, access: Access) -> GraphQLSchema | None:
        digest = self._digests.get(access.fingerprint)
        return None if digest is None else self._schema.core if digest == "" else self.cache.get(digest)

    def _make(self, access: Access) -> GraphQLSchema:
        cut = _Cut(self._schema, access)
        digest = "" if cut.leaves_all else cut.digest
        self._digests.put(access.fingerprint, digest, 1)
        if digest == "":
            return self._schema.core
        found = self.cache.get(digest)
        if found is None:
            found = prune(self._schema.core, cut.kept())
            self.cache.put(digest, found, weight(found, self._schema.core))
        return found


def _shown_from(column: RecordColumn) -> Level:
    """Return the least level at which something of a column is shown."""
    return Level.READ if column.like else Level.MASKED


class _Cut:
    def __init__(self, schema: BuiltSchema, access: Access) -> None:
        self._schema = schema
        self._access = access
        self._hidden_types = {name for name in schema.vocabulary.policies if not access.of(name).allows(READ)}
        self._hidden_members: dict[str, set[str]] = {}
        for name, hidden in self._members():
            self._hidden_members.setdefault(name, set()).update(hidden)

    @property
    def leaves_all(self) -> bool:
        """Whether nothing is hidden."""
        return not self._hidden_types and not any(self._hidden_members.values())

    @property
    def digest(self) -> str:
        """What is hidden, as a hash: grants that differ in rows alone hide the same."""
        members = sorted((name, sorted(hidden)) for name, hidden in self._hidden_members.items() if hidden)
        return hashlib.sha256(repr((sorted(self._hidden_types), members)).encode()).hexdigest()

    def kept(self) -> Kept:
        """Return what stays of each type that stays."""
        return Kept.of(self._schema.core, self._is_hidden, self._hidden_members)

    def _is_hidden(self, name: str) -> bool:
        """Return whether a type is one that the role may not see, or is derived from one."""
        suffixes = (
            "",
            "Connection",
            "Edge",
            "Filter",
            "ListFilter",
            "Order",
            "Aggregate",
            "Group",
            "Measures",
            "Change",
        )
        return any(name == f"{hidden}{suffix}" for hidden in self._hidden_types for suffix in suffixes)

    def _members(self) -> Iterable[tuple[str, set[str]]]:
        """Yield the members that are hidden, by the name of the type, input or enum that has them."""
        for record in self._schema.registry.records.values():
            access = self._access.of(record.name)
            fields = {each.told_as for each in record.columns.values() if access.level(each.field) < _shown_from(each)}
            clear = {each.told_as for each in record.columns.values() if access.level(each.field) < Level.READ}
            clear |= {name for name, edge in record.edges.items() if edge.target.name in self._hidden_types}
            if "currency" not in record.columns and self._currency(record) in clear:
                clear.add("currency")
            yield record.name, fields
            yield f"{record.name}Filter", clear | {f"{name}Id" for name in clear}
            orders = order_keys(record, self._schema.registry).items()
            yield f"{record.name}OrderField", {value for value, key in orders if not self._is_clear(record, key)}
            yield from self._of_aggregates(record)
        mutations = self._mutations()
        frozen = {name: set(self._frozen(field)) for name, field in mutations.items()}
        yield from ((_input_of(field).name, frozen[name]) for name, field in mutations.items() if frozen[name])
        needed = {
            name: {key for key, each in _input_of(field).fields.items() if is_required_input_field(each)}
            for name, field in mutations.items()
        }
        yield "Mutation", {name for name in mutations if not self._may_mutate(name) or frozen[name] & needed[name]}

    def _of_aggregates(self, record: Record) -> Iterable[tuple[str, set[str]]]:
        """Yield what is hidden of the types of a record's aggregate."""
        of = aggregate_fields(record, self._schema.registry)
        groups = {key for key, path in of.paths.items() if not self._is_clear(record, path)}
        yield f"{record.name}GroupKey", groups
        yield f"{record.name}GroupField", {enum_name(key) for key in groups}
        if of.money and not any(self._is_clear(record, key) for key in of.money):
            yield f"{record.name}Group", {CURRENCIES}
            yield f"{record.name}Measures", {CURRENCIES}
        access = self._access.of(record.name)
        needs = {key: [key] for key in of.extremes} | {key: each.needs for key, each in record.measures.items()}
        fields = {key: {record.columns[need].field for need in each} for key, each in needs.items()}
        extremes = {key for key, each in fields.items() if any(access.level(name) < Level.READ for name in each)}
        sums = {key for key in extremes & of.sums.keys() if not all(map(access.may_measure, fields[key]))}
        for derived, hidden in (("Sums", sums), ("Extremes", extremes), ("Distinct", groups & of.distinct.keys())):
            yield f"{record.name}{derived}", hidden
            yield f"{record.name}Having{derived}", hidden
        shown = {*(of.sums.keys() - sums), *(of.extremes.keys() - extremes), *(of.distinct.keys() - groups)}
        yield f"{record.name}MeasureField", {value for value, key in of.measured.items() if key not in shown}

    def _currency(self, record: Record) -> str | None:
        """Return the field whose currency is compared and grouped by as `currency`; None where there is no money."""
        if not any(key.endswith(".currency") for key in record.columns):
            return None
        return record.columns[self._schema.registry.filter_key(record, "currency")].field

    def _is_clear(self, record: Record, key: str) -> bool:
        """Return whether a key may be read in clear on some row, and all edges on the way to it, and leads to a type
        that may be seen if it leads anywhere."""
        steps = key.split(BEYOND)
        for end in range(len(steps)):
            owner, found = record.find(BEYOND.join(steps[: end + 1]))
            access = self._access.of(owner.name)
            if not access.allows(READ) or access.level(found.field) < Level.READ:
                return False
            edge = owner.edges.get(found.key)
            if edge is not None and edge.target.name in self._hidden_types:
                return False
        return True

    def _mutations(self) -> Mapping[str, GraphQLField]:
        assert self._schema.core.mutation_type is not None
        found: Mapping[str, GraphQLField] = self._schema.core.mutation_type.fields
        return found

    def _verbs_of(self, mutation: GraphQLField) -> tuple[str, tuple[str, ...]] | None:
        """Return the type and the verbs that a mutation says it is; None for one that asks for no right to a type."""
        does: Does = mutation.extensions[DEFINITION].metadata[DOES_KEY]
        return None if does.policy is None else (does.policy.type, does.verbs)

    def _may_mutate(self, name: str) -> bool:
        """Return whether a verb of a mutation is granted on any row of its type."""
        found = self._verbs_of(self._mutations()[name])
        return found is None or any(map(self._access.of(found[0]).allows, found[1]))

    def _frozen(self, mutation: GraphQLField) -> Iterable[str]:
        """Yield the fields of a mutation's input that are fields of its record which may be written on no row."""
        found = self._verbs_of(mutation)
        record = None if found is None else self._schema.registry.records.get(found[0])
        if found is None or record is None:
            return
        fields = {each.field for each in record.columns.values()} - {"id"}
        for key in _input_of(mutation).fields:
            field = key if key in fields else key.removesuffix("Id")
            may_write = self._access.of(record.name).may_write
            if field in fields and not any(may_write(field, verb) for verb in found[1]):
                yield key


def _input_of(mutation: GraphQLField) -> GraphQLInputObjectType:
    """Return the type of a mutation's one argument; one without any takes nothing that could be hidden."""
    found = next((get_named_type(each.type) for each in mutation.args.values()), None)
    return found if isinstance(found, GraphQLInputObjectType) else GraphQLInputObjectType("None", {})
