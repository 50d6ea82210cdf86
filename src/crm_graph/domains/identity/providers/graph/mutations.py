"""The mutations of identity providers."""

from __future__ import annotations

from typing import Any

import strawberry

from crm_graph.db.sizes import Items, Letters
from crm_graph.domains.identity.providers import model, operations
from crm_graph.domains.identity.providers.graph.types import ClaimOperator, IdentityProvider, MemberIdentity
from crm_graph.domains.identity.providers.policy import IDENTITY_PROVIDER, MEMBER_IDENTITY
from crm_graph.domains.identity.providers.rules import MAX_LENGTH, MAX_RULES
from crm_graph.domains.identity.providers.secret import MAX_SECRET_LENGTH, seal_secret
from crm_graph.domains.workspace.members.graph.types import Member
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import DeletePayload, Payload, field_names, given, key_of, perform, perform_delete
from crm_graph.graph.reading.sizes import ROLES, sized
from crm_graph.graph.records.record import by_key
from crm_graph.graph.writes import does
from crm_graph.permissions.grants import CREATE, DELETE, UPDATE
from crm_graph.work import Work

_TEXTS = {
    "name": "The provider's name on the sign-in page, unique in the workspace.",
    "client_id": "The id of the client as which this workspace is registered at the provider.",
    "client_secret": "The secret of that client. It is kept sealed and can be read by nobody.",
    "scopes": "The OAuth scopes that are asked for; `openid` is one of them.",
    "enabled": "Whether the provider is trusted at all.",
    "accept_tokens": "Whether access tokens of the provider are accepted as bearer tokens of this API; needs"
    " `audiences`.",
    "audiences": "The audiences of which an accepted access token must name one; never the `clientId`.",
    "required": "What the claims of everybody must be: all of these.",
    "rules": "Who gets which roles and which team; the roles of all rules that match add up.",
    "email_domains": "The domains of e-mail addresses that the provider is trusted with: `example.com`.",
    "default_roles": "The roles of everybody whom the provider signs in; never `admin`, which needs a rule.",
    "allow_sign_up": "Whether those whom no rule matches may become members, with the default roles.",
    "sync_roles": "Whether roles and team are set anew at each sign-in; who matches no rule then stays out.",
}


def _maybe(name: str) -> Any:
    return strawberry.field(description=_TEXTS[name])


def _field(name: str, default: Any) -> Any:
    if default == []:
        return strawberry.field(description=_TEXTS[name], default_factory=list)
    return strawberry.field(description=_TEXTS[name], default=default)


@sized(claim=Letters(MAX_LENGTH), value=Letters(MAX_LENGTH))
@strawberry.input(description="What a claim must be.")
class ClaimConditionInput:
    """See `rules.Condition`."""

    claim: str = strawberry.field(description="The claim: its name, or a path like `realm_access.roles`.")
    operator: ClaimOperator = strawberry.field(description="How it is compared.")
    value: str = strawberry.field(description="What with.")


@sized(claim=Letters(MAX_LENGTH), value=Letters(MAX_LENGTH), team=Letters(MAX_LENGTH), roles=ROLES)
@strawberry.input(description="A claim, and what everybody gets for whom it holds.")
class ProvisioningRuleInput:
    """See `rules.Rule`."""

    claim: str = strawberry.field(description="The claim: its name, or a path like `realm_access.roles`.")
    operator: ClaimOperator = strawberry.field(description="How it is compared.")
    value: str = strawberry.field(description="What with.")
    roles: list[str] = strawberry.field(description="The names of the roles that they get.", default_factory=list)
    team: str | None = strawberry.field(
        description="The name of the team that they belong to; the first rule that matches and has one decides.",
        default=None,
    )


@sized(
    model.IdentityProvider, client_secret=Letters(MAX_SECRET_LENGTH), required=Items(MAX_RULES), rules=Items(MAX_RULES)
)
@strawberry.input(
    description="A new identity provider. Register `<public URL>/sso/<its id>/callback` there as redirect URI."
)
class CreateIdentityProviderInput:
    """See `operations.create_provider`. The id is made here: the addresses under `/sso` name a provider by it alone."""

    name: str = _maybe("name")
    issuer: str = strawberry.field(
        description="Its issuer, `https://accounts.example.com`: to the letter what its metadata names. Never changes."
    )
    client_id: str = _maybe("client_id")
    client_secret: str | None = _field("client_secret", None)
    scopes: list[str] = strawberry.field(
        description=_TEXTS["scopes"], default_factory=lambda: ["openid", "email", "profile"]
    )
    enabled: bool = _field("enabled", True)
    accept_tokens: bool = _field("accept_tokens", False)
    audiences: list[str] = _field("audiences", [])
    required: list[ClaimConditionInput] = _field("required", [])
    rules: list[ProvisioningRuleInput] = _field("rules", [])
    email_domains: list[str] = _field("email_domains", [])
    default_roles: list[str] = _field("default_roles", [])
    allow_sign_up: bool = _field("allow_sign_up", False)
    sync_roles: bool = _field("sync_roles", False)


