"""Writers: real mutations on records that they share, tried again until they are answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from crm_graph.kernel.ids import new_id
from tests.support import plain

UNCERTAIN = {"INTERNAL", "UNAVAILABLE", "TIMEOUT", "RATE_LIMITED"}
"""Codes after which nobody knows whether it was written."""
SETTLED = {"NOT_FOUND", "TAKEN", "CONFLICT"}
"""Refusals that a writer among others meets."""


@dataclass(slots=True)
class Written:
    """What all writers did together."""

    created: dict[str, set[str]] = field(default_factory=lambda: {"Opportunity": set(), "Customer": set()})
    """The ids of creations that were answered, whatever number of tries it took."""
    answered: int = 0
    retried: int = 0
    unexpected: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Writer:
    """One writer, who writes as an administrator."""

    number: int
    token: str
    owners: list[str]
    chance: random.Random
    choose: Callable[[], str]
    shared: dict[str, list[str]]
    """Records that any writer changes, by type."""
    written: Written

    async def run(self, stop: asyncio.Event, pause_s: float) -> None:
        """Write until told to stop; what was begun is brought to an end."""
        count = 0
        async with plain.async_client(timeout=15, headers={"Authorization": f"Bearer {self.token}"}) as http:
            while not stop.is_set():
                count += 1
                await self._one(http, f"w{self.number}-{count}")
                await asyncio.sleep(pause_s * self.chance.random() * 2)

    async def _one(self, http: httpx.AsyncClient, name: str) -> None:
        entity = self.chance.choice(("Opportunity", "Opportunity", "Customer"))
        known = self.shared[entity]
        what = self.chance.random()
        if what < 0.3 or len(known) < 5:
            prefix = "opp" if entity == "Opportunity" else "cus"
            id_ = f"{prefix}_{new_id()}"
            codes = await self._until_answered(
                http, f"create{entity}", {"id": id_, "name": name, "ownerId": self._owner()}
            )
            if codes <= {"TAKEN"}:  # TAKEN: an earlier try was committed, and its answer lost
                self.written.created[entity].add(id_)
                known.append(id_)
            else:
                self.written.unexpected.append(f"create{entity}: {codes}")
            return
        # Most writes meet on few records, where locks and the order of events matter.
        id_ = self.chance.choice(known[-8:] if self.chance.random() < 0.7 else known)
        if what < 0.4:
            known.remove(id_)
            input_, verb = {"id": id_}, "delete"
        elif what < 0.75:
            input_, verb = {"id": id_, "ownerId": self._owner()}, "update"
        else:
            input_, verb = {"id": id_, "name": name}, "update"
        codes = await self._until_answered(http, f"{verb}{entity}", input_)
        if not codes <= SETTLED:
            self.written.unexpected.append(f"{verb}{entity}: {codes}")

    def _owner(self) -> str:
        return f"mem_{self.chance.choice(self.owners)}"

    async def _until_answered(self, http: httpx.AsyncClient, field_: str, input_: dict[str, Any]) -> set[str]:
        """Return the codes of the errors by which a mutation was refused, none where it succeeded."""
        type_ = f"{field_[0].upper()}{field_[1:]}Input!"
        body = {
            "query": f"mutation ($input: {type_}) {{ done: {field_}(input: $input) {{ errors {{ code }} }} }}",
            "variables": {"input": input_},
        }
        while True:
            codes = await self._try(http, body)
            if codes is not None:
                self.written.answered += 1
                return codes
            self.written.retried += 1
            await asyncio.sleep(0.2)

    async def _try(self, http: httpx.AsyncClient, body: dict[str, Any]) -> set[str] | None:
        try:
            answer = (await http.post(self.choose(), json=body)).json()
        except (httpx.HTTPError, ValueError):
            return None
        if "errors" in answer:
            codes = {each["extensions"]["code"] for each in answer["errors"]}
            return None if codes & UNCERTAIN else codes
        return {each["code"] for each in answer["data"]["done"]["errors"]}
