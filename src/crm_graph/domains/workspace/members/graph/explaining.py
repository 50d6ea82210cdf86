"""Why somebody sees a record, or a field of it, as they do: role, grant and rule that decide, in words."""

from __future__ import annotations

from typing import Annotated

import strawberry

from crm_graph.domains.workspace.members.graph.types import Member
from crm_graph.domains.workspace.members.policy import ROLE
from crm_graph.graph.context import GraphContext, Info
from crm_graph.graph.payloads import key_of
from crm_graph.graph.reading.explain import Explanation, Rule, explain
from crm_graph.graph.records.record import Record, by_key
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import BadUserInput, Forbidden, Refused
from crm_graph.kernel.ids import decode_id
from crm_graph.permissions.grants import READ, Level


@strawberry.type(description="A grant that concerns the record, and whether it covers this one.")
class AccessRule:
    """See `graph.explain.Rule`."""

    role: str = strawberry.field(description="The role that has the grant.")
    grant: str = strawberry.field(description='The grant as in role files: "read TEAM", "phone: MASKED ALL".')
    meaning: str = strawberry.field(description="Which rows the grant covers.")
    holds: bool = strawberry.field(description="Whether this record is one of these rows.")


@strawberry.type(description="Why a member sees a record, or a field of it, as they do.")
class AccessExplanation:
    """See `graph.explain`."""

    member_id: strawberry.Private[str]
    member: Member | None = by_key("member_id", "The member whose access it is.")
    type: str = strawberry.field(description="The record's type.")
    field: str | None = strawberry.field(description="The field that was asked about.")
    visible: bool = strawberry.field(description="Whether the member may see the record at all.")
    level: Level | None = strawberry.field(
        description="What the member may do with the field of this record; null where no field was asked about."
    )
    summary: str = strawberry.field(description="The answer in a sentence.")
    rules: list[AccessRule] = strawberry.field(
        description="Every grant of the member's roles that concerns the record or the field."
    )


class PermissionQueries:
    """Fields of Query."""

    @strawberry.field(
        description="Why you see a record, or a field of it, as you do; null for a record that you may not see."
        " Administrators may ask for another member."
    )
    async def explain_access(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The id of the record, of any type.")],
        field: Annotated[
            str | None, strawberry.argument(description="A field of its type, by the name in the schema.")
        ] = None,
        member_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="The member whose access it is; you unless given.")
        ] = None,
    ) -> AccessExplanation | None:
        context = info.context
        found = _record(context, id)
        if found is None:
            return None
        record, key = found
        if field is not None and field not in context.vocabulary.fields[record.name]:
            raise BadUserInput(f"{record.name} has no field {field!r} that is granted.", path=("field",))
        subject = context.viewer
        if member_id is not None:
            subject = await _subject(context, member_id)
        asker = context.viewer, context.access
        explained = await explain(record, key, field, asker, subject, context.compiler, context.reader)
        return None if explained is None else _explanation(record, field, subject.member_id, explained)


def _record(context: GraphContext, id_: str) -> tuple[Record, str] | None:
    for record in context.registry.records.values():
        key = decode_id(record.prefix, id_)
        if key is not None:
            return record, key
    return None


async def _subject(context: GraphContext, member_id: str) -> Viewer:
    """Return another member as a viewer. Raises Forbidden for whoever may not see what roles grant."""
    try:
        key = key_of(Member, member_id, "memberId")
    except Refused as refused:
        raise BadUserInput(refused.message, path=refused.field) from None
    if key == context.viewer.member_id:
        return context.viewer
    if not context.access.of(ROLE.type).allows(READ):
        raise Forbidden("Only members who may read roles may ask for the access of another member.")
    found = await context.look_up(key)
    if found is None:
        raise BadUserInput("There is no active member of this id.", path=("memberId",))
    return found


def _explanation(record: Record, field: str | None, member_id: str, of: Explanation) -> AccessExplanation:
    return AccessExplanation(
        member_id=member_id,
        type=record.name,
        field=field,
        visible=of.visible,
        level=None if field is None else of.level,
        summary=_summary(record, field, of),
        rules=[_rule(each) for each in of.rules],
    )


def _rule(of: Rule) -> AccessRule:
    return AccessRule(role=of.role, grant=of.grant, meaning=of.meaning, holds=of.holds)


def _summary(record: Record, field: str | None, of: Explanation) -> str:
    if not of.visible:
        return f"The member does not see this {record.name}: no role grants to read it."
    if field is None:
        role = next(each.role for each in of.rules if each.holds and not each.of_field)
        return f"The member sees this {record.name} by the role {role}."
    deciding = of.deciding
    if deciding is None or of.level is Level.NONE:
        return f"The member does not see {record.name}.{field} of this record: no role grants it here."
    return f"The member has {of.level.name} on {record.name}.{field} of this record by the role {deciding.role}."
