"""Roles in the schema: what they grant, for an editor of roles to show, and the mutations that change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import strawberry

from crm_graph.domains.workspace.members import model, roles
from crm_graph.domains.workspace.members.policy import ROLE
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import DeletePayload, UserError, perform, perform_delete
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.writes import does
from crm_graph.kernel.errors import Forbidden
from crm_graph.permissions.definitions import format_scopes, scopes_of
from crm_graph.permissions.grants import BASIC_VERBS, CREATE, DELETE, READ, UPDATE, FieldGrant, Grant, Level
from crm_graph.work import Work


@strawberry.type(name="VerbGrant", description="That a verb is granted, and on which rows.")
class RoleVerb:
    """One verb of a type's grant, on the rows of one scope; a verb can stand with several, which add up."""

    verb: str = strawberry.field(
        description="`read`, `create`, `update`, `delete`, or a transition of the type like `hold`; one that is not"
        " listed follows `update`, but for those that are granted by name only (`grantables`)."
    )
    scope: str = strawberry.field(
        description="`NONE`, `OWN`, `TEAM`, `ALL`, or a scope of the type's own like `QUEUE`."
    )


@strawberry.type(name="FieldGrant", description="What a role may do with a field, and on which rows.")
class RoleField:
    """One grant of one field; a field can have several, which add up."""

    field: str = strawberry.field(description="The field's name, as in the schema.")
    level: Level = strawberry.field(description="What may be done with it.")
    scope: str = strawberry.field(description="On which rows, of those that may be read.")
    verbs: list[str] | None = strawberry.field(
        description="The verbs by which it may be written; null for all. `create` alone: set once, frozen later."
    )
    audited: bool = strawberry.field(
        description="Whether each reading of the field by this role is written to the log."
    )


@strawberry.type(name="RecordGrant", description="What a role may do with a type.")
class RoleType:
    """One type of a role."""

    type: str = strawberry.field(description="The name of the type, as in the schema.")
    verbs: list[RoleVerb] = strawberry.field(
        description="The verbs that are granted; one that stands here several times is granted on the rows of any of"
        " these scopes."
    )
    default: Level = strawberry.field(description="The level of the fields that are not listed.")
    fields: list[RoleField] = strawberry.field(description="The fields that differ from the default.")


@strawberry.type(description="A role: a set of grants. A member has any number of them, and gets the union.")
class Role:
    """Built in, or the workspace's own."""

    name: str = strawberry.field(description="The role's name, unique in the workspace.")
    description: str | None = strawberry.field(description="What the role is for.")
    built_in: bool = strawberry.field(description="Whether the role comes with the product.")
    customised: bool = strawberry.field(
        description="Whether the workspace defines it: its own role, or a built-in one that it changed."
    )
    version: int = strawberry.field(
        description="Counts the changes; give it as `ifVersion`. 0 for a built-in role as it came."
    )
    grants: list[RoleType] = strawberry.field(
        description="What the role grants, by type. A type that is not listed does not exist for the role."
    )


@strawberry.type(description="What can be granted on a type.")
class Grantable:
    """What an editor of roles offers."""

    type: str = strawberry.field(description="The name of the type, as in the schema.")
    scopes: list[str] = strawberry.field(description="The row scopes that it has.")
    verbs: list[str] = strawberry.field(description="The verbs that it has.")
    by_name: list[str] = strawberry.field(
        description="Those of the verbs that are granted by name only; a transition that is none of them follows"
        " `update` where a role does not name it."
    )
    fields: list[str] = strawberry.field(description="The fields that can be granted one by one.")
    inherent: list[str] = strawberry.field(
        description="The fields that come with every object: they can be masked, and never withheld."
    )
    maskable: list[str] = strawberry.field(
        description="The fields that have a mask; other fields are null when masked."
    )


@strawberry.input(name="VerbGrantInput", description="That a verb is granted, and on which rows.")
class RoleVerbInput:
    """See `RoleVerb`."""

    verb: str = strawberry.field(description="`read`, `create`, `update`, `delete`, or a transition of the type.")
    scope: str = strawberry.field(description="`OWN`, `TEAM`, `ALL`, `NONE`, or a scope of the type's own.")


@strawberry.input(name="FieldGrantInput", description="What a role may do with a field, and on which rows.")
class RoleFieldInput:
    """See `RoleField`."""

    field: str = strawberry.field(description="The field's name, as in the schema.")
    level: Level = strawberry.field(description="What may be done with it.")
    scope: str = strawberry.field(description="On which rows, of those that may be read.", default="ALL")
    verbs: list[str] | None = strawberry.field(
        description="With WRITE, the verbs by which it may be written; all of them unless given.", default=None
    )
    audited: bool = strawberry.field(
        description="Whether each reading of the field is written to the log.", default=False
    )


@strawberry.input(name="RecordGrantInput", description="What a role may do with a type.")
class RoleTypeInput:
    """See `RoleType`."""

    type: str = strawberry.field(description="The name of the type, as in the schema.")
    verbs: list[RoleVerbInput] = strawberry.field(
        description="The verbs that are granted; one that stands here several times is granted on the rows of any of"
        " these scopes."
    )
    default: Level = strawberry.field(description="The level of the fields that are not listed.", default=Level.READ)
    fields: list[RoleFieldInput] = strawberry.field(
        description="The fields that differ from the default; one that stands here twice has both grants.",
        default_factory=list,
    )


@sized(model.RoleRow)
@strawberry.input(description="A new role.")
class CreateRoleInput:
    """See `roles.create_role`."""

    name: str = strawberry.field(description="Small letters, digits and `_`; unique in the workspace.")
    description: str | None = strawberry.field(description="What the role is for.", default=None)
    grants: list[RoleTypeInput] = strawberry.field(description="What the role grants, by type.")


