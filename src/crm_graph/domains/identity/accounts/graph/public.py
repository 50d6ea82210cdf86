"""The mutations that need no credential: signing in is how one gets one. Their payloads hold plain values only."""

from __future__ import annotations

from datetime import datetime, timedelta

import strawberry

from crm_graph.domains.identity.accounts import texts
from crm_graph.domains.identity.accounts.graph.asking import rested
from crm_graph.domains.identity.accounts.invitations import accept_invitation
from crm_graph.domains.identity.accounts.resets import request_reset, reset_password
from crm_graph.domains.identity.accounts.sessions import TokenPair, refresh_session, revoke_by_refresh_token
from crm_graph.domains.identity.accounts.sign_in import SecondFactorRequired, SignInFailure, sign_in
from crm_graph.graph.context import GraphContext, Info
from crm_graph.graph.payloads import UserError, UserErrorCode, user_error
from crm_graph.graph.reading.sizes import CODE, EMAIL, PASSWORD, TOKEN, sized
from crm_graph.graph.writes import does
from crm_graph.kernel.errors import BadUserInput, Refused


@sized(email=EMAIL, password=PASSWORD, code=CODE)
@strawberry.input(description="Who signs in, and the proof of it.")
class SignInInput:
    """See `sign_in.sign_in`."""

    email: str = strawberry.field(description="The member's e-mail address.")
    password: str = strawberry.field(description="The member's password.")
    code: str | None = strawberry.field(
        description="The code of the second factor, or a recovery code, where the member has one.", default=None
    )
    workspace: str | None = strawberry.field(
        description="The short name of the workspace. Without it, the account of this address whose password fits: of"
        " several with one password, the one that has been there for longest.",
        default=None,
    )


@sized(refresh_token=TOKEN)
@strawberry.input(description="A session to go on with.")
class RefreshSessionInput:
    """See `sessions.refresh_session`."""

    refresh_token: str | None = strawberry.field(
        description="The refresh token of the last answer. Sent again within seconds it gets the same answer;"
        " later it ends the session. Left out, that of the cookie.",
        default=None,
    )


@sized(refresh_token=TOKEN)
@strawberry.input(description="A session to end.")
class SignOutInput:
    """See `sessions.revoke_by_refresh_token`."""

    refresh_token: str | None = strawberry.field(
        description="The session's refresh token. Left out, that of the cookie.", default=None
    )


@sized(email=EMAIL)
@strawberry.input(description="Whose password is forgotten.")
class RequestPasswordResetInput:
    """See `resets.request_reset`."""

    email: str = strawberry.field(description="The member's e-mail address.")
    workspace: str | None = strawberry.field(
        description="The short name of the workspace; without it, one mail for each that the address is used in.",
        default=None,
    )
    language: texts.Language = strawberry.field(description="The language of the mail.", default=texts.Language.EN)


@sized(token=TOKEN, password=PASSWORD)
@strawberry.input(description="A new password, and the token that allows to set it.")
class ResetPasswordInput:
    """See `resets.reset_password`."""

    token: str = strawberry.field(description="The token of the mailed link.")
    password: str = strawberry.field(description="The new password.")


@sized(token=TOKEN, password=PASSWORD)
@strawberry.input(description="An invitation, and how its member wants to be called and to sign in.")
class AcceptInvitationInput:
    """See `invitations.accept_invitation`."""

    token: str = strawberry.field(description="The token of the invitation's link.")
    password: str = strawberry.field(description="The password to sign in with from now on.")
    name: str | None = strawberry.field(
        description="The member's name, where the one of the invitation is not right.", default=None
    )


@strawberry.type(description="The tokens of a session, or why there are none.")
class SignInPayload:
    """What signing in returns."""

    access_token: str | None = strawberry.field(
        description="The bearer token of requests: `Authorization: Bearer <token>`. Null where cookies hold the tokens."
    )
    refresh_token: str | None = strawberry.field(
        description="The token that gets the next pair of tokens. Sent again within seconds it gets the same"
        " answer; later it ends the session. Null"
        " where cookies hold the tokens."
    )
    expires_at: datetime | None = strawberry.field(description="When the access token expires.")
    second_factor_required: bool = strawberry.field(
        description="Whether the password is right and a `code` is missing or wrong."
    )
    errors: list[UserError] = strawberry.field(description="Why there are no tokens; empty when there are.")


@strawberry.type(description="Whether the request was accepted. The answer does not tell whether there is an account.")
class AccountPayload:
    """What mutations return that have nothing to tell."""

    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


