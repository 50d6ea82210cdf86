"""The enums of API clients."""

from __future__ import annotations

from crm_graph.domains.identity.clients.enums import ClientKind, DocumentMode, OnError
from crm_graph.graph.records.enums import describe

describe(
    DocumentMode,
    "What a client may run beside trusted documents.",
    {
        "OPEN": "Any document.",
        "WARN": "Any document; one that is not trusted is counted and logged.",
        "TRUSTED_ONLY": "Trusted documents only; anything else is refused.",
    },
)
describe(
    ClientKind,
    "Whether a client can keep a secret.",
    {
        "CONFIDENTIAL": "The client runs on a server, where nobody looks into it, and has keys.",
        "PUBLIC": "The client runs with its users, in a browser or on a telephone, and has no keys.",
    },
)
describe(
    OnError,
    "What an error does to the response.",
    {
        "NULL": "The failed position is null, also where its type forbids it, and nothing else is.",
        "PROPAGATE": "Null rises to the nearest position that can be null.",
        "HALT": "The first error ends the operation: no data, and that error. Mutations after it do not run.",
    },
)

__all__ = ["ClientKind", "DocumentMode", "OnError"]
