"""What the viewer may do: for interfaces that show no button that would be refused."""

from __future__ import annotations

import strawberry

from crm_graph.graph.context import GraphContext
from crm_graph.graph.records.enums import describe
from crm_graph.permissions.access import TypeAccess
from crm_graph.permissions.grants import BASIC_VERBS, DELETE, READ, Level

describe(
    Level,
    "What a role may do with a field. READ and WRITE include those before them.",
    {
        "NONE": "Nothing: the field is null.",
        "MEASURE": "Sum it over enough records, and see none of its values.",
        "MASKED": "See a part of it: the first letter of a name, the last digits of a phone number.",
        "READ": "See it, filter and order by it.",
        "WRITE": "Write it as well, where the role has a verb that writes.",
    },
    name="FieldLevel",
)


@strawberry.type(description="A verb that the viewer has on a type, and on which rows.")
class VerbPermission:
    """The union over the viewer's roles."""

    verb: str = strawberry.field(description="`read`, `create`, `update`, `delete`, or a transition like `approve`.")
    scopes: list[str] = strawberry.field(description="The row scopes, any of which suffices; `ALL` stands alone.")


@strawberry.type(description="What the viewer may do with a field.")
class FieldPermission:
    """The union over the viewer's roles, on the best of rows."""

    field: str = strawberry.field(description="The field's name, as in the schema.")
    level: Level = strawberry.field(description="The most that you may do with the field on any row.")
    partial: bool = strawberry.field(
        description="Whether the field is null or masked on some of the rows that you may read."
    )
    writable_by: list[str] = strawberry.field(description="The verbs by which you may write the field on some row.")


@strawberry.type(description="What the viewer may do with a type.")
class RecordPermission:
    """One type of the schema."""

    type: str = strawberry.field(description="The name of the type, as in the schema.")
    verbs: list[VerbPermission] = strawberry.field(description="The verbs that are granted on any row.")
    fields: list[FieldPermission] = strawberry.field(description="The fields that may be seen on any row.")


def type_permissions(context: GraphContext) -> list[RecordPermission]:
    """Return what the viewer may do, by type; types on which nothing is granted are left out."""
    found = []
    for name, policy in context.vocabulary.policies.items():
        access = context.access.of(name)
        verbs = [verb for verb in (*BASIC_VERBS, *policy.transitions) if access.allows(verb)]
        if verbs:
            fields = sorted(context.vocabulary.fields[name])
            found.append(
                RecordPermission(
                    type=name,
                    verbs=[VerbPermission(verb=verb, scopes=sorted(access.scopes(verb))) for verb in verbs],
                    fields=[_field(access, each, verbs) for each in fields if access.level(each) > Level.NONE],
                )
            )
    return found


def _field(access: TypeAccess, name: str, verbs: list[str]) -> FieldPermission:
    writable_by = [verb for verb in verbs if verb not in {READ, DELETE} and access.may_write(name, verb)]
    level = access.level(name) if writable_by else min(access.level(name), Level.READ)
    return FieldPermission(field=name, level=level, partial=access.partial(name), writable_by=writable_by)
