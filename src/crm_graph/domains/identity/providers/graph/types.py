"""Identity providers, and the members that their accounts are linked to."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import strawberry

from crm_graph.domains.identity.providers import model, policy, rules
from crm_graph.domains.identity.providers.directory import PREFIX
from crm_graph.domains.workspace.members.graph.types import Member
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import Node, column, record, to_many, to_one
from crm_graph.graph.records.scalars import JSON
from crm_graph.graph.records.types import Connection


@strawberry.enum(description="How a claim is compared. Upper and lower case are told apart.")
class ClaimOperator(Enum):
    """See `rules.Condition`."""

    EQUALS = strawberry.enum_value(rules.EQUALS, description="The claim is this text, number or boolean.")
    CONTAINS = strawberry.enum_value(rules.CONTAINS, description="The claim is a list with this text in it.")
    MATCHES = strawberry.enum_value(
        rules.MATCHES, description="The claim, or something in its list, is this text, where `*` stands for anything."
    )


@record(PREFIX, model.IdentityProvider, policy.IDENTITY_PROVIDER)
class IdentityProvider(Node):
    """An OpenID Connect provider with which members sign in, or whose bearer tokens are accepted. Its client secret can
    be set, and read by nobody."""

    name: str = column("The provider's name on the sign-in page, unique in the workspace.")
    issuer: str | None = column("Its issuer, to the letter as its tokens name it.")
    client_id: str | None = column(
        "The id of the client as which this workspace is registered at the provider; no `ApiClient`."
    )
    scopes: list[str] | None = column("The OAuth scopes that are asked for; always `openid` too.")
    enabled: bool | None = column("Whether the provider is trusted at all.")
    accept_tokens: bool | None = column(
        "Whether access tokens of the provider are accepted as bearer tokens of this API."
    )
    audiences: list[str] | None = column("The audiences of which an accepted access token must name one.")
    required: JSON | None = column(
        "What the claims of everybody must be, as a list of `{claim, operator, value}`: all of them hold."
    )
    rules: JSON | None = column(
        "Who gets which roles and which team, as a list of `{claim, operator, value, roles, team}`."
    )
    email_domains: list[str] | None = column(
        "The domains of e-mail addresses that the provider is trusted with: whoever has such an address, verified by"
        " the provider, is the member with that address. Where there are any, nobody else becomes a member by"
        " the provider."
    )
    default_roles: list[str] | None = column(
        "The roles of everybody whom the provider signs in, beside those of the rules."
    )
    allow_sign_up: bool | None = column("Whether those whom no rule matches may become members, with default roles.")
    sync_roles: bool | None = column("Whether roles and team are set anew from the rules at each sign-in.")
    identities: Connection[MemberIdentity] = to_many("provider_id", "The accounts there that are members here.")
    version: int = column("Counts the changes of this record; send it as `ifVersion` to refuse a lost update.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("mid", model.MemberIdentity, policy.MEMBER_IDENTITY)
class MemberIdentity(Node):
    """That an account at an identity provider is a member."""

    provider: IdentityProvider | None = to_one("provider_id", "The provider.")
    subject: str | None = column("The account's subject there, which names it for ever.")
    member: Member | None = to_one("member_id", "The member.")
    version: int = column("Counts the changes.")
    created_at: datetime = column("When the two were linked.")
    updated_at: datetime = column("When the record last changed.")


class OfMember:
    """What this slice adds to a member."""

    identities: Connection[MemberIdentity] = to_many("member_id", "The accounts at providers that are this member.")


class Queries:
    """Fields of Query."""

    identity_provider: IdentityProvider | None = roots.one("An identity provider by id.")
    identity_providers: Connection[IdentityProvider] = roots.many("The identity providers of the workspace.")
    member_identity: MemberIdentity | None = roots.one("A link of an account to a member by id.")
    member_identities: Connection[MemberIdentity] = roots.many("The links of accounts at providers to members.")
