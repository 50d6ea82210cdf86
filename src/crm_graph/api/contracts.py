"""The generated contracts of `schema/`: reviewed in git, compared by a test, written by `make contracts`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

from crm_graph.api.schema import make_schema
from crm_graph.graph.records.record import Record
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.errors import OperatorError
from crm_graph.permissions.access import TypeAccess, compile_access
from crm_graph.permissions.definitions import format_scopes
from crm_graph.permissions.grants import BASIC_VERBS, NONE, READ, UPDATE
from crm_graph.permissions.roles import built_in_roles

EVENTS = "events.json"


def sdl(schema: BuiltSchema) -> str:
    """Return the whole schema in SDL."""
    return schema.strawberry.as_str().rstrip() + "\n"


def permissions(schema: BuiltSchema) -> str:
    """Return the default matrix: role x type x verb, the level on the type's fields, and the fields that differ."""
    lines = ["# The default permissions. Generated; `make contracts` writes it, a test compares it.", ""]
    for role in built_in_roles(schema.policies).values():
        access = compile_access([role], schema.policies)
        lines.append(f"role {role.name}")
        for record in schema.registry.records.values():
            lines += _type_lines(record, access.of(record.name))
        lines.append("")
    return "\n".join(lines)


def _type_lines(record: Record, access: TypeAccess) -> list[str]:
    named = {verb for verb in access.policy.transitions if access.scopes(verb) != access.scopes(UPDATE)}
    wanted = *BASIC_VERBS, *sorted(named)
    scopes = {verb: "|".join(format_scopes(access.scopes(verb))) for verb in wanted}
    if not access.allows(READ):
        return [f"  {record.name}: nothing"]
    # A transition that is not listed is granted where `update` is.
    verbs = ", ".join(f"{verb} {scope}" for verb, scope in scopes.items() if scope != NONE or verb in named)
    default = access.level("id").name
    lines = [f"  {record.name}: {verbs}; fields {default}"]
    for name in dict.fromkeys(column.field for column in record.columns.values()):
        given = [
            f"{field_grant.level.name} {field_grant.scope}"
            for grant in access.grants
            for field_grant in grant.field_grants(name)
        ]
        if given != [f"{default} ALL"]:
            lines.append(f"    .{name}: {', '.join(given)}")
    return lines


def events(schema: BuiltSchema) -> str:
    """Return the event types of each slice: effect, version, and the types of their data."""
    events: dict[str, dict[str, object]] = {}
    for slice_ in schema.slices:
        for event in slice_.events:
            hints = get_type_hints(event)
            events[event.__name__] = {
                "slice": slice_.name,
                "effect": event.effect.value,
                "version": event.version,
                "description": " ".join((event.__doc__ or "").split()),
                "data": {field.name: _type_name(hints[field.name]) for field in fields(event)},
            }
    return json.dumps(dict(sorted(events.items())), indent=2, ensure_ascii=False) + "\n"


def _type_name(type_: object) -> str:
    return type_.__name__ if isinstance(type_, type) else str(type_).replace("typing.", "")


def unmoved(before: str, now: str) -> Iterator[str]:
    """Yield the events that say something else than in a text of `events` before, and whose version did not move."""
    known = json.loads(before)
    for name, event in json.loads(now).items():
        was = known.get(name, event)
        differs = any(was[key] != event[key] for key in ("effect", "data"))
        if event["version"] < was["version"] + differs:
            yield name


CONTRACTS: Mapping[str, Callable[[BuiltSchema], str]] = {
    "schema.graphql": sdl,
    "permissions.txt": permissions,
    EVENTS: events,
}


def write(folder: Path) -> None:
    """Write all contracts into a folder. Raises OperatorError, and writes none, where an event is not what the folder
    says of its version."""
    schema = make_schema()
    contracts = {name: render(schema) for name, render in CONTRACTS.items()}
    folder.mkdir(exist_ok=True)
    stored = folder / EVENTS
    names = ", ".join(unmoved(stored.read_text(encoding="utf-8"), contracts[EVENTS])) if stored.exists() else ""
    if names:
        raise OperatorError(
            f"{stored} has other fields, or another effect, for this version of {names}.",
            "give the class its next version, `class StageMoved(Changes, version=2)`: the log keeps events of both.",
        )
    for name, text in contracts.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        write(Path("schema"))
    except OperatorError as error:
        sys.exit(str(error))
