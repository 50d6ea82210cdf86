"""The share of live work that each member and each workspace has: forms of filters, cost of selections, judging.

An event costs a statement for each form of filter (`groups.py`), whoever asked, and an execution for each selection. So
their number is bounded where a subscription begins, forms are judged by turns, one of each member, and whoever has used
up a minute's seconds of the database is judged later than others.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from crm_graph.api.admission.payers import Payer
from crm_graph.kernel.errors import RateLimited
from crm_graph.kernel.settings import Settings
from crm_graph.kernel.shares import Shares

RETRY_AFTER_S = 10
LONGEST_PAUSE_S = 10
UNBOUNDED = sys.maxsize
"""Who waits to judge is a family, and these are bounded by themselves."""


class LiveShares:
    """The live work of a process, by whom it is for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._forms: dict[Hashable, Counter[Hashable]] = {}
        self._costs: Counter[Hashable] = Counter()
        self.refused = 0
        self.judging = Shares(settings.live_concurrency, max(1, settings.live_concurrency // 8), UNBOUNDED)
        """Who judges: an eighth of the places to one member, since the first event of a form compiles its plan."""

    def check(self, workspace_id: str, member_id: str, form: Hashable, cost: int) -> None:
        """Raise RateLimited where a subscription is one too many for its member, or its workspace."""
        settings, member = self._settings, (workspace_id, member_id)
        self._check_forms(member, form, settings.max_live_forms_per_member, "A member")
        self._check_forms(workspace_id, form, settings.max_live_forms_per_workspace, "A workspace")
        if self._costs[member] + cost > settings.max_live_cost_per_member:
            most = settings.max_live_cost_per_member
            self._refuse(f"All that a member subscribes to at once may cost {most:,}, and this costs {cost:,} more")

    @contextmanager
    def held(self, workspace_id: str, member_id: str, form: Hashable, cost: int) -> Iterator[None]:
        """Hold the place of a subscription. Raises RateLimited."""
        self.check(workspace_id, member_id, form, cost)
        member = workspace_id, member_id
        self._costs[member] += cost
        for holder in (member, workspace_id):
            self._forms.setdefault(holder, Counter())[form] += 1
        try:
            yield
        finally:
            self._costs[member] -= cost
            if not self._costs[member]:
                del self._costs[member]
            for holder in (member, workspace_id):
                forms = self._forms[holder]
                forms[form] -= 1
                if not forms[form]:
                    del forms[form]
                if not forms:
                    del self._forms[holder]

    def _check_forms(self, holder: Hashable, form: Hashable, most: int, who: str) -> None:
        forms = self._forms.get(holder)
        if forms is not None and form not in forms and len(forms) >= most:
            self._refuse(f"{who} may subscribe with {most} different forms of filters at once; values do not count")

    def _refuse(self, why: str) -> None:
        self.refused += 1
        raise RateLimited(f"{why}: end a subscription first.", RETRY_AFTER_S)


async def patience(payer: Payer) -> None:
    """Wait while somebody has used up their seconds: who falls too far behind is cut off by their queue."""
    wait_s = payer.wait_s()
    if wait_s > 0:
        await asyncio.sleep(min(wait_s, LONGEST_PAUSE_S))
