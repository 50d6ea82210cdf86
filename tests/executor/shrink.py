"""Makes the operation of a difference small: takes parts away for as long as there still is a difference."""

from __future__ import annotations

import json
from dataclasses import replace
from difflib import unified_diff

from tests.executor.cases import Case
from tests.executor.comparing import Difference, Twins
from tests.executor.surgery import smaller, with_source

MAX_TRIES = 600


async def shrink(twins: Twins, difference: Difference) -> Difference:
    """Return a difference of the same kind with a smaller operation. Plans are forgotten before each try."""
    case = difference.case
    tries = 0

    async def still(candidate: Case) -> Difference | None:
        nonlocal tries
        tries += 1
        twins.renew()
        found, _ = await twins.compare(candidate)
        return next((each for each in found if each.what[-10:] == difference.what[-10:]), None)

    alone = replace(case, runs=[difference.run], paged=[])
    best = await still(alone) or await still(case)
    if best is None:
        return difference  # it takes the plans of earlier cases
    progress = True
    while progress and tries < MAX_TRIES:
        progress = False
        for source in smaller(best.case.source):
            found = await still(with_source(best.case, source))
            if found is not None:
                best, progress = found, True
                break
            if tries >= MAX_TRIES:
                break
    return best


def describe(difference: Difference) -> str:
    """Return everything that is needed to see a difference again."""
    run = difference.run
    reference, planned = (text.splitlines() for text in difference.answers.values())
    changes = list(unified_diff(reference, planned, "reference", "planned", lineterm="", n=3))[:80]
    return "\n".join(
        [
            f"{difference.what}, seed {difference.case.seed}, as {run.role} in {run.workspace}, {run.on_error.value}",
            f"variables: {json.dumps(run.variables, ensure_ascii=False)}",
            *([] if len(difference.case.runs) == 1 else [f"after: {difference.case.runs[0]}"]),
            difference.case.source,
            *(changes or difference.answers["planned"].splitlines()[:80]),
        ]
    )
