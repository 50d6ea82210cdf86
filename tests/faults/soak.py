"""The soak: writers, clients and faults at once, then a comparison of what was received with the log.

Which faults come, when and to whom follows from a seed; what the machine makes of it does not.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from crm_graph.kernel.cursor import LogCursor
from tests.faults.clients import Client, Received, anywhere, until
from tests.faults.expected import PREFIXES, Logged, expected, out_of_order, read_log
from tests.faults.installation import Installation, Process, installed
from tests.faults.proxy import Proxy
from tests.faults.writers import Writer, Written
from tests.support import plain

APIS, WRITERS = 4, 16
OWN_READER, TEAM_READER = "own_reader", "team_reader"
READERS = {
    OWN_READER: {"Opportunity": "OWN", "Customer": "OWN"},
    TEAM_READER: {"Opportunity": "TEAM", "Customer": "ALL"},
}
CATCH_UP_S = 90
AWAY = (
    *(OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError),
    asyncpg.TooManyConnectionsError,
)
"""What says that the database is away: the fault comes another time."""
FAULTS = ("api killed", "relay killed", "postgres killed", "connections cut", "network stalled", "worker killed")


@dataclass(slots=True)
class Report:
    """What was counted."""

    seed: int
    events: int = 0
    received: int = 0
    connections: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    written: Written = field(default_factory=Written)
    clients: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What is neither: too much, out of order, of another kind; records that were written twice, or not at all."""

    def __str__(self) -> str:
        created = sum(len(each) for each in self.written.created.values())
        return "\n".join(
            (
                f"seed {self.seed}: {self.events} events, {self.clients} clients, {self.received} changes received"
                f" over {self.connections} connections",
                f"  faults: {', '.join(f'{count} x {name}' for name, count in sorted(self.faults.items()))}",
                f"  mutations: {self.written.answered} answered, {self.written.retried} tried again, {created} created",
                f"  lost {len(self.lost)}, doubled {len(self.doubled)}, wrong {len(self.wrong)}",
                *(f"  {each}" for each in (*self.lost[:10], *self.doubled[:10], *self.wrong[:10])),
                f"  to repeat: make soak SOAK_SEED={self.seed}",
            )
        )

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong, and anything went at all."""
        return not (self.lost or self.doubled or self.wrong)


async def soak(directory: Path, seconds: float, seed: int, pause_s: float = 0.15) -> Report:
    """Run writers, clients and faults for a time, and compare."""
    report, chance = Report(seed), random.Random(seed)
    async with installed(directory, APIS, worker=True) as installation:
        addresses = [each.address for each in installation.apis]
        proxies = [await Proxy.to(each) for each in addresses]
        await _make_roles(installation)
        start, owners = await _start(installation)
        sight = await _clients(installation, start.encode(), chance)
        clients = [client for client, _ in sight]
        everywhere = [*addresses, *(each.address for each in proxies)]
        streams = [
            asyncio.create_task(each.run(anywhere(random.Random(chance.random()), everywhere))) for each in clients
        ]
        stop = asyncio.Event()
        (admin, *_), members = await installation.members("admin"), await _members(installation)
        made = _writers(installation, report, installation.token(admin), members, chance)
        writers = [asyncio.create_task(each.run(stop, pause_s)) for each in made]
        faults = _Faults(installation, proxies, chance, report)
        try:
            await faults.run(seconds)
            stop.set()
            await asyncio.gather(*writers)
            await _compare(installation, sight, start, owners, report)
        finally:
            for task in (*streams, *writers):
                task.cancel()
            ended = await asyncio.gather(*streams, return_exceptions=True)
            for proxy in proxies:
                await proxy.close()
        report.wrong += [f"a client broke: {each!r}" for each in ended if isinstance(each, Exception)]
        report.connections = sum(each.connected for each in clients)
    return report


async def _make_roles(installation: Installation) -> None:
    """Make the roles whose sight the log alone tells, by owners, and give each to a sales rep in place of their own."""
    (admin, *_), reps = await installation.members("admin"), await installation.members("sales_rep")
    async with plain.async_client(headers={"Authorization": f"Bearer {installation.token(admin)}"}) as http:
        for (role, scopes), rep in zip(READERS.items(), reps, strict=False):
            grants = [{"type": each, "verbs": [{"verb": "read", "scope": scope}]} for each, scope in scopes.items()]
            for name, input_ in (
                ("createRole", {"name": role, "grants": grants}),
                ("setMemberRoles", {"id": f"mem_{rep}", "roles": [role]}),
            ):
                type_ = f"{name[0].upper()}{name[1:]}Input!"
                query = f"mutation ($input: {type_}) {{ done: {name}(input: $input) {{ errors {{ code message }} }} }}"
                body = {"query": query, "variables": {"input": input_}}
                answer = (await http.post(installation.apis[0].address, json=body)).json()
                assert answer.get("data") == {"done": {"errors": []}}, answer


async def _members(installation: Installation) -> list[str]:
    rows = await installation.rows(
        "SELECT id FROM member WHERE workspace_id = $1 AND status = 'ACTIVE' ORDER BY id", installation.workspace_id
    )
    return [each[0].hex for each in rows]


async def _start(installation: Installation) -> tuple[LogCursor, dict[str, dict[str, str | None]]]:
    """Return the position before everything that comes, and who owns what is there now."""
    (row,) = await installation.rows("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1")
    owners: dict[str, dict[str, str | None]] = {}
    for entity in ("Opportunity", "Customer"):
        rows = await installation.rows(
            f"SELECT id, owner_id FROM {entity.lower()} WHERE workspace_id = $1",
            installation.workspace_id,
        )
        owners[entity] = {each[0].hex: each[1].hex if each[1] is not None else None for each in rows}
    return LogCursor(row[0], (1 << 63) - 1), owners


async def _circle(installation: Installation, member_id: str) -> frozenset[str]:
    """Return the members in the teams that a member manages or belongs to, and in those below; and the member."""
    teams = await installation.rows(
        "SELECT id, parent_id, manager_id FROM team WHERE workspace_id = $1", installation.workspace_id
    )
    members = await installation.rows(
        "SELECT id, team_id FROM member WHERE workspace_id = $1", installation.workspace_id
    )
    own = {each["team_id"] for each in members if each["id"].hex == member_id}
    managed = {each["id"] for each in teams if each["manager_id"] is not None and each["manager_id"].hex == member_id}
    inside = managed | own
    while more := {each["id"] for each in teams if each["parent_id"] in inside} - inside:
        inside |= more
    return frozenset({member_id, *(each["id"].hex for each in members if each["team_id"] in inside)})


async def _clients(
    installation: Installation, start: str, chance: random.Random
) -> list[tuple[Client, frozenset[str] | None]]:
    """Return clients of all roles, types and transports, each with the owners whose records it sees."""
    (admin, *_), (own, *_) = await installation.members("admin"), await installation.members(OWN_READER)
    team, *_ = await installation.members(TEAM_READER)
    made: list[tuple[Client, frozenset[str] | None]] = []
    circle = await _circle(installation, team)
    assert len(circle) > 1, "a team of one proves nothing"
    for transport in ("ws", "sse"):
        for name, member, entity, owners in (
            ("admin", admin, "Opportunity", None),
            ("admin", admin, "Customer", None),
            ("own", own, "Opportunity", frozenset({own})),
            ("own", own, "Customer", frozenset({own})),
            ("team", team, "Opportunity", circle),
            ("team", team, "Customer", None),
        ):
            client = Client(f"{name}/{entity}/{transport}", transport, entity, installation.token(member), start)
            made.append((client, owners))
    chance.shuffle(made)
    return made


def _writers(
    installation: Installation, report: Report, token: str, owners: list[str], chance: random.Random
) -> list[Writer]:
    shared: dict[str, list[str]] = {"Opportunity": [], "Customer": []}
    addresses = [each.address for each in installation.apis]
    return [
        Writer(
            number,
            token,
            owners,
            random.Random(chance.random()),
            anywhere(random.Random(chance.random()), addresses),
            shared,
            report.written,
        )
        for number in range(WRITERS)
    ]


@dataclass(slots=True)
class _Faults:
    """Does harm for a time, one fault after the other; what was killed comes back."""

    installation: Installation
    proxies: list[Proxy]
    chance: random.Random
    report: Report
    _reviving: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, seconds: float) -> None:
        """Do harm, then wait until everything runs again. Every kind of fault comes before one comes again."""
        async with asyncio.timeout(seconds * 4 + 600):
            ends = asyncio.get_running_loop().time() + seconds
            coming: list[str] = []
            while asyncio.get_running_loop().time() < ends or len(self.report.faults) < len(FAULTS):
                await asyncio.sleep(self.chance.uniform(0.5, 2.5))
                if not coming:
                    coming = self.chance.sample(FAULTS, len(FAULTS))
                name = coming.pop()
                with suppress(*AWAY):
                    await self._do(name)
                    self.report.faults[name] += 1
            await asyncio.gather(*self._reviving)
            for each in self.installation.apis:
                await each.ready()

    async def _do(self, name: str) -> None:
        match name:
            case "api killed":
                self._kill(self.chance.choice(self.installation.apis))
            case "relay killed":
                holder = await self.installation.relay_holder()
                if holder is None:
                    raise OSError("nobody relays right now")
                self._kill(holder)
            case "worker killed":
                assert self.installation.worker is not None
                self._kill(self.installation.worker)
            case "postgres killed":
                await self.installation.crash_postgres()
            case "connections cut":
                await self.installation.cut_connections(self.chance.randint(1, 8))
            case _:
                await self.chance.choice(self.proxies).stall(self.chance.uniform(0.5, 2))

    def _kill(self, process: Process) -> None:
        process.kill()

        async def revive(after_s: float) -> None:
            await asyncio.sleep(after_s)
            await process.ready()

        task = asyncio.create_task(revive(self.chance.uniform(0, 2)))
        self._reviving.add(task)
        task.add_done_callback(self._reviving.discard)


async def _compare(
    installation: Installation,
    sight: Sequence[tuple[Client, frozenset[str] | None]],
    start: LogCursor,
    owners: dict[str, dict[str, str | None]],
    report: Report,
) -> None:
    """Compare what every client received with what the log says, and what was created with what is there."""
    logs = {}
    for entity in owners:
        log = logs[entity] = [
            each for each in await read_log(installation, entity, owners[entity]) if each.cursor > start
        ]
        report.events += len(log)
        report.wrong += [f"{entity} {id_}: its events are not in their order" for id_ in out_of_order(log)]
        _compare_created(entity, log, report)
    for client, seen in sight:
        wanted = expected(logs[client.entity], client.entity, start, seen)
        report.clients += 1
        if wanted:
            await until(lambda c=client, last=wanted[-1]: last in c.received[-5:], CATCH_UP_S)  # type: ignore[misc]
    await asyncio.sleep(0.5)  # what comes too often comes now
    for client, seen in sight:
        _compare_client(client, expected(logs[client.entity], client.entity, start, seen), report)


def _compare_client(client: Client, wanted: list[Received], report: Report) -> None:
    got = client.received
    report.received += len(got)
    by_cursor = {each.cursor: each for each in got}
    report.lost += [f"{client.name}: {each}" for each in wanted if each.cursor not in by_cursor]
    times = Counter(each.cursor for each in got)
    report.doubled += [f"{client.name}: {cursor} came {count} times" for cursor, count in times.items() if count > 1]
    known = {each.cursor: each for each in wanted}
    for each in got:
        if known.get(each.cursor) != each:
            report.wrong.append(f"{client.name}: got {each}, expected {known.get(each.cursor)}")
    order = [LogCursor.decode(each.cursor) or start_of_log for each in got]
    if order != sorted(order):
        report.wrong.append(f"{client.name}: not in the order of the log")


start_of_log = LogCursor(0, 0)


def _compare_created(entity: str, log: Sequence[Logged], report: Report) -> None:
    made = Counter(f"{PREFIXES[entity]}_{each.entity_id}" for each in log if each.type == f"{entity}Created")
    answered = report.written.created[entity]
    report.wrong += [f"{id_} was created {count} times" for id_, count in made.items() if count > 1]
    report.wrong += [f"{id_} was answered, and is not in the log" for id_ in answered - made.keys()]
    report.wrong += [f"{id_} is in the log, and was never answered" for id_ in made.keys() - answered]
