"""Where a request came from: kept with every event, so that the audit trail can tell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from crm_graph.kernel.errors import OperatorError

Network: TypeAlias = IPv4Network | IPv6Network
MAX_USER_AGENT_LENGTH = 200
MAX_HOPS = 20
MAX_FORWARDED_LENGTH = 1_000


@dataclass(frozen=True, slots=True)
class Origin:
    """The address and program behind a request. `address` is None where there is none: a command, a job."""

    address: str | None = None
    user_agent: str | None = None


NOWHERE = Origin()


def parse_networks(text: str, variable: str = "CRM_TRUSTED_PROXIES") -> tuple[Network, ...]:
    """Return the networks of a variable. Raises OperatorError for one that is none."""
    try:
        return tuple(ip_network(network.strip(), strict=False) for network in text.split(",") if network.strip())
    except ValueError as error:
        raise OperatorError(
            f"{variable}={text!r}: {error}",
            "set it to networks, separated by commas, for example `10.0.0.0/8`",
        ) from None


@lru_cache(10_000)
def client_address(peer: str | None, forwarded: str | None, proxies: tuple[Network, ...]) -> str | None:
    """Return the address of the client: the peer's, or where that is one of our proxies the last address of
    `X-Forwarded-For` that is none of them. What stands before that one, anybody can have written."""
    address = peer
    hops = [hop.strip() for hop in (forwarded or "")[-MAX_FORWARDED_LENGTH:].split(",")[-MAX_HOPS:] if hop.strip()]
    while address is not None and hops and is_one_of(address, proxies):
        hop = _canonical(hops.pop())
        if hop is None:
            return address
        address = hop
    return None if address is None else _canonical(address)


@lru_cache(10_000)
def is_one_of(address: str, networks: tuple[Network, ...]) -> bool:
    """Return whether an address is in one of the networks."""
    canonical = _canonical(address)
    return canonical is not None and any(ip_address(canonical) in network for network in networks)


def _canonical(address: str) -> str | None:
    """Return an address in its one spelling, an IPv4 one mapped into IPv6 as IPv4; None for what is none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
