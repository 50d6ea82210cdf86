"""Which addresses are public: what a webhook or an identity provider, whose host a tenant chose, may be reached at.

The rule is positive: an address is public where a registry says that it is handed out to somebody and routed on the
Internet, and where no narrower entry takes it back. Python's `is_global` is not asked: its table differs between patch
versions, and takes fec0::/10, 5f00::/16 and ::/96 for global. IPv6 addresses that carry an IPv4 one are refused whole,
a public one inside included: nobody has to be reached through a translator, and where a packet leaves for is the
translator's word.

Sources: IANA's special-purpose registries (RFC 6890) of IPv4 and IPv6, as of 2025-10
(https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry); for IPv6 also its
address space (.../ipv6-address-space), of which 2000::/3 alone is unicast that is handed out.

Decided in D-identity-05 (ARCHITECTURE.md).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

UNICAST_4: Final = (IPv4Network("0.0.0.0/0"),)
UNICAST_6: Final = (IPv6Network("2000::/3"),)
SPECIAL_4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private use (RFC 1918)
        "100.64.0.0/10",  # shared by carriers (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122)
        "169.254.0.0/16",  # link local, and the metadata of clouds (RFC 3927)
        "172.16.0.0/12",  # private use (RFC 1918)
        "192.0.0.0/24",  # protocol assignments: DS-Lite, NAT64's discovery, dummies (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.31.196.0/24",  # AS112: answered by whoever is next (RFC 7535)
        "192.52.193.0/24",  # AMT (RFC 7450)
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "192.168.0.0/16",  # private use (RFC 1918)
        "192.175.48.0/24",  # AS112 (RFC 7534)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved, and broadcast (RFC 1112, RFC 919)
    )
)
SPECIAL_6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID, AS112, AMT (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4: carries an IPv4 address (RFC 3056)
        "2620:4f:8000::/48",  # AS112 (RFC 7534)
        "3fff::/20",  # documentation (RFC 9637)
    )
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is unicast, handed out, and reached over the Internet by everybody alike.

    An IPv4-mapped IPv6 address is none: take the IPv4 one out first, where the socket layer would.
    """
    unicast, special = (UNICAST_4, SPECIAL_4) if address.version == 4 else (UNICAST_6, SPECIAL_6)
    return any(address in network for network in unicast) and not any(address in network for network in special)
