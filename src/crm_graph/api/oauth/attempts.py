"""Guesses, counted in the database: at the secrets of clients, and at the codes that devices show."""

from __future__ import annotations

from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.grants import Owner
from crm_graph.domains.identity.accounts.meter import Kind, count, count_address, of_member


async def count_wrong_secret(exchange: Exchange) -> None:
    """Count one failed authentication of a client from an address. Raises RateLimited over the limit.

    After the fact: a secret has 256 bits, so it is not its guessing that must be kept slow, only its cost; and clients
    that show the right one pay nothing.
    """
    counted = await count_address(exchange.services, Kind.CLIENT_SECRET, exchange.origin.address)
    if counted is not None:
        counted.check()


async def count_user_code(exchange: Exchange, owner: Owner) -> None:
    """Count one look at a user code, before it is looked up, by a member and by an address. Raises RateLimited."""
    services, settings = exchange.services, exchange.services.settings
    member = of_member(owner.person.workspace_id, owner.person.member_id)
    (await count(services, Kind.USER_CODE, member, settings.attempts_per_account)).check()
    counted = await count_address(services, Kind.USER_CODE, exchange.origin.address)
    if counted is not None:
        counted.check()