@sized(
    model.IdentityProvider, client_secret=Letters(MAX_SECRET_LENGTH), required=Items(MAX_RULES), rules=Items(MAX_RULES)
)
@strawberry.input(description="Changes to an identity provider; what is left out stays.")
class UpdateIdentityProviderInput:
    """See `operations.update_provider`."""

    id: strawberry.ID = strawberry.field(description="The provider.")
    if_version: int | None = strawberry.field(description="Refuse if the provider is at another version.", default=None)
    name: strawberry.Maybe[str] = _maybe("name")
    client_id: strawberry.Maybe[str] = _maybe("client_id")
    client_secret: strawberry.Maybe[str | None] = strawberry.field(
        description="The secret of that client; null removes it. It is kept sealed and can be read by nobody."
    )
    scopes: strawberry.Maybe[list[str]] = _maybe("scopes")
    enabled: strawberry.Maybe[bool] = _maybe("enabled")
    accept_tokens: strawberry.Maybe[bool] = _maybe("accept_tokens")
    audiences: strawberry.Maybe[list[str]] = _maybe("audiences")
    required: strawberry.Maybe[list[ClaimConditionInput]] = _maybe("required")
    rules: strawberry.Maybe[list[ProvisioningRuleInput]] = _maybe("rules")
    email_domains: strawberry.Maybe[list[str]] = _maybe("email_domains")
    default_roles: strawberry.Maybe[list[str]] = _maybe("default_roles")
    allow_sign_up: strawberry.Maybe[bool] = _maybe("allow_sign_up")
    sync_roles: strawberry.Maybe[bool] = _maybe("sync_roles")


@strawberry.input(description="An identity provider to delete.")
class DeleteIdentityProviderInput:
    """See `operations.delete_provider`."""

    id: strawberry.ID = strawberry.field(description="The provider.")
    if_version: int | None = strawberry.field(description="Refuse if the provider is at another version.", default=None)


@sized(model.MemberIdentity)
@strawberry.input(description="An account at a provider that is to be a member.")
class LinkMemberIdentityInput:
    """See `operations.link_identity`."""

    provider_id: strawberry.ID = strawberry.field(description="The provider.")
    subject: str = strawberry.field(description="The account's subject there: the `sub` of its tokens.")
    member_id: strawberry.ID = strawberry.field(description="The member, or the service member of a program.")


@strawberry.input(description="A link to undo.")
class UnlinkMemberIdentityInput:
    """See `operations.unlink_identity`."""

    id: strawberry.ID = strawberry.field(description="The link.")


@strawberry.type(description="An identity provider, or why not.")
class IdentityProviderPayload(Payload):
    """What mutations of providers return."""

    identity_provider: IdentityProvider | None = by_key("record_id", "The provider; null when refused.")


@strawberry.type(description="A link of an account to a member, or why not.")
class MemberIdentityPayload(Payload):
    """What mutations of links return."""

    member_identity: MemberIdentity | None = by_key("record_id", "The link; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Trusts an OpenID Connect provider.", metadata=does(IDENTITY_PROVIDER, CREATE))
    async def create_identity_provider(self, info: Info, input: CreateIdentityProviderInput) -> IdentityProviderPayload:
        return await perform(info, IdentityProviderPayload, lambda work: _create(info, work, input))

    @strawberry.mutation(
        description="Changes how far an identity provider is trusted. It is in force everywhere within seconds; one "
        "that is not `enabled` any more, or does not `acceptTokens`, with the next request.",
        metadata=does(IDENTITY_PROVIDER, UPDATE),
    )
    async def update_identity_provider(self, info: Info, input: UpdateIdentityProviderInput) -> IdentityProviderPayload:
        return await perform(info, IdentityProviderPayload, lambda work: _update(info, work, input))

    @strawberry.mutation(
        description="Deletes an identity provider with all links to it; its tokens stop working. Members stay.",
        metadata=does(IDENTITY_PROVIDER, DELETE),
    )
    async def delete_identity_provider(self, info: Info, input: DeleteIdentityProviderInput) -> DeletePayload:
        return await perform_delete(
            info,
            input.id,
            lambda work: operations.delete_provider(work, key_of(IdentityProvider, input.id), input.if_version),
        )

    @strawberry.mutation(
        description="Makes an account at an identity provider a member, whatever its e-mail address.",
        metadata=does(MEMBER_IDENTITY, UPDATE),
    )
    async def link_member_identity(self, info: Info, input: LinkMemberIdentityInput) -> MemberIdentityPayload:
        return await perform(info, MemberIdentityPayload, lambda work: _link(work, input))

    @strawberry.mutation(
        description="Takes an account at an identity provider from its member.", metadata=does(MEMBER_IDENTITY, UPDATE)
    )
    async def unlink_member_identity(self, info: Info, input: UnlinkMemberIdentityInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: operations.unlink_identity(work, key_of(MemberIdentity, input.id))
        )


async def _create(info: Info, work: Work, input_: CreateIdentityProviderInput) -> str:
    values = _stored(given(input_, "client_secret"))
    services = info.context.services
    secret = seal_secret(services, work.viewer.workspace_id, input_.client_secret)
    limit, ours = services.settings.max_providers, (services.authority.issuer, services.settings.public_url)
    return await operations.create_provider(work, values, field_names(input_, "client_secret"), secret, limit, ours)


async def _update(info: Info, work: Work, input_: UpdateIdentityProviderInput) -> str:
    values = _stored(given(input_, "id", "if_version", "client_secret"))
    secret = None
    if input_.client_secret is not None:
        secret = seal_secret(info.context.services, work.viewer.workspace_id, input_.client_secret.value)
    names = field_names(input_, "id", "if_version", "client_secret")
    id_ = key_of(IdentityProvider, input_.id)
    return await operations.update_provider(work, id_, values, names, secret, input_.if_version)


async def _link(work: Work, input_: LinkMemberIdentityInput) -> str:
    provider_id = key_of(IdentityProvider, input_.provider_id, "providerId")
    member_id = key_of(Member, input_.member_id, "memberId")
    return await operations.link_identity(work, provider_id, input_.subject, member_id)


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with conditions and rules as they are stored."""
    for name in ("required", "rules"):
        if name in values:
            values[name] = [given(each) for each in values[name]]
    return values
