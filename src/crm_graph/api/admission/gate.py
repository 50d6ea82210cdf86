"""Who comes in, how often, and with which operation: from a credential to claims. What costs much before that is
metered by address.

A credential that was verified before costs a look-up. One that was not is a signature to check or a row to read, so an
address that keeps sending wrong ones is refused before the next is looked at; parsing a document to see whether it is
public counts as a request of the address.
"""

from __future__ import annotations

from dataclasses import dataclass

from crm_graph.api.admission.rates import Rates, Spending, network_of
from crm_graph.api.body import GraphQLRequest
from crm_graph.api.documents.cache import DocumentError, free
from crm_graph.api.documents.limits import LimitError, check_cost, check_values
from crm_graph.api.documents.public import is_public
from crm_graph.api.documents.trusted import TrustedDocuments
from crm_graph.graph.running.execution import Operation
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.tokens import ANONYMOUS, Claims
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.settings import Settings


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who was let in, and what their request is taken from."""

    claims: Claims
    spending: Spending


class Admission:
    """The gate of HTTP and WebSocket."""

    def __init__(
        self, authenticator: Authenticator, trusted: TrustedDocuments, public: frozenset[str], settings: Settings
    ) -> None:
        self._authenticator = authenticator
        self._trusted = trusted
        self._public = public
        self._settings = settings
        self.rates = Rates(settings.rate_entries)

    async def admit(self, request: GraphQLRequest, credential: str | None, address: str | None) -> Admitted:
        """Let a request in and count it. Raises Unauthenticated and RateLimited.

        What asks for nothing but what is public is let in as ANONYMOUS whatever it shows: nobody is kept from signing
        in by a token of a session that is over, and no such mutation is executed again for a viewer who changed.
        """
        try:
            claims = await self.authenticate(credential, address)
            spending = await self.spend_request(claims)
        except Unauthenticated:
            spending = self._of_address(address)
            spending.take_request()
            if not self._is_public(request):
                raise
            return Admitted(ANONYMOUS, spending)
        return Admitted(ANONYMOUS if self._is_public(request) else claims, spending)

    async def operation(self, request: GraphQLRequest, claims: Claims, spending: Spending | None = None) -> Operation:
        """Return the operation of a request that its client may run, and that costs no more than it may, which is
        counted. Raises DocumentError and RequestError."""
        charge = free if spending is None else spending.charge_reading
        operation = await self._trusted.operation(request, claims, charge)
        try:
            check_values(request.variables, self._settings.max_values)
            check_cost(operation.cost, request.variables, self._settings.max_cost)
        except LimitError as error:
            raise DocumentError("COST_LIMIT_EXCEEDED", [error]) from None
        if spending is not None:
            spending.take_cost(operation.cost.of(request.variables))
        return operation

    async def authenticate(self, credential: str | None, address: str | None) -> Claims:
        """Return the claims of an `Authorization` value. Raises Unauthenticated, RateLimited where the address sent
        too many wrong ones."""
        known = self._authenticator.known(credential)
        if known is not None:
            return known
        if credential:
            self.rates.refuse_failing(address)
        try:
            return await self._authenticator.authenticate(credential)
        except Unauthenticated:
            if credential:
                self.rates.count_failure(address, self._settings.rate_address_failures)
            raise

    async def spend_request(self, claims: Claims) -> Spending:
        """Count a request of somebody who is in. Raises RateLimited; Unauthenticated where the client is gone."""
        settings = self._settings
        member = (
            (claims.workspace_id, claims.member_id),
            settings.rate_member_requests,
            settings.rate_member_cost,
            settings.rate_member_document_ms,
        )
        if claims.client_id is None:
            spending = self.rates.spending(member)
        else:
            client = await self._trusted.client(claims)
            of_client = (
                (claims.workspace_id, claims.client_id),
                client.requests_per_minute or settings.rate_client_requests,
                client.cost_per_minute or settings.rate_client_cost,
                settings.rate_client_document_ms,
            )
            # A client that acts by itself is held to its own limits: they can be more than a member's.
            alone = client.member_id == claims.member_id
            spending = self.rates.spending(of_client) if alone else self.rates.spending(member, of_client)
        spending.take_request()
        return spending

    async def meter(self, credential: str | None, address: str | None) -> Spending:
        """Count a request that is no operation: of its member, where the credential is known here, else of its address.
        Raises RateLimited; Unauthenticated where the client is gone."""
        claims = self._authenticator.known(credential)
        if claims is not None:
            return await self.spend_request(claims)
        spending = self._of_address(address)
        spending.take_request()
        return spending

    def _is_public(self, request: GraphQLRequest) -> bool:
        return request.query is not None and is_public(request.query, self._public)

    def _of_address(self, address: str | None) -> Spending:
        settings = self._settings
        whose = (
            ("address", network_of(address)),
            settings.rate_address_requests,
            settings.rate_address_cost,
            settings.rate_address_document_ms,
        )
        return self.rates.spending(whose)
