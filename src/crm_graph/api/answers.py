"""Makes answers out of the results and the refusals of operations, and bounds their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError, OperationType

from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.api.encoding import AnswerTooLong, encode
from crm_graph.api.errors import UNAVAILABLE, format_errors
from crm_graph.api.requests import Requests, outcome
from crm_graph.graph.running.execution import Operation, Outcome
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.errors import RequestError
from crm_graph.kernel.ids import new_id
from crm_graph.kernel.settings import Settings

TOO_LONG = (
    "The answer to this operation has more than {:,} bytes. Ask for smaller pages, for fewer long texts, and for each"
    " of them once."
)
DONE_BUT_TOO_LONG = (
    "This mutation was carried out: what it could do is done. Its answer alone has more than {:,} bytes and is not"
    " sent. Read the records with a query that asks for less."
)


class Answers:
    """The answers of a process."""

    def __init__(self, requests: Requests, settings: Settings) -> None:
        self._requests = requests
        self._max_errors = settings.max_errors
        self._max_cost = settings.max_cost

    def refuse(
        self, errors: Sequence[GraphQLError], code: str, request_id: str | None = None, claims: Claims | None = None
    ) -> Answer:
        """Return the answer to a request that is not executed; one without an id was not taken up: counted here, and
        told as that of `claims`, where it is known by then who asks."""
        id_ = request_id or new_id()
        formatted = format_errors(errors, id_, self._max_errors, code)
        if request_id is None:
            self._requests.refused(outcome({"errors": formatted}), claims, id_)
        if any(error["extensions"]["code"] == UNAVAILABLE for error in formatted):
            code = UNAVAILABLE
        return Answer({"errors": formatted}, request_error=True, code=code)

    def refuse_error(self, error: RequestError, request_id: str | None = None, claims: Claims | None = None) -> Answer:
        """Return the answer to a request that one of our errors stopped before execution."""
        return self.refuse([GraphQLError(error.message, original_error=error)], error.code, request_id, claims)

    def answer(self, outcome: Outcome, request: GraphQLRequest, operation: Operation, request_id: str) -> Answer:
        """Return the answer that an outcome is, with the cost in `extensions.cost` where the request asks for it by
        `extensions: {"cost": true}`. Its errors are logged now."""
        result = outcome.result
        if outcome.request_error:
            answer = self.refuse(result.errors or [], "BAD_USER_INPUT", request_id)
        else:
            answer = Answer({"data": result.data})
            if result.errors:
                answer.body["errors"] = format_errors(result.errors, request_id, self._max_errors)
            if outcome.withheld:
                answer.body["extensions"] = {"withheld": list(outcome.withheld)}
        if request.extensions and request.extensions.get("cost") is True:
            cost: dict[str, Any] = {"requested": operation.cost.of(request.variables), "limit": self._max_cost}
            answer.body.setdefault("extensions", {})["cost"] = cost
        return answer

    def encoded(
        self, answer: Answer, request: GraphQLRequest, operation: Operation, request_id: str, *, limit: int
    ) -> Answer:
        """Return an answer with its bytes; an error in the place of one that has more than `limit` of them."""
        if answer.request_error:
            return answer
        try:
            return Answer(answer.body, content=encode(answer.body, operation.cost.of(request.variables), limit))
        except AnswerTooLong:
            pass
        if operation.definition.operation is not OperationType.MUTATION:
            return self.refuse([GraphQLError(TOO_LONG.format(limit))], "COST_LIMIT_EXCEEDED", request_id)
        # What it did is committed, which no client may take for undone: it is an answer, and no refusal.
        told = self.refuse([GraphQLError(DONE_BUT_TOO_LONG.format(limit))], "COST_LIMIT_EXCEEDED", request_id)
        return Answer({"data": None, **told.body})
