"""What generated operations may name: ids that exist, and values that occur, so that filters match something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from crm_graph.kernel.ids import encode_id
from tests.support.graph import Graph
from tests.support.projected import begin

ROWS_PER_TYPE = 25
WORKSPACES = ("demo", "other")
LONG_AGO = "2025-01-01T00:00:00Z"


@dataclass(slots=True)
class Known:
    """Ids by workspace and type, and values by GraphQL field name."""

    ids: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)

    def id(self, random: Random, type_name: str | None, workspace: str) -> str:
        """Return the id of a record of a type (of any type, for None) that exists in a workspace."""
        found = self.ids[workspace]
        name = type_name if type_name in found else random.choice(list(found))
        return random.choice(found[name])

    def fresh_id(self, random: Random, type_name: str | None) -> str:
        """Return a well-formed id that names nothing."""
        prefix = self.prefixes[type_name if type_name in self.prefixes else random.choice(list(self.prefixes))]
        return f"{prefix}_019a{random.getrandbits(112):028x}"

    def value(self, random: Random, name: str, otherwise: Sequence[Any]) -> Any:
        """Return a value that occurs under a field name, or now and then one that does not."""
        found = self.values.get(name)
        return random.choice(found if found and random.random() < 0.85 else otherwise)


async def learn(graph: Graph) -> Known:
    """Read what exists, past all permissions: also ids and values that a role may not see are worth naming. What exists
    was so since long ago, as of which operations ask."""
    known = Known()
    await begin(graph)
    for table in await graph.rows("UPDATE history_type SET began_at = $1 RETURNING name", LONG_AGO):
        await graph.rows(f"UPDATE {table['name']}_version SET valid_from = $1", LONG_AGO)
    for record in graph.schema.registry.records.values():
        known.prefixes[record.name] = record.prefix
        for slug in WORKSPACES:
            rows = await graph.rows(
                f"SELECT * FROM {record.table.name} WHERE workspace_id = (SELECT id FROM workspace WHERE slug = $1)"
                f" ORDER BY id LIMIT {ROWS_PER_TYPE}",
                slug,
            )
            if not rows:
                continue
            ids = [encode_id(record.prefix, row["id"]) for row in rows]
            known.ids.setdefault(slug, {})[record.name] = ids
            columns = {key: each.column for key, each in record.columns.items()}
            _learn_values(known, columns, rows)
    return known


def _learn_values(known: Known, columns: Mapping[str, str], rows: Sequence[Any]) -> None:
    for key, column in columns.items():
        name = key.rpartition(".")[2]
        values = known.values.setdefault(name, [])
        for row in rows[:10]:
            value = row[column]
            if isinstance(value, str | int) and value not in values:
                values.append(value)
