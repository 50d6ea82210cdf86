"""The mutations that invite."""

from __future__ import annotations

import strawberry

from crm_graph.domains.identity.accounts import invitations, texts
from crm_graph.domains.identity.accounts.graph.asking import rested
from crm_graph.domains.identity.accounts.meter import HOUR_S, Kind, count_and_check, of_member
from crm_graph.domains.workspace.members.graph.types import Member, Team
from crm_graph.domains.workspace.members.model import Member as MemberRow
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.graph.context import Info
from crm_graph.graph.idempotency.once import answer_once
from crm_graph.graph.idempotency.values import shown_once
from crm_graph.graph.payloads import Payload, field_names, given, key_of, new_key, refer, user_error
from crm_graph.graph.reading.sizes import ROLES, sized
from crm_graph.graph.records.record import by_key
from crm_graph.graph.writes import does
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.grants import CREATE
from crm_graph.work import Work


@sized(MemberRow, roles=ROLES)
@strawberry.input(description="A new member, to be invited by mail.")
class InviteMemberInput:
    """See `invitations.invite_member`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `mem_` and a UUIDv7.", default=None
    )
    email: str = strawberry.field(description="Where the invitation is sent; unique in the workspace.")
    name: str = strawberry.field(description="The member's name; they may correct it.")
    roles: list[str] = strawberry.field(description="The names of the member's roles.")
    team_id: strawberry.ID | None = strawberry.field(description="The team the member belongs to.", default=None)
    manager_id: strawberry.ID | None = strawberry.field(description="Who the member reports to.", default=None)
    language: texts.Language = strawberry.field(description="The language of the mail.", default=texts.Language.EN)


@strawberry.input(description="A member to be invited once more.")
class ResendInvitationInput:
    """See `invitations.resend_invitation`."""

    id: strawberry.ID = strawberry.field(description="A member who has no password yet.")
    language: texts.Language = strawberry.field(description="The language of the mail.", default=texts.Language.EN)


@strawberry.type(description="The invited member, or why there is none.")
class InvitationPayload(Payload):
    """What inviting returns."""

    member: Member | None = by_key("record_id", "The member; null when refused.")
    link: str | None = shown_once(
        "The invitation's link, to be passed on to the member and to nobody else: only where this installation sends no"
        " mail.",
        "Invite the member again by `resendInvitation`.",
    )


class InvitationMutations:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Adds a member and invites them by mail. For whoever may create members.",
        metadata=does(MEMBER, CREATE),
    )
    async def invite_member(self, info: Info, input: InviteMemberInput) -> InvitationPayload:
        services = rested(info).services

        async def done(work: Work) -> InvitationPayload:
            values = given(input, "id", "roles", "language")
            refer(values, "team_id", Team)
            refer(values, "manager_id", Member)
            values["id"] = new_key(Member, input.id)
            names = field_names(input, "id", "roles", "language")
            member_id, link = await invitations.invite_member(
                work, services, values, input.roles, input.language, names
            )
            return InvitationPayload(record_id=member_id, link=link, errors=[])

        return await answer_once(info, InvitationPayload, done, _refused)

    @strawberry.mutation(
        description="Invites a member again who has not chosen a password yet.", metadata=does(MEMBER, CREATE)
    )
    async def resend_invitation(self, info: Info, input: ResendInvitationInput) -> InvitationPayload:
        services = rested(info).services
        try:
            member_id = key_of(Member, input.id)
            member = of_member(info.context.viewer.workspace_id, member_id)
        except Refused as refusal:
            return _refused(refusal)
        await count_and_check(services, Kind.MAIL, member, services.settings.mails_per_hour, HOUR_S)

        async def done(work: Work) -> InvitationPayload:
            link = await invitations.resend_invitation(work, services, member_id, input.language)
            return InvitationPayload(record_id=member_id, link=link, errors=[])

        return await answer_once(info, InvitationPayload, done, _refused)


def _refused(refusal: Refused) -> InvitationPayload:
    return InvitationPayload(record_id=None, link=None, errors=[user_error(refusal)])
