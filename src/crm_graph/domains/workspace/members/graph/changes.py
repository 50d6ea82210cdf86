"""What the changes of all records have in common beside `graph.live.Change`: a member who made them."""

from __future__ import annotations

import strawberry

from crm_graph.domains.workspace.members.graph.types import Member
from crm_graph.graph.changes.live import Change
from crm_graph.graph.records.record import by_key

AS_IT_IS = "as it is now; null when it was deleted, or left your filter or your sight."
THAT_MATCH = "that match, in the order of the log: none lost, none twice. Resume with `after`."
"""How the slices end what they say of the record of a change, and of a subscription."""


@strawberry.type
class MemberChange(Change):
    """A change with the member who made it."""

    actor: Member | None = by_key(
        "actor_key", "The member who made the change; null where you may not see that member, or nobody did."
    )
