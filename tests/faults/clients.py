"""Clients of the live feed that keep what they received, and go on at any process from where they were."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets import Subprotocol
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.support import plain

AWAY = (OSError, TimeoutError, httpx.HTTPError, WebSocketException, EOFError)
FIELDS = {"Opportunity": "opportunityChanged", "Customer": "customerChanged"}
SILENCE_S = 10
"""The server is heard every second: one that says nothing for so long is gone, and a client goes elsewhere."""


@dataclass(frozen=True, slots=True)
class Received:
    """One change as a client got it."""

    cursor: str
    kind: str
    event: str
    record_id: str


@dataclass(slots=True)
class Client:
    """A client of one record type, over one transport, under one member."""

    name: str
    transport: str
    entity: str
    token: str
    cursor: str
    received: list[Received] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    """How each connection ended: a close code, `complete`, an error's code, or the name of what broke."""
    connected: int = 0
    heartbeats: int = 0
    """How often it was told a position."""
    addresses: list[str] = field(default_factory=list)

    @property
    def document(self) -> str:
        """What it asks."""
        field = FIELDS[self.entity]
        return f"subscription ($after: Cursor) {{ change: {field}(after: $after) {{ cursor kind event recordId }} }}"

    async def run(self, choose: Callable[[], str], pause_s: float = 0.1) -> None:
        """Stream until cancelled, from one process or another."""
        while True:
            await self.once(choose())
            await asyncio.sleep(pause_s)

    async def once(self, address: str) -> None:
        """Stream over one connection to its end."""
        self.addresses.append(address)
        streaming = self._over_websocket if self.transport == "ws" else self._over_sse
        try:
            async for answer in streaming(address):
                if not self._take(answer):
                    break
        except AWAY as error:
            self.endings.append(type(error).__name__)

    def _take(self, answer: dict[str, Any]) -> bool:
        change = (answer.get("data") or {}).get("change")
        if change is None:
            self.endings.append(answer["errors"][0]["extensions"]["code"])
            return False
        position = "-".join(change["cursor"].split("-")[:2])  # without what it belongs to
        self.received.append(Received(position, change["kind"], change["event"], change["recordId"]))
        self.cursor = change["cursor"]
        return True

    def _moves_to(self, cursor: str | None) -> None:
        """Go on from where the server says that nothing is missing: any client may, and loses what is wrong in it."""
        if cursor:
            self.cursor = cursor
            self.heartbeats += 1

    async def _over_websocket(self, address: str) -> AsyncIterator[dict[str, Any]]:
        async with connect(
            address.replace("http", "ws", 1),
            subprotocols=[Subprotocol("graphql-transport-ws")],
            open_timeout=5,
            close_timeout=1,
            ping_interval=None,
        ) as socket:
            await socket.send(
                json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {self.token}"}})
            )
            payload = {"query": self.document, "variables": {"after": self.cursor}}
            while True:
                try:
                    async with asyncio.timeout(SILENCE_S):
                        message = json.loads(await socket.recv())
                except WebSocketException:
                    self.endings.append(str(socket.close_code))
                    return
                match message["type"]:
                    case "connection_ack":
                        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
                        self.connected += 1
                    case "ping":
                        self._moves_to((message.get("payload") or {}).get("cursors", {}).get("1"))
                        with suppress(WebSocketException):  # what came before the end is still to be read
                            await socket.send('{"type": "pong"}')
                    case "next":
                        yield message["payload"]
                    case "error":
                        yield {"errors": message["payload"]}
                    case "complete":
                        self.endings.append("complete")

    async def _over_sse(self, address: str) -> AsyncIterator[dict[str, Any]]:
        headers = {
            "Accept": "text/event-stream",
            "Authorization": f"Bearer {self.token}",
            "Last-Event-ID": self.cursor,
        }
        body = {"query": self.document}
        async with (
            plain.async_client(timeout=SILENCE_S) as http,
            http.stream("POST", address, json=body, headers=headers) as response,
        ):
            self.connected += response.status_code == 200
            event, id_ = "", ""
            async for line in response.aiter_lines():
                name, _, value = line.partition(":")
                value = value.strip()
                if name == "event":
                    event = value
                elif name == "id":
                    id_ = value
                elif not line and event == "":  # a heartbeat: an id alone
                    self._moves_to(id_)
                elif not line:
                    event = ""
                elif name == "data" and event == "next":
                    answer = json.loads(value)
                    if (answer.get("data") or {}).get("change"):
                        assert answer["data"]["change"]["cursor"] == id_, "the id of a frame is its cursor"
                    yield answer
                elif name == "data" and event == "complete":
                    self.endings.append("complete")
                    return
            self.endings.append("closed")


async def until(condition: Callable[[], bool], timeout_s: float = 60) -> bool:
    """Wait until something holds; return whether it does."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - polls what others append
                await asyncio.sleep(0.02)
    return condition()


def anywhere(chance: random.Random, addresses: list[str]) -> Callable[[], str]:
    """Return what chooses a process."""
    return lambda: chance.choice(addresses)