@sized(model.RoleRow)
@strawberry.input(description="Changes to a role, a built-in one too, but not `admin`; what is left out stays.")
class UpdateRoleInput:
    """See `roles.define_role`."""

    name: str = strawberry.field(description="The role.")
    if_version: int | None = strawberry.field(description="Refuse if the role is at another version.", default=None)
    description: str | None = strawberry.field(description="What the role is for.", default=None)
    grants: list[RoleTypeInput] | None = strawberry.field(
        description="What the role grants, by type: all of it, in place of what it granted before.", default=None
    )


@sized(model.RoleRow)
@strawberry.input(description="A role to delete; a built-in one goes back to how it came.")
class DeleteRoleInput:
    """See `roles.delete_role`."""

    name: str = strawberry.field(description="The role.")
    if_version: int | None = strawberry.field(description="Refuse if the role is at another version.", default=None)


@strawberry.type(description="A role, or why not.")
class RolePayload:
    """What mutations of roles return."""

    record_id: strawberry.Private[str | None]
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")

    @strawberry.field(description="The role; null when refused.")
    async def role(self, info: Info) -> Role | None:
        return None if self.record_id is None else await _find(info, self.record_id)


class RoleQueries:
    """Fields of Query."""

    @strawberry.field(description="The roles of the workspace: the built-in ones, then its own. For administrators.")
    async def roles(self, info: Info) -> list[Role]:
        return [_role(each) for each in await _listed(info)]

    @strawberry.field(description="A role by name. For administrators.")
    async def role(
        self, info: Info, name: Annotated[str, strawberry.argument(description="The role's name.")]
    ) -> Role | None:
        return await _find(info, name)

    @strawberry.field(description="What roles can grant: types with their verbs, row scopes and fields.")
    def grantables(self, info: Info) -> list[Grantable]:
        of = info.context.vocabulary
        return [
            Grantable(
                type=name,
                scopes=list(scopes_of(policy)),
                verbs=[*BASIC_VERBS, *policy.transitions],
                by_name=list(policy.by_name),
                fields=sorted(of.fields[name]),
                inherent=sorted(of.inherent[name]),
                maskable=sorted(policy.masks.keys() & of.fields[name]),
            )
            for name, policy in of.policies.items()
        ]


class RoleMutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Defines a role of the workspace.", metadata=does(ROLE, CREATE))
    async def create_role(self, info: Info, input: CreateRoleInput) -> RolePayload:
        definition = _definition(input.grants)
        return await perform(
            info,
            RolePayload,  # type: ignore[type-var] # has the fields of a Payload, and a role is no record
            lambda work: roles.create_role(work, input.name, input.description, definition, info.context.vocabulary),
        )

    @strawberry.mutation(
        description="Changes a role: in force with the next request, and the next event of a subscription.",
        metadata=does(ROLE, UPDATE),
    )
    async def update_role(self, info: Info, input: UpdateRoleInput) -> RolePayload:
        definition = None if input.grants is None else _definition(input.grants)

        async def operation(work: Work) -> str:
            vocabulary = info.context.vocabulary
            return await roles.define_role(
                work, input.name, input.description, definition, vocabulary, input.if_version
            )

        return await perform(info, RolePayload, operation)  # type: ignore[type-var] # see above

    @strawberry.mutation(
        description="Deletes a role that nobody has; a built-in one goes back to how it came.",
        metadata=does(ROLE, DELETE),
    )
    async def delete_role(self, info: Info, input: DeleteRoleInput) -> DeletePayload:
        return await perform_delete(
            info,
            strawberry.ID(input.name),
            lambda work: roles.delete_role(work, input.name, input.if_version),
        )


async def _listed(info: Info) -> Sequence[roles.DefinedRole]:
    context = info.context
    if not context.access.of(ROLE.type).allows(READ):
        raise Forbidden("Your roles do not allow to read roles.")
    return await roles.list_roles(context.reader, context.viewer.workspace_id, context.vocabulary)


async def _find(info: Info, name: str) -> Role | None:
    return next((_role(each) for each in await _listed(info) if each.name == name), None)


def _role(of: roles.DefinedRole) -> Role:
    return Role(
        name=of.name,
        description=of.description,
        built_in=of.built_in,
        customised=of.version > 0,
        version=of.version,
        grants=[_type(name, given) for name, given in of.role.grants.items()],
    )


def _type(name: str, given: Grant) -> RoleType:
    return RoleType(
        type=name,
        verbs=[
            RoleVerb(verb=verb, scope=scope)
            for verb, scopes in given.verbs.items()
            if scopes or verb not in BASIC_VERBS
            for scope in format_scopes(scopes)
        ],
        default=given.fields_default,
        fields=[_field(name, each) for name, fields in given.fields.items() for each in fields],
    )


def _field(name: str, given: FieldGrant) -> RoleField:
    verbs = None if given.verbs is None else sorted(given.verbs)
    return RoleField(field=name, level=given.level, scope=given.scope, verbs=verbs, audited=given.audited)


def _definition(grants: Sequence[RoleTypeInput]) -> Mapping[str, Any]:
    """Return inputs in the form of role files, so that there is one way to check them."""
    found: dict[str, Any] = {}
    for each in grants:
        fields: dict[str, list[str]] = {}
        for given in each.fields:
            verbs = f" on {','.join(given.verbs)}" if given.verbs is not None else ""
            audited = " audited" if given.audited else ""
            fields.setdefault(given.field, []).append(f"{given.level.name} {given.scope}{verbs}{audited}")
        verbs_of: dict[str, list[str]] = {}
        for verb in each.verbs:
            verbs_of.setdefault(verb.verb, []).append(verb.scope)
        found[each.type] = {**verbs_of, "default": each.default.name, "fields": fields}
    return found
