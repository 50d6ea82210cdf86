"""Places are shared out: to nobody more than their part, by turns, and to everybody who waits."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from crm_graph.kernel.errors import RateLimited
from crm_graph.kernel.shares import Shares


async def start(shares: Shares, holder: str | None, order: list[str | None]) -> asyncio.Task[None]:
    """Return a task that waits for a place, says when it has it, and keeps it."""

    async def run() -> None:
        if not shares.enter(holder):
            await shares.wait(holder)
        order.append(holder)

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    return task


async def test_nobody_has_more_than_their_share() -> None:
    shares, order = Shares(4, 2), list[str | None]()
    tasks = [await start(shares, "greedy", order) for _ in range(5)]
    tasks.append(await start(shares, "modest", order))
    assert order == ["greedy", "greedy", "modest"]
    assert (shares.taken, shares.waiting) == (3, 3)
    shares.leave("modest")
    await asyncio.sleep(0)
    assert order.count("greedy") == 2, "a place is free, and not for them"
    shares.leave("greedy")
    await asyncio.sleep(0)
    assert order.count("greedy") == 3
    for task in tasks:
        task.cancel()


async def test_who_waits_is_let_in_by_turns() -> None:
    shares, order = Shares(1), list[str | None]()
    assert shares.enter("first")
    tasks = [await start(shares, holder, order) for holder in ("a", "a", "a", "b", None, "c")]
    shares.leave("first")
    for _ in tasks:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        shares.leave(order[-1])
    assert order == ["a", "b", None, "c", "a", "a"]
    assert (shares.taken, shares.waiting) == (0, 0)


async def test_too_many_that_wait_are_refused() -> None:
    shares, order = Shares(2, 1, most_waiting=2), list[str | None]()
    tasks = [await start(shares, "greedy", order) for _ in range(3)]
    with pytest.raises(RateLimited, match="2 of your operations wait"):
        await shares.wait("greedy")
    assert shares.refused == 1
    assert shares.enter("modest"), "others are let in all the same"
    tasks[2].cancel()
    await asyncio.sleep(0)
    tasks.append(await start(shares, "greedy", order))
    assert shares.waiting == 2, "one has left, and another one may wait"
    for task in tasks:
        task.cancel()


async def test_a_place_that_comes_to_somebody_who_has_left_goes_on() -> None:
    shares, order = Shares(1), list[str | None]()
    assert shares.enter("first")
    leaving, next_ = await start(shares, "leaving", order), await start(shares, "next", order)
    shares.leave("first")
    leaving.cancel()  # it is theirs, and they have not run yet
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await next_
    assert order == ["next"]
    shares.leave("next")
    assert shares.taken == 0


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_lost_and_nobody_starves(seed: int) -> None:
    """Hundreds come, hold, leave and give up at random: the bounds hold all the while, and in the end all is free."""
    dice, shares, held = random.Random(seed), Shares(5, 2, 1_000), Counter[str | None]()
    served = Counter[str | None]()

    async def visit(holder: str | None) -> None:
        async with shares.place(holder):
            held[holder] += 1
            assert held.total() <= 5
            assert holder is None or held[holder] <= 2
            try:
                await asyncio.sleep(dice.random() / 500)
                served[holder] += 1
            finally:
                held[holder] -= 1

    tasks = []
    for _ in range(300):
        tasks.append(asyncio.create_task(visit(dice.choice(["a", "a", "a", "a", "b", "c", None]))))
        if dice.random() < 0.2:
            dice.choice(tasks).cancel()
        if dice.random() < 0.3:
            await asyncio.sleep(0)
    async with asyncio.timeout(20):
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [each for each in ended if isinstance(each, Exception)]
    assert (shares.taken, shares.waiting, held.total()) == (0, 0, 0)
    assert min(served[holder] for holder in ("a", "b", "c", None)) > 0
    assert shares.enter("a")
    assert shares.enter("a")
    assert not shares.enter("a"), "what everybody held was counted right"
