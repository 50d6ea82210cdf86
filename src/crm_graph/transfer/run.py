"""The steps of an import, one after the other, in the unit of work of the caller, who commits or rolls back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from crm_graph.kernel.errors import OperatorError
from crm_graph.transfer.load import Progress, StepLoader, match_key
from crm_graph.transfer.mapping import bind
from crm_graph.transfer.reader import inline_table, open_table
from crm_graph.transfer.recipe import Step
from crm_graph.transfer.report import StepReport
from crm_graph.transfer.resolve import Resolver
from crm_graph.transfer.spec import ImportSpec
from crm_graph.transfer.write import analyse
from crm_graph.work import Work

MANY_ROWS = 500
"""New rows of a table from which on its statistics are worth counting anew."""
Start = Callable[[Step], Progress]
"""Called when a step starts; returns what is called with the number of rows that were read since."""


def find_spec(specs: Iterable[ImportSpec], entity: str) -> ImportSpec:
    """Return the spec of an entity by name. Raises OperatorError naming those there are."""
    by_name: Mapping[str, ImportSpec] = {spec.entity: spec for spec in specs}
    chosen = by_name.get(entity.lower())
    if chosen is None:
        raise OperatorError(f"there is no import of {entity!r}", f"there are: {', '.join(sorted(by_name))}")
    return chosen


async def run_steps(
    work: Work,
    specs: Iterable[ImportSpec],
    steps: Iterable[Step],
    directory: Path,
    *,
    skip_errors: bool = False,
    encoding: str | None = None,
    start: Start = lambda _: lambda _: None,
) -> list[StepReport]:
    """Load steps in order and return their reports; stops after one with bad rows unless these are to be skipped.

    Steps refer to rows of earlier ones, so after a bad step most errors of the next would only repeat it.
    """
    specs, steps = tuple(specs), tuple(steps)
    targets = [find_spec(specs, step.entity) for step in steps]
    resolver = Resolver(work)
    reports: list[StepReport] = []
    for step, spec in zip(steps, targets, strict=True):
        report = StepReport(spec.entity, step.file or "rows of the recipe")
        reports.append(report)
        await _run_step(
            work,
            spec,
            replace(step, encoding=encoding or step.encoding),
            directory,
            resolver,
            report,
            skip_errors=skip_errors,
            progress=start(step),
        )
        if report.error_count and not skip_errors:
            break
    written = sum((report.written for report in reports), Counter[str]())
    if not any(report.error_count for report in reports) or skip_errors:
        await analyse(work.session, (table for table, rows in written.items() if rows >= MANY_ROWS))
    return reports


async def _run_step(
    work: Work,
    spec: ImportSpec,
    step: Step,
    directory: Path,
    resolver: Resolver,
    report: StepReport,
    *,
    skip_errors: bool,
    progress: Progress,
) -> None:
    source = (
        inline_table(report.source, step.rows)
        if step.file is None
        else open_table(directory / step.file, step.encoding)
    )
    with source as table:
        if table.encoding not in {"", "utf-8-sig"}:
            report.notes.append(f"read as {table.encoding.upper()}")
        bound = bind(step, spec, table)
        match = match_key(spec, step.match, bound)
        loader = StepLoader(work, spec, bound, match, resolver, report, skip_errors=skip_errors)
        await loader.run(table, progress)
