"""The mutations by which members change how they sign in, and administrators help them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import strawberry

from crm_graph.domains.identity.accounts import operations
from crm_graph.domains.identity.accounts.graph.asking import me, rested
from crm_graph.domains.identity.accounts.graph.public import AccountPayload
from crm_graph.domains.identity.accounts.graph.viewer import SESSION_PREFIX
from crm_graph.domains.workspace.members.graph.mutations import MemberPayload
from crm_graph.domains.workspace.members.graph.types import Member
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.graph.context import Info
from crm_graph.graph.idempotency.once import answer_once
from crm_graph.graph.payloads import UserError, key_of, perform, user_error
from crm_graph.graph.reading.sizes import CODE, PASSWORD, sized
from crm_graph.graph.writes import does
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.ids import decode_id
from crm_graph.permissions.grants import UPDATE
from crm_graph.work import Work

T = TypeVar("T")
_PASSWORD = "Your password, once more."  # noqa: S105 - a description


@sized(current_password=PASSWORD, new_password=PASSWORD)
@strawberry.input(description="A new password in place of the one before.")
class ChangePasswordInput:
    """See `operations.change_password`."""

    current_password: str = strawberry.field(description="The password until now.")
    new_password: str = strawberry.field(description="The password from now on.")


@sized(password=PASSWORD)
@strawberry.input(description="The wish for a second factor.")
class StartSecondFactorInput:
    """See `operations.start_second_factor`."""

    password: str = strawberry.field(description=_PASSWORD)
    code: str | None = strawberry.field(
        description="Where you have a second factor: a code of the device until now, or a recovery code.", default=None
    )


@sized(code=CODE)
@strawberry.input(description="The proof that a device has the secret.")
class ConfirmSecondFactorInput:
    """See `operations.confirm_second_factor`."""

    code: str = strawberry.field(description="The code that the device shows now.")


@sized(password=PASSWORD, code=CODE)
@strawberry.input(description="The proof that it is you who changes the second factor.")
class ProveSecondFactorInput:
    """See `operations.disable_second_factor`."""

    password: str = strawberry.field(description=_PASSWORD)
    code: str = strawberry.field(description="The code that the device shows now, or a recovery code.")


@strawberry.input(description="A session to end.")
class RevokeSessionInput:
    """See `operations.end_session`."""

    id: strawberry.ID = strawberry.field(description="One of your sessions.")


@strawberry.input(description="A member whose account an administrator helps with.")
class OfMemberInput:
    """See `operations.end_sessions_of`."""

    member_id: strawberry.ID = strawberry.field(description="The member.")


@strawberry.type(description="A secret for a device, or why there is none.")
class StartSecondFactorPayload:
    """The secret is shown this once."""

    secret: str | None = strawberry.field(description="The secret in base32, to be typed in.")
    otpauth_url: str | None = strawberry.field(description="The same as an `otpauth://` URL, to be shown as a QR code.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


@strawberry.type(description="Recovery codes, or why there are none.")
class RecoveryCodesPayload:
    """The codes are shown this once."""

    recovery_codes: list[str] | None = strawberry.field(
        description="Codes that stand in for the second factor, each once: keep them apart from the device."
    )
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


@strawberry.type(description="How many sessions were ended.")
class RevokeOtherSessionsPayload:
    """See `operations.end_other_sessions`."""

    revoked: int = strawberry.field(description="How many sessions were ended.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


class OwnMutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Changes your password. All your other sessions end.", metadata=does(None))
    async def change_password(self, info: Info, input: ChangePasswordInput) -> AccountPayload:
        _, errors = await _tried(operations.change_password(me(info), input.current_password, input.new_password))
        return AccountPayload(errors=errors)

    @strawberry.mutation(
        description="Makes a secret for a device that shows codes (TOTP, RFC 6238). It counts once it is confirmed;"
        " until then a second factor that you have goes on.",
        metadata=does(None),
    )
    async def start_second_factor(self, info: Info, input: StartSecondFactorInput) -> StartSecondFactorPayload:
        made, errors = await _tried(operations.start_second_factor(me(info), input.password, input.code))
        secret, url = made or (None, None)
        return StartSecondFactorPayload(secret=secret, otpauth_url=url, errors=errors)

    @strawberry.mutation(
        description="Takes the second factor into use: from now on signing in takes a code too. All your other sessions"
        " end.",
        metadata=does(None),
    )
    async def confirm_second_factor(self, info: Info, input: ConfirmSecondFactorInput) -> RecoveryCodesPayload:
        codes, errors = await _tried(operations.confirm_second_factor(me(info), input.code))
        return RecoveryCodesPayload(recovery_codes=codes, errors=errors)

    @strawberry.mutation(description="Gives up your second factor. All your other sessions end.", metadata=does(None))
    async def disable_second_factor(self, info: Info, input: ProveSecondFactorInput) -> AccountPayload:
        _, errors = await _tried(operations.disable_second_factor(me(info), input.password, input.code))
        return AccountPayload(errors=errors)

    @strawberry.mutation(description="Makes new recovery codes; those before are void.", metadata=does(None))
    async def renew_recovery_codes(self, info: Info, input: ProveSecondFactorInput) -> RecoveryCodesPayload:
        codes, errors = await _tried(operations.renew_recovery_codes(me(info), input.password, input.code))
        return RecoveryCodesPayload(recovery_codes=codes, errors=errors)

    @strawberry.mutation(
        description="Ends one of your sessions; its tokens stop working with the next request.", metadata=does(None)
    )
    async def revoke_session(self, info: Info, input: RevokeSessionInput) -> AccountPayload:
        own = me(info)

        async def done(work: Work) -> AccountPayload:
            key = decode_id(SESSION_PREFIX, input.id)
            if key is None:
                raise Refused("NOT_FOUND", "There is no such session.", ("id",))
            await operations.end_session(own, work, key)
            return AccountPayload(errors=[])

        return await answer_once(
            info, AccountPayload, done, lambda refused: AccountPayload(errors=[user_error(refused)])
        )

    @strawberry.mutation(description="Ends all your sessions but the one that asks.", metadata=does(None))
    async def revoke_other_sessions(self, info: Info) -> RevokeOtherSessionsPayload:
        own = me(info)

        async def done(work: Work) -> RevokeOtherSessionsPayload:
            return RevokeOtherSessionsPayload(revoked=await operations.end_other_sessions(own, work), errors=[])

        return await answer_once(
            info,
            RevokeOtherSessionsPayload,
            done,
            lambda refused: RevokeOtherSessionsPayload(revoked=0, errors=[user_error(refused)]),
        )

    @strawberry.mutation(
        description="Ends all sessions of a member. For whoever may change members and holds all roles of this one.",
        metadata=does(MEMBER, UPDATE),
    )
    async def revoke_sessions_of_member(self, info: Info, input: OfMemberInput) -> MemberPayload:
        services = rested(info).services
        return await perform(
            info,
            MemberPayload,
            lambda work: operations.end_sessions_of(work, services, key_of(Member, input.member_id, "memberId")),
        )

    @strawberry.mutation(
        description="Removes the second factor of a member who lost it, and ends their sessions. For whoever may"
        " change members and holds all roles of this one.",
        metadata=does(MEMBER, UPDATE),
    )
    async def remove_second_factor_of_member(self, info: Info, input: OfMemberInput) -> MemberPayload:
        services = rested(info).services
        return await perform(
            info,
            MemberPayload,
            lambda work: operations.remove_second_factor_of(
                work, services, key_of(Member, input.member_id, "memberId")
            ),
        )


async def _tried(operation: Awaitable[T]) -> tuple[T | None, list[UserError]]:
    """Return what an operation returned, or the refusal as the errors of a payload."""
    try:
        return await operation, []
    except Refused as refused:
        return None, [user_error(refused)]
