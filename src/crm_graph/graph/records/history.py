"""The history of a record in the schema: every type whose versions are kept has a field `history`."""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.db.sizes import SIZE_KEY, Letters
from crm_graph.graph.records.enums import describe
from crm_graph.identity.viewer import ActorKind

describe(
    ActorKind,
    "Who made a change.",
    {
        "MEMBER": "A member, possibly by an API client.",
        "CLIENT": "An API client by itself, as its service member.",
        "RULE": "A rule of the workspace.",
        "CONTACT": "A contact of a customer: by a form, say.",
        "SYSTEM": "The installation itself, or somebody whom it does not know.",
    },
)

SHOWN_LETTERS = 1_000
"""So much of a longer text is shown."""
_SHOWN = {SIZE_KEY: Letters(SHOWN_LETTERS + 1)}


@strawberry.type(description="What a change did to one field of a record.")
class FieldChange:
    """Values as texts: a history is read by people, and fields have many types."""

    field: str = strawberry.field(description="The field that changed: `owner`.")
    old: str | None = strawberry.field(
        name="from",
        description="What the field held before, as the API spells it, a record by its id, money as `12.5 EUR`, a mask"
        " where you see no more; the first 1,000 letters of a longer text. Null for nothing, and for what you may not"
        " see.",
        metadata=_SHOWN,
    )
    new: str | None = strawberry.field(
        name="to", description="What the field holds since then, in the same form.", metadata=_SHOWN
    )


@strawberry.type(description="A change of a record: by whom, when, and what of it you may see.")
class HistoryEntry:
    """Made by `reading/history.py`. The member and the client are added by their slices."""

    at: datetime = strawberry.field(description="When it happened.")
    event: str = strawberry.field(description="What happened, as listed in schema/events.json.")
    actor_kind: ActorKind | None = strawberry.field(description="Who did it.")
    client_id: strawberry.ID | None = strawberry.field(
        description="The id of the API client by which it was done, `apc_...`; null where it was none."
    )
    changes: list[FieldChange] = strawberry.field(
        description="The fields that changed, of those that you may see on the record as it was."
    )
