"""What happens to the accounts of members. No event holds a password, a token, a code, or a hash of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A member signed in: a session started. `kind` says what holds it: tokens, or a browser on our own pages."""

    session_id: str
    method: str
    kind: str = "TOKENS"


@dataclass(frozen=True, slots=True)
class SessionRevoked:
    """A session was ended: its tokens stop working with the next request."""

    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SessionsRevoked:
    """All sessions of a member were ended, or all but one."""

    sessions: int
    reason: str


@dataclass(frozen=True, slots=True)
class SignedOut:
    """A session was ended by its own refresh token."""

    session_id: str


@dataclass(frozen=True, slots=True)
class RefreshTokenReused:
    """A refresh token was shown a second time, so somebody has a copy: its session was ended."""

    session_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class SignInFailed:
    """Somebody could not sign in. `account` is a keyed hash of the address they gave, so that attempts at one account
    can be told from attempts at many; the entity is the member where there is one of that address."""

    reason: str
    account: str


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """A member changed their password, knowing the one before; or the operator set it."""


@dataclass(frozen=True, slots=True)
class PasswordResetRequested:
    """A link to set a new password was mailed to a member, at the wish of whoever knows the address."""


@dataclass(frozen=True, slots=True)
class PasswordReset:
    """A member set a new password with a mailed link; all their sessions were ended."""


@dataclass(frozen=True, slots=True)
class SecondFactorEnabled:
    """A member confirmed a second factor: from now on a password alone does not let in."""


@dataclass(frozen=True, slots=True)
class SecondFactorDisabled:
    """A member gave up their second factor, or an administrator removed it."""


@dataclass(frozen=True, slots=True)
class RecoveryCodesRenewed:
    """A member had new recovery codes made; those before are void."""


@dataclass(frozen=True, slots=True)
class RecoveryCodeUsed:
    """A member signed in with a recovery code in place of the second factor; so many are left."""

    left: int


@dataclass(frozen=True, slots=True)
class MemberInvited:
    """A link to join was mailed to a new member, or given to whoever invited them."""

    mailed: bool


@dataclass(frozen=True, slots=True)
class InvitationAccepted:
    """A member accepted their invitation and chose a password."""


@dataclass(frozen=True, slots=True)
class MailGivenUp:
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
