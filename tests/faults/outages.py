"""What can happen to a database, each as it happens, and how much an API process says of it.

`python -m tests.faults.outages` prints a table: lines of log per failed request.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg
import httpx

from tests.faults.installation import Installation, installed
from tests.support import plain

READ = "{ customers(first: 2) { totalCount nodes { id owner { name } } } }"
WRITE = """
    mutation ($name: String!, $text: String!) {
        createCustomer(input: {name: $name, website: $text}) { customer { id } errors { code } }
    }
"""
TEXT_LETTERS = 1_500
AT_ONCE = 20
ROUNDS = 3
DISK_MB = 320
Cause = Callable[[Installation], AbstractAsyncContextManager[None]]


def postmaster(made: Installation) -> tuple[Path, int]:
    """Return the file of the postmaster and its process."""
    (pid_file,) = made.data.glob("pg-*/postmaster.pid")
    return pid_file, int(pid_file.read_text().partition("\n")[0])


async def _stop(made: Installation) -> Path:
    pid_file, pid = postmaster(made)
    os.kill(pid, signal.SIGINT)
    while pid_file.exists():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)
    return pid_file.parent


@asynccontextmanager
async def stopped(made: Installation) -> AsyncIterator[None]:
    """Postgres is shut down and started again."""
    await _stop(made)
    yield
    await asyncio.to_thread(made.revive)


@asynccontextmanager
async def read_only(made: Installation) -> AsyncIterator[None]:
    """Postgres comes back as a standby, as a primary that was demoted; then as the primary again, in its own log."""
    cluster = await _stop(made)
    signal_file = cluster / "standby.signal"
    signal_file.touch()
    owner = cluster.stat()
    os.chown(signal_file, owner.st_uid, owner.st_gid)
    await asyncio.to_thread(made.revive)
    yield
    await _stop(made)
    signal_file.unlink()
    await asyncio.to_thread(made.revive)


@asynccontextmanager
async def crowded(made: Installation, *, cut: bool = True) -> AsyncIterator[None]:
    """Others hold every connection of the server; with `cut` those of our processes too."""
    held: list[asyncpg.Connection] = []
    settings = {"application_name": "others"}
    ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'crm-graph'"
    try:
        while True:
            try:
                held.append(await asyncpg.connect(made.url, server_settings=settings))
            except asyncpg.TooManyConnectionsError:
                if not cut or not await held[0].fetchval(ours):
                    break
        yield
    finally:
        for connection in held:
            connection.terminate()


@asynccontextmanager
async def cut(made: Installation) -> AsyncIterator[None]:
    """Every connection of our processes is ended again and again."""

    async def cutting() -> None:
        while True:
            await made.cut_connections(1_000)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(cutting())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def not_let_in(made: Installation) -> AsyncIterator[None]:
    """The users of our processes may not sign in any more, as after a password was changed; then they may again."""
    users = [process.name for process in (*made.apis, made.worker) if process is not None]
    for user in users:
        await made.rows(f'ALTER ROLE "{user}" NOLOGIN')
    await made.cut_connections(1_000)
    yield
    for user in users:
        await made.rows(f'ALTER ROLE "{user}" LOGIN')


@asynccontextmanager
async def disk_full(made: Installation) -> AsyncIterator[None]:
    """Somebody else's file takes what is left of the disk."""
    ballast = made.data / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65_536))
    yield
    ballast.unlink()


@contextmanager
def small_disk(directory: Path, size_mb: int = DISK_MB) -> Iterator[None]:
    """Mount a disk of a few megabytes at a directory; raises CalledProcessError for who may not."""
    directory.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(directory)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True, capture_output=True)


CAUSES: dict[str, Cause] = {
    "stopped": stopped,
    "connections cut": cut,
    "no connection free": crowded,
    "not let in": not_let_in,
    "read-only": read_only,
    "disk full": disk_full,
}


async def ask(client: httpx.AsyncClient, query: str) -> httpx.Response:
    """Send an operation; each write has a text of its own that no compression makes small."""
    variables = {
        "name": f"N {secrets.token_hex(4)}",
        "text": f"https://example.com/{secrets.token_urlsafe(TEXT_LETTERS)[:TEXT_LETTERS]}",
    }
    return await client.post("/graphql", json={"query": query, "variables": variables if query is WRITE else {}})


async def burst(client: httpx.AsyncClient, query: str) -> list[httpx.Response]:
    """Send an operation many times at once."""
    return list(await asyncio.gather(*(ask(client, query) for _ in range(AT_ONCE))))


def codes(answer: httpx.Response) -> set[str]:
    """Return the codes of the errors of an answer."""
    return {error["extensions"]["code"] for error in answer.json().get("errors", ())}


@asynccontextmanager
async def client_of(made: Installation) -> AsyncIterator[httpx.AsyncClient]:
    """Lend a client of an administrator."""
    (admin, *_) = await made.members("admin")
    headers = {"Authorization": f"Bearer {made.token(admin)}"}
    address = made.apis[0].address.removesuffix("/graphql")
    async with plain.async_client(base_url=address, headers=headers, timeout=60) as client:
        yield client


async def works(client: httpx.AsyncClient) -> None:
    """Wait until everything is answered again."""
    async with asyncio.timeout(90):
        while True:
            answers = [*await burst(client, READ), *await burst(client, WRITE)]
            if all(answer.status_code == 200 and not codes(answer) for answer in answers):
                return
            await asyncio.sleep(0.2)


async def measure(name: str, made: Installation) -> None:
    """Print how much was said in one outage."""
    async with client_of(made) as client:
        await works(client)
        log = made.apis[0].log
        before = len(log.read_text(errors="replace").splitlines())
        answers: Counter[str] = Counter()
        async with CAUSES[name](made):
            for _ in range(ROUNDS):
                for query in (READ, WRITE):
                    for answer in await burst(client, query):
                        answers[f"{answer.status_code} {' '.join(sorted(codes(answer)))}".strip()] += 1
        await works(client)
        await asyncio.sleep(8)
    lines = log.read_text(errors="replace").splitlines()[before:]
    failed = sum(count for kind, count in answers.items() if kind != "200")
    print(f"{name}: {failed} of {answers.total()} failed, {len(lines)} lines, {len(lines) / max(1, failed):.2f} each")
    print("  ", dict(answers))
    if os.environ.get("OUTAGES_SAY"):
        print("\n".join(lines[:20]))


async def _main() -> None:
    for name in CAUSES:
        with tempfile.TemporaryDirectory(prefix="crm-outages-") as directory, small_disk(Path(directory) / "data"):
            Path(directory).chmod(0o755)
            async with installed(Path(directory), 1) as made:
                await measure(name, made)


if __name__ == "__main__":
    asyncio.run(_main())
