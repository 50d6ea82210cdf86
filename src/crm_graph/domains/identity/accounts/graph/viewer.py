"""What the viewer sees of their own account, and nobody else does."""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.domains.identity.accounts import enums, operations
from crm_graph.domains.identity.accounts.graph.asking import me
from crm_graph.graph.context import Info
from crm_graph.graph.records.enums import describe
from crm_graph.kernel.ids import encode_id

SESSION_PREFIX = "ses"

describe(
    enums.SignInMethod,
    "How a member proved who they are.",
    {
        "PASSWORD": "With e-mail address and password, and a code where they have a second factor.",
        "OIDC": "At a provider of identities.",
        "INVITATION": "By the link of an invitation.",
        "RESET": "By the link of a reset.",
        "OAUTH": "On the pages of this installation, for an application.",
        "DEVICE": "By a code that a device showed.",
        "OPERATOR": "Not by you: the operator of the installation made a token for you.",
    },
)
describe(
    enums.SessionKind,
    "What a session is held by.",
    {
        "TOKENS": "A program that has tokens of the API.",
        "BROWSER": "A browser, on the pages of this installation: it lets applications in without asking who you are."
        " Revoking it ends the sessions of those that were let in by it.",
    },
)


@strawberry.type(description="A place where you are signed in.")
class SignedInSession:
    """A live session of the viewer."""

    session_id: strawberry.ID = strawberry.field(
        description="The id of the session, for `revokeSession`. Not called `id`: a session is no node."
    )
    kind: enums.SessionKind = strawberry.field(description="What holds the session.")
    method: enums.SignInMethod = strawberry.field(description="How you signed in.")
    client_name: str | None = strawberry.field(description="The application that signed you in, where there is one.")
    address: str | None = strawberry.field(description="The network address from which the session was last used.")
    user_agent: str | None = strawberry.field(
        description="The program that used the session last, by the name that it gives itself."
    )
    created_at: datetime = strawberry.field(description="When you signed in.")
    last_used_at: datetime = strawberry.field(description="When its tokens were last renewed.")
    expires_at: datetime = strawberry.field(
        description="When the session ends unless it is used; a browser's session ends then in any case."
    )
    current: bool = strawberry.field(description="Whether this request belongs to the session.")


@strawberry.type(description="How you sign in.")
class Account:
    """The viewer's credential, without anything secret."""

    has_password: bool = strawberry.field(description="Whether you can sign in with a password.")
    second_factor: bool = strawberry.field(description="Whether a code is asked for as well.")
    recovery_codes_left: int = strawberry.field(description="How many recovery codes are not used yet.")


class ViewerAccount:
    """Fields of Viewer."""

    @strawberry.field(description="Where you are signed in, last used first. Not for API keys and clients.")
    async def sessions(self, info: Info) -> list[SignedInSession]:
        current = info.context.viewer.session_id
        return [
            SignedInSession(
                session_id=strawberry.ID(encode_id(SESSION_PREFIX, row["id"])),
                kind=enums.SessionKind(row["kind"]),
                method=enums.SignInMethod(row["method"]),
                client_name=row["client_name"],
                address=row["address"],
                user_agent=row["user_agent"],
                created_at=row["created_at"],
                last_used_at=row["last_used_at"],
                expires_at=row["expires_at"],
                current=row["id"] == current,
            )
            for row in await operations.sessions(me(info))
        ]

    @strawberry.field(description="How you sign in. Not for API keys and clients.")
    async def account(self, info: Info) -> Account:
        held = await me(info).held()
        return Account(
            has_password=held.password_hash is not None,
            second_factor=held.totp_secret is not None,
            recovery_codes_left=held.recovery_codes,
        )
