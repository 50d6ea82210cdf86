"""What happens to the accounts of members. No event holds a password, a token, a code, or a hash of one."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Mentions


class SignedIn(Mentions):
    """A member signed in: a session started. `kind` says what holds it: tokens, or a browser on our own pages."""

    session_id: str
    method: str
    kind: str = "TOKENS"


class SessionRevoked(Mentions):
    """A session was ended: its tokens stop working with the next request."""

    session_id: str
    reason: str


class SessionsRevoked(Mentions):
    """All sessions of a member were ended, or all but one."""

    sessions: int
    reason: str


class SignedOut(Mentions):
    """A session was ended by its own refresh token."""

    session_id: str


class RefreshTokenReused(Mentions):
    """A refresh token was shown a second time, so somebody has a copy: its session was ended."""

    session_id: str
    generation: int


class SignInFailed(Mentions):
    """Somebody could not sign in. `account` is a keyed hash of the address they gave, so that attempts at one account
    can be told from attempts at many; the entity is the member where there is one of that address."""

    reason: str
    account: str


class PasswordChanged(Changes):
    """A member changed their password, knowing the one before; or the operator set it."""


class PasswordResetRequested(Mentions):
    """A link to set a new password was mailed to a member, at the wish of whoever knows the address."""


class PasswordReset(Changes):
    """A member set a new password with a mailed link; all their sessions were ended."""


class SecondFactorEnabled(Changes):
    """A member confirmed a second factor: from now on a password alone does not let in."""


class SecondFactorDisabled(Changes):
    """A member gave up their second factor, or an administrator removed it."""


class RecoveryCodesRenewed(Changes):
    """A member had new recovery codes made; those before are void."""


class RecoveryCodeUsed(Changes):
    """A member signed in with a recovery code in place of the second factor; so many are left."""

    left: int


class MemberInvited(Mentions):
    """A link to join was mailed to a new member, or given to whoever invited them."""

    mailed: bool


class InvitationAccepted(Changes):
    """A member accepted their invitation and chose a password."""


class MailGivenUp(Mentions):
    """A mail to a member could not be sent within a day, or was refused for good."""

    kind: str
    reason: str


EVENTS = (
    SignedIn,
    SignInFailed,
    SignedOut,
    SessionRevoked,
    SessionsRevoked,
    RefreshTokenReused,
    PasswordChanged,
    PasswordResetRequested,
    PasswordReset,
    SecondFactorEnabled,
    SecondFactorDisabled,
    RecoveryCodesRenewed,
    RecoveryCodeUsed,
    MemberInvited,
    InvitationAccepted,
    MailGivenUp,
)
