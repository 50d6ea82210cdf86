"""The register of credentials: every kind of thing by which somebody is let in, or something is done in their name.

What each came from, where it is kept, how long it lives, and which events end it. `tests/credentials` makes each by its
real way, causes each event by its real mutation, and asks whether it is dead, or alive as it says here; and looks
through the code for what is not here. Who adds a kind adds a row.

Access tokens are no row of their own: each names the session or the API key that it came from (`tokens.py`), and every
request asks whether that lives (`accounts/directory.py`).

Decided in D-identity-06 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Ending(Enum):
    """What can end a credential."""

    PASSWORD_CHANGED = "changePassword"  # noqa: S105 - no password
    PASSWORD_RESET = "resetPassword"  # noqa: S105 - no password
    SECOND_FACTOR_SET = "confirmSecondFactor"
    SECOND_FACTOR_REMOVED = "disableSecondFactor"
    SECOND_FACTOR_TAKEN = "removeSecondFactorOfMember"
    SUSPENDED = "suspendMember, and reactivateMember"
    ROLES_TAKEN = "setMemberRoles"
    REVOKED = "revokeSession, of what it came from"
    OTHERS_REVOKED = "revokeOtherSessions"
    ALL_REVOKED = "revokeSessionsOfMember"
    SIGNED_OUT = "the sign-out page"
    APP_REVOKED = "revokeAuthorizedApp"
    KEY_REVOKED = "revokeApiKey"
    CLIENT_CHANGED = "updateApiClient, of another kind"
    CLIENT_DELETED = "deleteApiClient"
    IDENTITY_UNLINKED = "unlinkMemberIdentity"
    PROVIDER_DISABLED = "updateIdentityProvider, not enabled"
    PROVIDER_DELETED = "deleteIdentityProvider"


_E = Ending
_OF_THE_PERSON = frozenset({_E.PASSWORD_CHANGED, _E.PASSWORD_RESET, _E.SECOND_FACTOR_SET, _E.SECOND_FACTOR_REMOVED})
_OF_THE_MEMBER = frozenset({_E.SECOND_FACTOR_TAKEN, _E.SUSPENDED, _E.OTHERS_REVOKED, _E.ALL_REVOKED})
_OF_THE_PROVIDER = frozenset({_E.IDENTITY_UNLINKED, _E.PROVIDER_DISABLED, _E.PROVIDER_DELETED})
_SESSION = _OF_THE_PERSON | _OF_THE_MEMBER | {_E.REVOKED}


@dataclass(frozen=True, slots=True)
class Credential:
    """A kind of credential. `marks` are where the code shows it, by which the lint finds kinds that are not here."""

    name: str
    came_from: str
    kept: str
    lives: str
    ends: frozenset[Ending]
    outlives: Mapping[Ending, str] = field(default_factory=dict)
    """Endings that one might think end it, and why they do not. All others do not concern it."""
    marks: tuple[str, ...] = ()


_APP_OUTLIVES = {
    _E.SIGNED_OUT: "who signs out leaves a desk; the apps that they let in are listed and revoked each for itself",
    _E.KEY_REVOKED: "keys are rotated as a matter of course; without a live one the app cannot refresh it",
    _E.ROLES_TAKEN: "it may what the member may, as of the next request",
}
REGISTER: tuple[Credential, ...] = (
    Credential(
        "own session",
        "a password and a second factor, or an invitation",
        "a row of member_session; the refresh token is an HMAC, of which nothing is kept; in a browser, in cookies",
        "CRM_SESSION_DAYS after its last use; an access token CRM_ACCESS_TOKEN_SECONDS",
        _SESSION,
        {
            _E.ROLES_TAKEN: "it may what the member may, as of the next request",
            _E.SIGNED_OUT: "it is another sign-in, by signIn: `signOut` ends it",
        },
        (
            "prefix crmr_",
            "purpose refresh tokens",
            "column member_session.salt",
            "cookie crm_access",
            "cookie crm_refresh",
        ),
    ),
    Credential(
        "browser sign-in",
        "a password and a second factor, or a provider of identities, on the pages under /oauth",
        "a row of member_session, of kind BROWSER; the cookie is an HMAC, of which nothing is kept",
        "CRM_BROWSER_SIGN_IN_MINUTES, used or not",
        _SESSION | {_E.SIGNED_OUT} | _OF_THE_PROVIDER,
        {_E.ROLES_TAKEN: "it says who somebody is, and not what they may"},
        (
            "prefix crmb_",
            "purpose browser sign-ins",
            "cookie crm_signed_in",
            "cookie crm_sso",
            "purpose provider sign-in",
        ),
    ),
    Credential(
        "app session",
        "an authorization code that a browser sign-in gave",
        "a row of member_session that names its client and its browser sign-in",
        "as an own session",
        _SESSION | {_E.APP_REVOKED, _E.CLIENT_CHANGED, _E.CLIENT_DELETED} | _OF_THE_PROVIDER,
        _APP_OUTLIVES,
    ),
    Credential(
        "device session",
        "a device code that a member answered in a browser",
        "as an app session",
        "as an own session",
        _SESSION | {_E.APP_REVOKED, _E.CLIENT_CHANGED, _E.CLIENT_DELETED} | _OF_THE_PROVIDER,
        _APP_OUTLIVES,
    ),
    Credential(
        "authorization code",
        "a browser sign-in, and a consent",
        "its SHA-256, in authorization_code, with the browser sign-in that it came from",
        "CRM_AUTHORIZATION_CODE_SECONDS, and one use",
        _SESSION | {_E.SIGNED_OUT, _E.APP_REVOKED, _E.CLIENT_DELETED} | _OF_THE_PROVIDER,
        {_E.CLIENT_CHANGED: "a minute, with PKCE, and the client must authenticate as what it is now"},
        ("column authorization_code.sha256",),
    ),
    Credential(
        "device answer",
        "a browser sign-in whose member said yes to a device code",
        "the SHA-256 of the device code, in device_code, with the browser sign-in that it came from",
        "CRM_DEVICE_CODE_SECONDS, and one use",
        _SESSION | {_E.SIGNED_OUT, _E.APP_REVOKED, _E.CLIENT_DELETED} | _OF_THE_PROVIDER,
        {_E.CLIENT_CHANGED: "the client must authenticate as what it is now"},
        ("column device_code.sha256", "column device_code.user_code"),
    ),
    Credential(
        "consent",
        "a member's yes on the page of consent",
        "a row of consent",
        "until it is taken back",
        frozenset({_E.SUSPENDED, _E.APP_REVOKED, _E.CLIENT_DELETED}),
        {
            _E.PASSWORD_CHANGED: "it lets nobody in: it only spares a member who has signed in a question",
            _E.REVOKED: "as with a new password",
            _E.SIGNED_OUT: "as with a new password",
        },
    ),
    Credential(
        "invitation",
        "whoever may create members",
        "the SHA-256 of 32 random bytes, in member_link, with the generation of the member's credential",
        "CRM_INVITATION_DAYS, and one use",
        frozenset({_E.PASSWORD_RESET, _E.SUSPENDED}),
        {_E.ALL_REVOKED: "who is invited has no sessions yet; suspending them ends it"},
        ("prefix crml_", "column member_link.sha256"),
    ),
    Credential(
        "reset link",
        "whoever knows the address; it goes to that address alone",
        "as an invitation",
        "CRM_RESET_MINUTES, and one use",
        _OF_THE_PERSON | {_E.SECOND_FACTOR_TAKEN, _E.SUSPENDED},
        {_E.ALL_REVOKED: "it goes to the member's own address, and asks for the second factor all the same"},
    ),
    Credential(
        "password",
        "its member, by an invitation or a reset; the operator",
        "its Argon2id hash, in credential",
        "until it is changed",
        frozenset({_E.PASSWORD_CHANGED, _E.PASSWORD_RESET}),
        {
            _E.SUSPENDED: "it is what the member knows, and not what was given out: it waits for their return",
            _E.ALL_REVOKED: "the sessions end, and who knows the password may sign in again",
        },
        ("column credential.password_hash",),
    ),
    Credential(
        "second factor",
        "its member, by the password; in place of another one by a code of that",
        "its secret, sealed, in credential; the time step of the last code",
        "until it is removed; a code 90 seconds, and one use",
        frozenset({_E.SECOND_FACTOR_REMOVED, _E.SECOND_FACTOR_TAKEN}),
        {
            _E.PASSWORD_RESET: "a mail must not be a way around it",
            _E.SUSPENDED: "as the password",
        },
        ("column credential.totp_secret", "purpose second factor"),
    ),
    Credential(
        "recovery code",
        "the second factor",
        "its SHA-256, in recovery_code",
        "as long as the second factor, and one use",
        frozenset({_E.SECOND_FACTOR_REMOVED, _E.SECOND_FACTOR_TAKEN}),
        {_E.PASSWORD_RESET: "a mail must not be a way around the second factor"},
        ("column recovery_code.sha256",),
    ),
    Credential(
        "API key",
        "whoever may change its client, and holds all of its roles",
        "its SHA-256, in api_key",
        "until its `expiresAt`, or for ever",
        frozenset({_E.KEY_REVOKED, _E.CLIENT_CHANGED, _E.CLIENT_DELETED}),
        {
            _E.SUSPENDED: "it is the client's, and not of the member who made it; suspending the client's own member"
            " pauses it, and reactivating them lets it go on: that is what suspending an integration is for",
            _E.ROLES_TAKEN: "it may what the client's member may, as of the next request",
        },
        ("prefix crmk_", "column api_key.sha256"),
    ),
    Credential(
        "client token",
        "an API key, by the grant of client credentials",
        "nowhere: it is signed, and names the key",
        "CRM_ACCESS_TOKEN_SECONDS",
        frozenset({_E.KEY_REVOKED, _E.CLIENT_CHANGED, _E.CLIENT_DELETED}),
        {
            _E.SUSPENDED: "it is the client's, as its key is; suspending the client's own member ends it for good, and"
            " once they are reactivated the key gets another"
        },
    ),
    Credential(
        "provider token",
        "another issuer, whose tokens the workspace accepts",
        "nowhere: it is signed by that issuer, and its subject is linked to the member",
        "what it says; CRM_PROVIDER_CACHE_MS after the provider was changed",
        frozenset({_E.SUSPENDED}) | _OF_THE_PROVIDER,
        {
            _E.PASSWORD_CHANGED: "the provider does not know our password",
            _E.ALL_REVOKED: "it is no session of ours: unlinking the member ends it",
        },
    ),
    Credential(
        "operator token",
        "whoever runs the installation, by `crm-graph token` and `crm-graph dev`",
        "a row of member_session, whose method is OPERATOR",
        "CRM_TOKEN_MINUTES, or what was asked for",
        _SESSION,
        {_E.SIGNED_OUT: "it is another sign-in"},
    ),
    Credential(
        "webhook endpoint",
        "whoever made it or changed it last, and holds all of its roles",
        "a row of webhook_endpoint that names that member",
        "until it is deleted; it is paused once they are suspended or do not hold its roles any more",
        frozenset({_E.SUSPENDED, _E.ROLES_TAKEN}),
        {_E.ALL_REVOKED: "it is no session: it is configuration that somebody answers for"},
        ("purpose webhook signing secret",),
    ),
    Credential(
        "job",
        "the credential of whoever asked for it",
        "a row of job that names the member, and the client by which they asked",
        "until it has run; it acts with the roles of that moment",
        frozenset({_E.SUSPENDED, _E.CLIENT_DELETED}),
        {
            _E.ALL_REVOKED: "what was asked for is done: its file is fetched with a credential of its own",
            _E.ROLES_TAKEN: "it may what the member may when it runs",
        },
    ),
    Credential(
        "stream",
        "the credential that it was opened with",
        "in the process that serves it",
        "as its credential, which is confirmed with every event",
        _SESSION,
        {_E.ROLES_TAKEN: "it tells what the member may know, as of the next event"},
    ),
    Credential(
        "form token",
        "a page of ours, for one browser, one sign-in and one page",
        "nowhere: it is an HMAC over these",
        "as the browser sign-in that it is bound to",
        frozenset(),
        dict.fromkeys(_SESSION, "it is no credential: what its form does asks who has signed in"),
        ("cookie crm_form", "purpose form tokens"),
    ),
    Credential(
        "ID token",
        "an authorization code, or a device code",
        "nowhere: it is signed",
        "CRM_ACCESS_TOKEN_SECONDS",
        frozenset(),
        dict.fromkeys(_SESSION, "it lets nobody in here: it tells an app who somebody was"),
        ("purpose ID token signing",),
    ),
)
"""In this order in the documentation. An export's file is fetched with one of these: it has no address that lets in."""
