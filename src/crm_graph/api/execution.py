"""Runs an operation for whoever asks: as a viewer who is confirmed, in the time that it has, on lent connections."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg
from graphql import ExecutionResult, GraphQLError, OperationType

from crm_graph.api.admission.payers import Payers
from crm_graph.api.answers import Answers
from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.api.contexts import Asking, Contexts
from crm_graph.api.documents.trusted import TrustedDocuments
from crm_graph.api.late import late
from crm_graph.db.lending import Lease
from crm_graph.db.outages import is_away
from crm_graph.db.session import ReadSession, Trust
from crm_graph.domains.platform.audit.events import SensitiveFieldsRead
from crm_graph.domains.platform.audit.operations import record_reading
from crm_graph.events.replica import Replica
from crm_graph.executor.results import OnError
from crm_graph.graph.changes.live import Change
from crm_graph.graph.context import GraphContext
from crm_graph.graph.running.execution import Executor, Operation, Outcome
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import RequestError


@dataclass(slots=True, kw_only=True)
class Execution:
    """Executes what was admitted."""

    executor: Executor
    services: Services
    authenticator: Authenticator
    trusted: TrustedDocuments
    payers: Payers
    contexts: Contexts
    answers: Answers
    replica: Replica

    async def answer(self, request: GraphQLRequest, operation: Operation, asking: Asking) -> Answer:
        """Return the answer of a query or mutation, with its bytes."""
        answer = await self._in_time(request, operation, asking)
        limit = self.services.settings.max_answer_bytes
        return self.answers.encoded(answer, request, operation, asking.request_id, limit=limit)

    async def answer_live(
        self,
        request: GraphQLRequest,
        operation: Operation,
        context: GraphContext,
        change: Change | None = None,
        *,
        limit: int | None = None,
    ) -> Answer:
        """Return the answer of a subscription's operation to a change, or of a query that nobody sent, a webhook's, of
        at most `limit` bytes; its sensitive reads are written down."""
        try:
            outcome = await self._outcome(request, operation, context, change)
        except RequestError as error:
            outcome = Outcome(ExecutionResult(None, [GraphQLError(error.message, original_error=error)]))
        answer = self.answers.answer(outcome, request, operation, context.request_id)
        answer = await self._written_down(answer, operation, context)
        limit = limit or self.services.settings.max_answer_bytes
        return self.answers.encoded(answer, request, operation, context.request_id, limit=limit)

    async def _in_time(self, request: GraphQLRequest, operation: Operation, asking: Asking) -> Answer:
        request_id = asking.request_id
        mutation = operation.definition.operation is OperationType.MUTATION
        timeout_ms = self.services.settings.mutation_timeout_ms if mutation else self.services.settings.query_timeout_ms
        payer = self.payers.of(asking.claims, asking.origin)
        lease = self.services.database.lease(payer, primary=mutation)
        try:
            payer.refuse_busy()
            async with asyncio.timeout(timeout_ms / 1000):
                if not mutation and self.replica.is_usable and not asking.claims.is_anonymous:
                    answer = await self._on_replica(request, operation, asking, lease)
                    if answer is not None:
                        return answer
                return await self._as_viewer(request, operation, asking, lease)
        except TimeoutError as error:
            # The statement is cancelled: asyncpg sends a cancel request when its awaiting task is cancelled.
            reason, code = late(error, lease, mutation=mutation)
            return self.answers.refuse([reason], code, request_id)
        except RequestError as error:
            return self.answers.refuse_error(error, request_id)
        except Exception as error:
            return self.answers.refuse([GraphQLError(str(error), original_error=error)], "INTERNAL", request_id)
        finally:
            lease.release()

    async def _on_replica(
        self, request: GraphQLRequest, operation: Operation, asking: Asking, lease: Lease
    ) -> Answer | None:
        """Execute a query on the replica, as a viewer who is confirmed on the primary first. None where the primary is
        to answer: the replica lacks what the viewer wrote, or has failed."""
        session = ReadSession(lease)
        viewer = self.authenticator.remembered(asking.claims)
        if viewer is None or not await session.confirms(self.authenticator.guard(viewer)):
            viewer = await self.authenticator.viewer(asking.claims, session)
        if await self.replica.lacks(session, viewer.workspace_id, viewer.member_id):
            return None
        lease.rest()
        there = Lease(self.replica.pool, self.payers.of(asking.claims, asking.origin))
        try:
            context = self.contexts.lent(viewer, there, asking)
            attempt = await self._attempt(request, operation, context)
        finally:
            there.release()
        failure = _failure_of(attempt)
        if failure is not None:
            if is_away(failure):
                self.replica.fails(failure)
            return None
        answer = self._told(attempt, request, operation, context)
        return await self._written_down(answer, operation, context, lease)

    async def _as_viewer(self, request: GraphQLRequest, operation: Operation, asking: Asking, lease: Lease) -> Answer:
        """Execute as the viewer that is remembered, confirmed by the first statement that reads; otherwise, or where
        that did not confirm it and the viewer is another one by now, as the viewer read anew.

        Nothing is committed for a viewer who is not confirmed (`Session.confirm`), so a mutation can be executed again;
        and nothing that came of such a run is told or logged, since a guard that fails leaves statements without the
        rows that they always have.
        """
        remembered = self.authenticator.remembered(asking.claims)
        if remembered is not None:
            trust = Trust(self.authenticator.guard(remembered))
            context = self.contexts.lent(remembered, lease, asking, trust)
            attempt = await self._attempt(request, operation, context)
            if trust.confirmed:
                answer = self._told(attempt, request, operation, context)
                return await self._written_down(answer, operation, context, lease)
        viewer = await self.authenticator.viewer(asking.claims, ReadSession(lease))
        if viewer != remembered:
            context = self.contexts.lent(viewer, lease, asking)
            attempt = await self._attempt(request, operation, context)
        answer = self._told(attempt, request, operation, context)
        return await self._written_down(answer, operation, context, lease)

    async def _attempt(
        self, request: GraphQLRequest, operation: Operation, context: GraphContext
    ) -> Outcome | Exception:
        try:
            return await self._outcome(request, operation, context)
        except Exception as error:
            return error

    async def _outcome(
        self, request: GraphQLRequest, operation: Operation, context: GraphContext, change: Change | None = None
    ) -> Outcome:
        """Execute an operation. What an error does to the answer says the request; else its client, which the edge has
        read with the client's document mode: at no statement more, and as old as that."""
        on_error = request.on_error
        if on_error is None and context.viewer.client_id is not None:
            default = (await self.trusted.client(context.viewer)).on_error
            on_error = None if default is None else OnError[default.value]
        return await self.executor.execute(operation, request.variables, context, change, on_error or OnError.PROPAGATE)

    def _told(
        self, attempt: Outcome | Exception, request: GraphQLRequest, operation: Operation, context: GraphContext
    ) -> Answer:
        """Return the answer to an attempt; its errors are logged now. Raises what ended it that is no RequestError."""
        if isinstance(attempt, RequestError):
            return self.answers.refuse_error(attempt, context.request_id)
        if isinstance(attempt, Exception):
            raise attempt
        return self.answers.answer(attempt, request, operation, context.request_id)

    async def _written_down(
        self, answer: Answer, operation: Operation, context: GraphContext, lease: Lease | None = None
    ) -> Answer:
        """Return the answer once its sensitive reads, if any, are in the log: what cannot be written down is not
        answered. In a transaction of its own, on the primary also where a replica was read."""
        reads = context.reads
        if reads is None or answer.request_error:
            return answer
        name = operation.definition.name
        records = tuple(reads.records)
        event = SensitiveFieldsRead(
            tuple(sorted(reads.fields)),
            None if name is None else name.value,
            operation.document_sha256,
            records[: self.services.settings.audit_max_ids],
            len(records),
        )
        # A mutation holds a connection of the same pool already: waiting for another one while holding it could leave
        # all mutations waiting for each other.
        holding = lease is not None and operation.definition.operation is OperationType.MUTATION
        transaction = lease.transaction if lease is not None and holding else self.services.database.transaction
        async with transaction() as session:
            at = self.services.clock()
            await record_reading(session, context.viewer, context.origin, context.request_id, at, event)
        return answer


def _failure_of(attempt: Outcome | Exception) -> BaseException | None:
    """Return the error by which the replica failed an attempt: it is away, or what it replays has stopped a query."""
    failures: list[BaseException | None] = [attempt] if isinstance(attempt, Exception) else []
    if isinstance(attempt, Outcome):
        for error in attempt.result.errors or ():
            original: BaseException | None = error
            while isinstance(original, GraphQLError):
                original = original.original_error
            failures.append(original)
    return next(
        (failure for failure in failures if is_away(failure) or isinstance(failure, asyncpg.SerializationError)),
        None,
    )
