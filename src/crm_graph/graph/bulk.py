"""Mutations of many: what one mutation does with one input, done with up to a thousand in one transaction.

    createCustomers(inputs: [...], onError: REJECT_FAILED, dryRun: true) { results { customer { id } } }

The operation is that of one, run together (`db/together.py`), so that a thousand inputs are a few statements. Where one
is refused, what was written is taken back: for good, or to be written again without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from functools import partial
from typing import Any

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument

from crm_graph.db.sizes import SIZE_KEY, Items
from crm_graph.graph.context import Info
from crm_graph.graph.idempotency.once import TakenBack, answer_once
from crm_graph.graph.payloads import UserError, UserErrorCode, user_error
from crm_graph.graph.reading.counts import PER_ROW
from crm_graph.graph.reading.sizes import EACH_KEY
from crm_graph.kernel.errors import Forbidden, Refused
from crm_graph.work import Work

MAX_INPUTS = 1_000
ROUNDS = 3
"""How often what is left of a batch is tried side by side, before it is tried one by one."""
_LIST: Any = list
Run = Callable[[Work, Any], Awaitable[Any]]


@strawberry.enum(description="What becomes of the other inputs of a batch where one is refused.")
class OnRefusal(Enum):
    """Of a mutation that takes many inputs."""

    REJECT_ALL = strawberry.enum_value("REJECT_ALL", description="Nothing is written.")
    REJECT_FAILED = strawberry.enum_value("REJECT_FAILED", description="The others are written.")


@strawberry.type
class Batch:
    """The base of the payloads of many."""

    errors: list[UserError] = strawberry.field(
        description="Why the batch as a whole was refused: REJECTED where single inputs were the reason. Empty"
        " when it was not."
    )


def arguments_of(input_: type) -> list[StrawberryArgument]:
    """Return the arguments of a mutation that takes many of an input."""
    return [
        StrawberryArgument(
            *("inputs", "inputs", StrawberryAnnotation(_LIST[input_])),
            description="One input for each record; the results are in the same order.",
            metadata={SIZE_KEY: Items(MAX_INPUTS), EACH_KEY: True},
        ),
        StrawberryArgument(
            *("on_error", "onError", StrawberryAnnotation(OnRefusal)),
            description="What becomes of the other inputs when one is refused.",
            default=OnRefusal.REJECT_ALL,
        ),
        StrawberryArgument(
            *("dry_run", "dryRun", StrawberryAnnotation(bool)),
            description="Whether to say only what would be refused, and to write nothing.",
            default=False,
        ),
    ]


def payload_of_many(name: str, words: str, payload: type) -> type:
    """Return the type of what a mutation of many answers, around the payloads of one."""
    namespace = {
        "__module__": __name__,
        "__annotations__": {"results": _LIST[payload]},
        "results": strawberry.field(
            metadata=PER_ROW, description="The result of each input, in the order of the inputs."
        ),
    }
    return strawberry.type(type(name, (Batch,), namespace), description=f"What came of many {words}.")


def resolver_of_many(
    run: Run, done: Callable[[Any, Any], Any], refused: Callable[[list[UserError], str | None], Any], many: Any
) -> Any:
    """Return the resolver of a mutation of many: `run` does one, `done` makes the payload of an input and what came of
    it, `refused` that of an input's errors, and of the record that a conflict is with."""

    async def resolve(info: Info, inputs: Any, on_error: Any, dry_run: bool) -> Any:
        async def do(work: Work) -> Any:
            outcomes: list[Any] = [None] * len(inputs)
            stays = await _do(work, run, inputs, outcomes, all_or_none=OnRefusal(on_error) is OnRefusal.REJECT_ALL)
            stays = stays and not dry_run
            failed = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Exception)]
            if failed and len(failed) == len(outcomes) and all(isinstance(each, Forbidden) for each in outcomes):
                raise outcomes[0]
            results = [
                refused([_error(outcome)], getattr(outcome, "current", None))
                if isinstance(outcome, Exception)
                else done(input_, outcome)
                if stays
                else refused([], None)
                for input_, outcome in zip(inputs, outcomes, strict=True)
            ]
            answer = many(results=results, errors=[] if stays or dry_run else [_rejected(failed, len(inputs))])
            if not stays:
                raise TakenBack(answer)
            return answer

        def not_done(refusal: Refused) -> Any:
            return many(results=[refused([], None) for _ in inputs], errors=[user_error(refusal)])

        return await answer_once(info, many, do, not_done)

    resolve.__annotations__ = {"info": Info, "inputs": str, "on_error": str, "dry_run": bool, "return": str}
    return resolve


async def _do(work: Work, run: Run, inputs: Sequence[Any], outcomes: list[Any], *, all_or_none: bool) -> bool:
    """Do what is asked with each input, and put what came of it into `outcomes`; return whether it may stay: it may not
    where nothing was done. Those that are refused leave nothing behind: the others are done again without them.

    A refusal counts where it is the input's own: one that is in doubt, because another input was refused that had
    written before, is asked for again. Where that does not end, in a few rounds, each is done when those before it are:
    so a batch costs at most four times what its inputs do, whatever is wrong with them.
    """
    left = list(range(len(inputs)))
    for _ in range(ROUNDS):
        if not left:
            return not inputs
        async with work.attempt() as attempt:
            verdicts = await attempt.work.judge([partial(run, attempt.work, inputs[place]) for place in left])
            judged = dict(zip(left, verdicts, strict=True))
            for place, verdict in judged.items():
                outcomes[place] = _refusal_or_result(verdict.outcome)
            if not any(isinstance(outcomes[place], Exception) for place in left):
                attempt.keep()
                return not all_or_none or len(left) == len(inputs)
        left = [place for place in left if judged[place].in_doubt or not isinstance(outcomes[place], Exception)]
        if all_or_none and not any(verdict.in_doubt for verdict in verdicts):
            return False
    async with work.attempt() as attempt:
        for place in left:
            outcomes[place] = await attempt.work.tried(partial(run, attempt.work, inputs[place]))
        attempt.keep()
    return not any(isinstance(each, Exception) for each in outcomes) if all_or_none else _any_done(outcomes)


def _any_done(outcomes: Sequence[Any]) -> bool:
    return not all(isinstance(each, Exception) for each in outcomes)


def _refusal_or_result(outcome: Any) -> Any:
    """Return what came of an operation. Raises what is no refusal."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, Refused | Forbidden):
        raise outcome
    return outcome


def _error(outcome: Exception) -> UserError:
    if isinstance(outcome, Refused):
        return user_error(outcome)
    return UserError(code=UserErrorCode.FORBIDDEN, message=str(outcome), field=list(getattr(outcome, "field", ())))


def _rejected(failed: Sequence[int], count: int) -> UserError:
    what = f"{len(failed):,} of {count:,} inputs {'was' if len(failed) == 1 else 'were'} refused: nothing was written."
    return UserError(code=UserErrorCode.REJECTED, message=what, field=["inputs", str(failed[0])] if failed else [])
