"""Which names `crm-graph dev` answers to: those of this machine.

The attack (DNS rebinding): a page of evil.example has its name resolve to 127.0.0.1, and is then of the same origin as
our server, whose page holds an administrator's token. Its requests still name evil.example as their Host. An address
in figures is nobody's to resolve, so where `--host` opens the server to a network, such a Host is answered too.

Decided in D-api-27 (ARCHITECTURE.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

LOCALHOST = "localhost"
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:\[\]@/\\]+))(?::[0-9]{1,5})?\Z", re.IGNORECASE)
MISDIRECTED = (
    b"`crm-graph dev` answers to the names of this machine only: open http://127.0.0.1:PORT, with the port of this"
    b" address, or run `serve`.\n"
)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts that requests may name. `is_open` where the server listens beyond this machine."""

    is_open: bool = False

    @classmethod
    def listening_on(cls, host: str) -> Hosts:
        """Return the hosts of a server that listens on an address or name."""
        return cls(is_open=not is_loopback(host))

    def allow(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Return whether a request with these headers is meant for this machine. Each of several Hosts must be."""
        named = [value.decode("latin-1") for name, value in headers if name == b"host"]
        return bool(named) and all(is_loopback(host_of(host)) or self._is_address(host_of(host)) for host in named)

    def _is_address(self, host: str) -> bool:
        return self.is_open and _address(host) is not None


def is_near(host: str | None, peer: str | None) -> bool:
    """Return whether a request names this machine and comes from it: then it may be shown an administrator's token."""
    return host is not None and is_loopback(host_of(host)) and peer is not None and is_loopback(peer)


def is_loopback(host: str) -> bool:
    """Return whether a name or an address without a port is this machine's own."""
    name = host.lower().removesuffix(".")
    if name == LOCALHOST or name.endswith(f".{LOCALHOST}"):
        return True
    address = _address(name)
    return address is not None and (getattr(address, "ipv4_mapped", None) or address).is_loopback


def host_of(value: str) -> str:
    """Return the name or address in a Host header, without brackets and port; nothing of one that is malformed."""
    match = _HOST.match(value)
    return "" if match is None else match[1] or match[2]


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
