"""The listening socket of a server: its address, how the kernel watches those who are connected, and how many there may
be."""

from __future__ import annotations

import resource
import socket

from crm_graph.kernel.errors import OperatorError

BACKLOG = 2_048
PROBES = 4
"""How often a silent peer is asked before its connection is ended."""
MAX_FILES = 65_536
OWN_FILES = 256
"""Files that a process has open beside its clients' connections: pools, logs, modules, exports."""


def listen_together(host: str, port: int, keepalive_s: int, count: int) -> list[socket.socket]:
    """Return listening sockets of one port, among which the kernel shares connections out. Raises as `listen` does."""
    alone = listen(host, port, keepalive_s)
    if count == 1:
        return [alone]
    alone.close()  # the port was free: sockets that share it would not hear of others that do
    return [listen(host, port, keepalive_s, shared=True) for _ in range(count)]


def listen(host: str, port: int, keepalive_s: int, *, shared: bool = False, option: str = "--port ") -> socket.socket:
    """Return a listening socket. Raises OperatorError when the port is taken, before anything else is started; `shared`
    lets other sockets of this process listen on it too; `option` is how the port is given.

    Connections inherit its options: a peer that was switched off, or whose network has gone, says no goodbye, and is
    asked by the kernel after `keepalive_s` whether it is there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": keepalive_s, "TCP_KEEPINTVL": max(1, keepalive_s // PROBES), "TCP_KEEPCNT": PROBES}
    for name, value in options.items():
        if hasattr(socket, name):  # macOS has other names for some
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        fix = f"stop what uses the port, or choose another: `{option}{port + 1}`"
        if isinstance(error, socket.gaierror):
            fix = "name an address of this machine: `127.0.0.1`, or `0.0.0.0` for all of them"
        raise OperatorError(
            f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}", fix
        ) from error
    listener.setblocking(False)
    return listener


def room_for_connections() -> int:
    """Let the process open more files where it may, and return how many connections that leaves room for.

    Many systems begin a process with 1,024, and leave it to the process to ask for more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):  # macOS says "unlimited" and means less
            pass
    files = MAX_FILES if soft == resource.RLIM_INFINITY else soft
    return max(1, files - OWN_FILES)
