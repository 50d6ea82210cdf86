"""The proxies in front of us, whose word is taken for where a request comes from."""

from __future__ import annotations

import logging

from crm_graph.identity.origin import MAX_USER_AGENT_LENGTH, Origin, client_address, is_one_of, parse_networks
from crm_graph.kernel.settings import Settings

log = logging.getLogger(__name__)
_UNTRUSTED = (
    "a request from %s has X-Forwarded-For, and CRM_TRUSTED_PROXIES is not set: if a proxy is in front, all clients"
    " count as one address"
)


class Proxies:
    """The networks of `CRM_TRUSTED_PROXIES`. Raises OperatorError where one of them is none."""

    def __init__(self, settings: Settings) -> None:
        self._networks = parse_networks(settings.trusted_proxies)
        self._warned = False

    def are_at(self, address: str) -> bool:
        """Return whether one of them has an address."""
        return is_one_of(address, self._networks)

    def origin(self, peer: str | None, forwarded: str | None, user_agent: str | None) -> Origin:
        """Return where a request comes from, by its connection and its headers. Warns once of a proxy that nobody said
        is trusted."""
        if forwarded is not None and not self._networks and not self._warned:
            self._warned = True
            log.warning(_UNTRUSTED, peer)
        address = client_address(peer, forwarded, self._networks)
        return Origin(address, None if user_agent is None else user_agent[:MAX_USER_AGENT_LENGTH])