class PublicMutations:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Signs in with e-mail address and password. The answer to a wrong password is that to an unknown"
        " address; too many attempts are RATE_LIMITED.",
        metadata=does(None),
    )
    async def sign_in(self, info: Info, input: SignInInput) -> SignInPayload:
        context = rested(info)
        try:
            pair = await sign_in(
                context.services,
                input.email,
                input.password,
                input.code,
                input.workspace,
                context.origin,
                request_id=context.request_id,
            )
        except SignInFailure as error:
            return _nothing(UserErrorCode.INVALID, str(error))
        except SecondFactorRequired as error:
            code = UserErrorCode.INVALID if error.wrong else UserErrorCode.REQUIRED
            return _nothing(code, str(error), "code", second_factor_required=True)
        return _tokens(context, pair)

    @strawberry.mutation(
        description="Gets the next tokens of a session. UNAUTHENTICATED when the session was revoked, or when"
        " the token was used more than a moment ago.",
        metadata=does(None),
    )
    async def refresh_session(self, info: Info, input: RefreshSessionInput) -> SignInPayload:
        context = rested(info)
        pair = await refresh_session(
            context.services, _given(context, input.refresh_token), context.origin, request_id=context.request_id
        )
        return _tokens(context, pair)

    @strawberry.mutation(
        description="Ends the session of a refresh token; its access tokens stop working with the next request. Done"
        " as well where there is no such session.",
        metadata=does(None),
    )
    async def sign_out(self, info: Info, input: SignOutInput) -> AccountPayload:
        context = rested(info)
        await revoke_by_refresh_token(
            context.services, _given(context, input.refresh_token), context.origin, request_id=context.request_id
        )
        if context.cookies is not None:
            context.cookies.signed_out()
        return AccountPayload(errors=[])

    @strawberry.mutation(
        description="Mails a link to set a new password, where there is an account; the answer is the same anyhow.",
        metadata=does(None),
    )
    async def request_password_reset(self, info: Info, input: RequestPasswordResetInput) -> AccountPayload:
        context = rested(info)
        await request_reset(
            context.services,
            input.email,
            input.workspace,
            input.language,
            context.origin,
            request_id=context.request_id,
        )
        return AccountPayload(errors=[])

    @strawberry.mutation(
        description="Sets a new password with a mailed token and ends all sessions of the member. Sign in afterwards.",
        metadata=does(None),
    )
    async def reset_password(self, info: Info, input: ResetPasswordInput) -> AccountPayload:
        context = rested(info)
        try:
            await reset_password(
                context.services, input.token, input.password, context.origin, request_id=context.request_id
            )
        except Refused as refused:
            return AccountPayload(errors=[user_error(refused)])
        return AccountPayload(errors=[])

    @strawberry.mutation(description="Accepts an invitation: chooses a password, and signs in.", metadata=does(None))
    async def accept_invitation(self, info: Info, input: AcceptInvitationInput) -> SignInPayload:
        context = rested(info)
        try:
            pair = await accept_invitation(
                context.services,
                input.token,
                input.name,
                input.password,
                context.origin,
                request_id=context.request_id,
            )
        except Refused as refused:
            return _nothing(UserErrorCode(refused.code), refused.message, *refused.field)
        return _tokens(context, pair)


def _given(context: GraphContext, refresh_token: str | None) -> str:
    """Return the refresh token of an input, or of the cookie. Raises BadUserInput where there is neither."""
    found = refresh_token
    if found is None and context.cookies is not None:
        found = context.cookies.refresh_token
    if found is None:
        raise BadUserInput("`refreshToken` is missing, and no cookie holds one.", path=("input", "refreshToken"))
    return found


def _tokens(context: GraphContext, pair: TokenPair) -> SignInPayload:
    """Return the tokens of a session; in cookies that no script can read, where the request may use them."""
    jar = context.cookies
    if jar is not None:
        settings = context.services.settings
        lifetime = timedelta(seconds=settings.access_token_seconds)
        jar.signed_in(pair.access_token, lifetime, pair.refresh_token, timedelta(days=settings.session_days))
    return SignInPayload(
        access_token=None if jar is not None else pair.access_token,
        refresh_token=None if jar is not None else pair.refresh_token,
        expires_at=pair.expires_at,
        second_factor_required=False,
        errors=[],
    )


def _nothing(code: UserErrorCode, message: str, *field: str, second_factor_required: bool = False) -> SignInPayload:
    return SignInPayload(
        access_token=None,
        refresh_token=None,
        expires_at=None,
        second_factor_required=second_factor_required,
        errors=[UserError(code=code, message=message, field=list(field))],
    )
