"""What a client may run, whether it can keep a secret, and what an error does to its answers."""

from __future__ import annotations

from enum import Enum


class DocumentMode(Enum):
    """What a client may run beside trusted documents."""

    OPEN = "OPEN"
    WARN = "WARN"
    TRUSTED_ONLY = "TRUSTED_ONLY"


class ClientKind(Enum):
    """Whether a client can keep a secret (RFC 6749, section 2.1)."""

    CONFIDENTIAL = "CONFIDENTIAL"
    PUBLIC = "PUBLIC"


class OnError(Enum):
    """What an error does to the answers of a client that does not say it itself."""

    NULL = "NULL"
    PROPAGATE = "PROPAGATE"
    HALT = "HALT"
