"""The one error tree.

    CrmError
    ├── OperatorError      the installation is wrong: configuration, database, files. Printed by the CLI, exit code 2
    │   └── Unreachable    the database does not answer. UNAVAILABLE to whoever asked meanwhile
    ├── Unreadable         something encrypted cannot be opened. Logged; INTERNAL to whoever asked
    ├── IssuerFault        somebody else's identity provider does not answer, or not what can be believed
    └── RequestError       the request is wrong or may not be answered. Top-level GraphQL error with a closed code
        ├── BadUserInput
        ├── CursorTooOld
        ├── Unauthenticated
        ├── Forbidden
        ├── NotFound
        ├── DocumentNotFound
        ├── Conflict
        ├── InDoubt
        ├── LimitExceeded
        ├── KeyReused
        ├── KeyInProgress
        ├── HistoryBehind
        └── RateLimited

Business failures (a stage that cannot be left, a missing reason) are not exceptions of this tree's request half:
operations raise `Refused`, and the mutation's payload carries it as data.
"""

from __future__ import annotations

from collections.abc import Sequence


class CrmError(Exception):
    """The root. Never raised itself."""


class OperatorError(CrmError):
    """Raised when the installation cannot work as configured.

    `what` says what is wrong and where, `fix` the way out. The CLI prints both and exits with `exit_code`.
    """

    exit_code = 2

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}\n  fix: {fix}")
        self.what = what
        self.fix = fix


class Unreachable(OperatorError):
    """Raised when the database takes no connection, or is a standby: it is down, starts, has none free, or does not
    let this user in."""


class Unreadable(CrmError):
    """Raised when a ciphertext cannot be opened: it was altered or moved, or its key is gone.

    `column` and `row` say where it stood; what it is and should have been is in no message.
    """

    def __init__(self, column: str, row: str = "") -> None:
        super().__init__(f"what is stored in {column}{f' of {row}' if row else ''} cannot be decrypted")
        self.column = column
        self.row = row


class IssuerFault(CrmError):
    """Raised when an issuer of others cannot be reached, or answers what may not be believed.

    `message` names addresses: it is for operators and logs, not for whoever wants to sign in. `temporary` says whether
    it may work in a while.
    """

    def __init__(self, message: str, *, temporary: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.temporary = temporary


class RequestError(CrmError):
    """Answered as a top-level GraphQL error; `code` is from the closed list in the API reference."""

    code = "INTERNAL"
    retry_after_s: int | None = None
    """After how many seconds the same may be asked again, where that is so."""

    def __init__(self, message: str, *, path: Sequence[str | int] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path)


class BadUserInput(RequestError):
    """Raised when an argument is well-typed for GraphQL but cannot be meant: an unknown cursor, `first: -1`."""

    code = "BAD_USER_INPUT"


class CursorTooOld(RequestError):
    """Raised for a cursor of the event log behind which events were removed, or which is of a history that was lost in
    a restore: its client has to read anew."""

    code = "CURSOR_TOO_OLD"


class Unauthenticated(RequestError):
    """Raised when a request needs a member and its token is missing, expired, malformed or foreign."""

    code = "UNAUTHENTICATED"


class CredentialExpired(Unauthenticated):
    """Raised for a credential that was good until its time was over: with a new one, the same may be asked again."""


class Forbidden(RequestError):
    """Raised before any SQL when a role does not grant what the operation does."""

    code = "FORBIDDEN"

    def __init__(self, message: str, *, path: Sequence[str | int] = (), field: Sequence[str] = ()) -> None:
        super().__init__(message, path=path)
        self.field = tuple(field)
        """The path into the input of what may not be written; empty where it is all of it."""


class NotFound(RequestError):
    """Raised when something the request names outside the graph is not there."""

    code = "NOT_FOUND"


class DocumentNotFound(RequestError):
    """Raised when a request names, or is, a document that is not trusted, and may run no other."""

    code = "PERSISTED_DOCUMENT_NOT_FOUND"


class Conflict(RequestError):
    """Raised when a concurrent transaction won and the operation may be sent again."""

    code = "CONFLICT"


class InDoubt(RequestError, ConnectionError):
    """Raised when the database did not answer a commit: nobody knows whether it was done.

    A ConnectionError too: what goes on when the database is back, and finds out by itself, need not know of it.
    """

    code = "TIMEOUT"

    def __init__(self) -> None:
        super().__init__(
            "The database did not answer the commit: this was done or not done, and nobody knows which."
            " Read what it was to change before you send it again."
        )


class LimitExceeded(RequestError):
    """Raised when a document or a run exceeds a limit of the settings."""

    code = "COST_LIMIT_EXCEEDED"


class KeyReused(RequestError):
    """Raised when an idempotency key comes with something else than it was first sent with."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        super().__init__(
            "This idempotency key was sent with something else before: make a new key for each request, and send it"
            " again with the retries of that request alone."
        )


class KeyInProgress(RequestError):
    """Raised when what an idempotency key stands for is being done at this moment."""

    code = "IDEMPOTENCY_IN_PROGRESS"
    retry_after_s = 1

    def __init__(self) -> None:
        super().__init__(
            "What this idempotency key was sent for is still running. Send it again in a moment, with the same key:"
            " then it is answered as it was done."
        )


class HistoryBehind(RequestError):
    """Raised when the kept history has not come to the time that is asked for: not all that happened before it can be
    read as of it. Not `whole`: it is still being made."""

    code = "TIMEOUT"
    retry_after_s = 1

    def __init__(self, *, whole: bool) -> None:
        why = "does not have all that happened before `asOf` yet" if whole else "is still being made"
        super().__init__(f"The kept history {why}. Ask again in a moment.", path=("asOf",))


class RateLimited(RequestError):
    """Raised when somebody asks more often than they may; after `retry_after_s` seconds they may again."""

    code = "RATE_LIMITED"
    retry_after_s: int

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Refused(CrmError):
    """Raised by an operation when a business rule says no; becomes `errors` of the mutation's payload.

    `code` is a member of the schema's `UserErrorCode`; `field` is the path into the mutation's input. `current` is the
    id of the record as it is, where that is what whoever asked needs to go on: of a conflict.
    """

    def __init__(self, code: str, message: str, field: Sequence[str] = (), current: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = tuple(field)
        self.current = current
