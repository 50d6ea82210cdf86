"""What can be imported, and the step that the options of the command line say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from crm_graph.domains.catalog.products.imports import IMPORTS as PRODUCTS
from crm_graph.domains.customers.contacts.imports import IMPORTS as CONTACTS
from crm_graph.domains.customers.customers.imports import IMPORTS as CUSTOMERS
from crm_graph.domains.marketing.campaigns.imports import IMPORTS as CAMPAIGNS
from crm_graph.domains.sales.opportunities.imports import IMPORTS as OPPORTUNITIES
from crm_graph.domains.sales.pipelines.imports import IMPORTS as PIPELINES
from crm_graph.domains.service.tickets.imports import IMPORTS as TICKETS
from crm_graph.domains.workspace.members.imports import IMPORTS as MEMBERS
from crm_graph.kernel.errors import OperatorError
from crm_graph.transfer.recipe import Step
from crm_graph.transfer.run import find_spec
from crm_graph.transfer.spec import ImportSpec

SPECS: tuple[ImportSpec, ...] = (
    *MEMBERS,
    *PRODUCTS,
    *CUSTOMERS,
    *CONTACTS,
    *PIPELINES,
    *OPPORTUNITIES,
    *CAMPAIGNS,
    *TICKETS,
)
"""What can be imported."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an import is run."""

    workspace: str | None = None
    email: str | None = None
    dry_run: bool = False
    skip_errors: bool = False
    encoding: str | None = None


def step_of(
    entity: str,
    source: Path,
    maps: Sequence[str] = (),
    fixes: Sequence[str] = (),
    constants: Sequence[str] = (),
    ignore: Sequence[str] = (),
    match: str | None = None,
) -> Step:
    """Return the step that the options of the command line say."""
    renamed: dict[str, str] = {}
    fixed: dict[str, dict[str, str]] = {}
    for given in maps:
        left, right = _pair("--map", given, "COLUMN=FIELD")
        if ":" in left:
            fixes = (*fixes, given)
        else:
            renamed[left] = right
    for given in fixes:
        left, new = _pair("--fix", given, "COLUMN:OLD=NEW")
        column, colon, old = left.partition(":")
        if not colon:
            raise click.BadParameter(f"{given!r} is not COLUMN:OLD=NEW", param_hint="--fix")
        fixed.setdefault(column, {})[old] = new
    values = dict(_pair("--set", given, "FIELD=VALUE") for given in constants)
    spec = find_spec(SPECS, entity)
    keys = None if match is None else tuple(name.strip() for name in match.split(","))
    for name in (*renamed.values(), *values, *(keys or ())):
        if spec.column(name) is None:
            fields = ", ".join(column.name for column in spec.columns)
            raise OperatorError(f"{spec.entity} has no field {name!r}", f"its fields: {fields}")
    return Step(
        entity,
        source.name,
        renamed=renamed,
        constants=values,
        fixes=fixed,
        match=keys,
        ignore=frozenset(ignore),
    )


def _pair(option: str, given: str, form: str) -> tuple[str, str]:
    left, equals, right = given.partition("=")
    if not equals or not left:
        raise click.BadParameter(f"{given!r} is not {form}", param_hint=option)
    return left.strip(), right.strip()
