"""Which addresses may be reached for a tenant: a table written down again, and every way to wrap one in another."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_graph.identity.oidc.addresses import SPECIAL_4, SPECIAL_6, UNICAST_6, is_public
from crm_graph.identity.oidc.fetch import Fetcher
from crm_graph.kernel.errors import IssuerFault

PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0"),
    *("192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0"),
    *("223.255.255.255", "2000::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111", "2a00::1"),
    *("2620:4f:8001::1", "3ffe:ffff::1", "3fff:1000::1"),
)
"""The neighbours of what is refused, and what everybody knows."""
REFUSED = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.2.1"),
    *("192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1", "198.18.0.1", "198.19.255.255"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::1.1.1.1", "::127.0.0.1", "::ffff:0:8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "100::1"),
    *("100:0:0:1::1", "2001::1", "2001:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:db8::1"),
    *("2001:1ff:ffff::1", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1"),
    *("1fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1"),
)


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("network", [*SPECIAL_4, *SPECIAL_6], ids=str)
def test_a_special_network_is_refused_from_end_to_end(network: IPv4Network | IPv6Network) -> None:
    assert not is_public(network[0])
    assert not is_public(network[-1])


def after(prefix: str, bits: int) -> Callable[[int], IPv6Address]:
    """Return what puts an IPv4 address behind so many bits of a prefix."""
    return lambda inner: IPv6Address(int(IPv6Network(prefix)[0]) | inner << 96 - bits)


def nat64(length: int, prefix: str) -> Callable[[int], IPv6Address]:
    """Return what RFC 6052 makes of an address under a prefix of a length: bits 64 to 71 stay zero."""

    def made(inner: int) -> IPv6Address:
        bits = f"{int(IPv6Network(prefix)[0]):0128b}"[:length] + f"{inner:032b}"
        whole = bits if length == 96 else f"{bits[:64]}{0:08b}{bits[64:]}"
        return IPv6Address(int(whole.ljust(128, "0"), 2))

    return made


WRAPPED: dict[str, Callable[[int], IPv6Address]] = {
    "IPv4-compatible": after("::/96", 96),
    "IPv4-translated": after("::ffff:0:0:0/96", 96),
    "NAT64": after("64:ff9b::/96", 96),
    "NAT64 of a network's own, /48": nat64(48, "64:ff9b:1::/48"),
    "NAT64 of a network's own, /56": nat64(56, "64:ff9b:1:100::/56"),
    "NAT64 of a network's own, /64": nat64(64, "64:ff9b:1:1::/64"),
    "NAT64 of a network's own, /96": nat64(96, "64:ff9b:1:1:1:1::/96"),
    "6to4": after("2002::/16", 16),
    "Teredo, the server": after("2001::/32", 32),
    "Teredo, the client": lambda inner: IPv6Address(int(IPv6Address("2001::")) | inner ^ 0xFFFFFFFF),
}
PRIVATE = st.sampled_from(SPECIAL_4).flatmap(
    lambda network: st.integers(int(network.network_address), int(network.broadcast_address))
)


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
@given(inner=PRIVATE | st.integers(0, 2**32 - 1))
def test_an_ipv4_address_within_an_ipv6_one(wrap: Callable[[int], IPv6Address], inner: int) -> None:
    """Whatever it is: where a packet to a translator leaves for, the translator decides."""
    assert not is_public(wrap(inner))


@given(inner=PRIVATE)
async def test_what_is_mapped_is_what_it_maps(inner: int) -> None:
    """The one wrapping that sockets undo by themselves."""
    fetcher = Fetcher()
    for text in (f"::ffff:{IPv4Address(inner)}", str(IPv4Address(inner)), f"{IPv6Address(0xFFFF << 32 | inner)}%eth0"):
        with pytest.raises(IssuerFault, match="its address is not a public one"):
            fetcher._check_address(text, "https", "it")
    await fetcher.aclose()
    fetcher._check_address("::ffff:8.8.8.8", "https", "it")


@given(st.integers(0, 2**128 - 1))
def test_ipv6_is_public_in_2000_3_alone(number: int) -> None:
    address = IPv6Address(number)
    (unicast,) = UNICAST_6
    assert unicast == ip_network("2000::/3")
    assert not is_public(address) or (number >> 125 == 1 and not any(address in special for special in SPECIAL_6))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_to_be_none(address: IPv4Address | IPv6Address) -> None:
    """Another table, of another author: it misses some, and what it has we must have."""
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        assert not is_public(address)
