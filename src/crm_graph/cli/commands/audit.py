"""`crm-graph audit`: verify the audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crm_graph.cli.place import data_option, find_place, run, workspace_option

if TYPE_CHECKING:
    from crm_graph.domains.platform.audit.verify import Anchor


class _AnchorType(click.ParamType["Anchor"]):
    name = "NUMBER:HASH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Anchor:
        """Return the anchor. Fails for what is none."""
        from crm_graph.domains.platform.audit.verify import Anchor

        if isinstance(value, Anchor):
            return value
        anchor = Anchor.parse(str(value))
        if anchor is None:
            self.fail(f"{value!r} is not NUMBER:HASH as `audit verify` prints it", param, ctx)
        return anchor


@click.group()
def audit() -> None:
    """The audit trail: who did and read what, sealed in a hash chain."""


@audit.command("verify")
@click.option(
    "--expect", type=_AnchorType(), help="A head that was kept elsewhere: the chain must hold it at that number."
)
@click.option(
    "--since", type=_AnchorType(), help="Verify only what follows this entry, which an earlier run found good."
)
@workspace_option
@data_option
def verify(expect: Anchor | None, since: Anchor | None, workspace: str | None, data: Path | None) -> None:
    """Recompute the chain of the audit trail and hold it against the event log, of all workspaces unless one is named.

    \b
      crm-graph audit verify
      crm-graph audit verify --workspace acme --expect 1840:9f86d0...

    Prints a line per workspace: its name and the chain's head, NUMBER:HASH. Keep heads where the database's
    administrators do not reach, and give one back as --expect: only that finds a chain that somebody who has the
    installation's secret made anew. Exit code 1 when something is wrong, which names the first entry that is.

    A secret that was rotated out of CRM_SECRET still verifies when CRM_AUDIT_SECRETS holds it.
    """
    if workspace is None and (expect is not None or since is not None):
        raise click.UsageError("--expect and --since are of one workspace: name it by --workspace")
    from crm_graph.cli.operating.auditing import verify_chains

    if not run(verify_chains(find_place(data), workspace, expect, since)):
        raise click.exceptions.Exit(1)
