"""What is sent to which server: for each operation, the requests of every connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tests.benchmarks import operations
from tests.benchmarks.dataset import Actor, DataSet
from tests.benchmarks.load import Place, Script, request_bytes
from tests.benchmarks.servers import OURS, OURS_AS_REP, Server
from tests.benchmarks.settings import CONNECTIONS


@dataclass(frozen=True, slots=True)
class Target:
    """A server under one operation. `samples` are the requests whose answers are compared; they change nothing, or
    undo what they changed."""

    name: str
    server: Server
    scripts: list[Script]
    samples: list[bytes]


def _hex(prefix: str, id_: str) -> str:
    return f"{prefix}_{id_.replace('-', '')}"


class Requests:
    """Makes the requests of one operation; deals are moved back and forth, each by one connection alone."""

    def __init__(self, operation: str, data: DataSet) -> None:
        self._operation = operation
        self._data = data
        self._places = {actor.member: [Place() for _ in range(CONNECTIONS)] for actor in (data.admin, data.rep)}

    def target(self, name: str, server: Server) -> Target:
        """Return what a server is sent."""
        actor = self._data.rep if name == OURS_AS_REP else self._data.admin
        if self._operation != "move":
            request = self._request(name, actor, self._read(name, actor))
            return Target(name, server, [Script([request]) for _ in range(CONNECTIONS)], [request])
        scripts = []
        for number, place in enumerate(self._places[actor.member]):
            own = actor.moves[number::CONNECTIONS]
            steps = [self._move(name, each.opportunity, each.there) for each in own]
            steps += [self._move(name, each.opportunity, each.here) for each in own]
            scripts.append(Script([self._request(name, actor, step) for step in steps], place))
        requests = scripts[0].requests
        return Target(name, server, scripts, [requests[0], requests[len(requests) // 2]])

    def _request(self, name: str, actor: Actor, variables: Mapping[str, str]) -> bytes:
        documents = {
            OURS: operations.OURS,
            OURS_AS_REP: operations.OURS,
            "postgraphile": operations.POSTGRAPHILE,
            "mercurius": operations.MERCURIUS,
            "strawberry": operations.STRAWBERRY,
        }
        if name not in documents:
            return request_bytes(f"/{self._operation}", json.dumps({"variables": variables}).encode(), {})
        body = json.dumps({"query": documents[name][self._operation], "variables": variables}).encode()
        token = {"Authorization": f"Bearer {actor.token}"} if name in (OURS, OURS_AS_REP) else {}
        return request_bytes("/graphql", body, token)

    def _read(self, name: str, actor: Actor) -> dict[str, str]:
        found = {"id": actor.customer if _wants_uuid(name) else _hex("cus", actor.customer)}
        if self._operation != "point":
            found = {}
        if name == "postgraphile":
            found["workspace"] = self._data.workspace
        return found

    def _move(self, name: str, opportunity: str, stage: str) -> dict[str, str]:
        if _wants_uuid(name):
            return {"id": opportunity, "stage": stage}
        return {"id": _hex("opp", opportunity), "stage": _hex("stg", stage)}


def _wants_uuid(name: str) -> bool:
    return name in {"postgraphile", "mercurius", "strawberry"}
