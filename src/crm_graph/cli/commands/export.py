"""`crm-graph export`: all rows that a member may export, as CSV or NDJSON."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run, workspace_option
from crm_graph.permissions.roles import BUILT_IN


@click.command(short_help="Write all rows that a member may export to CSV or NDJSON.")
@click.argument("entity")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), help="By the name of --out, else csv.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; standard output unless given.")
@click.option("--columns", metavar="A,B", help="Only these columns, in this order.")
@click.option("--bom", is_flag=True, help="Start with a byte order mark, by which Excel knows UTF-8.")
@click.option("--email", help="The member whose view it is; the first administrator unless given.")
@click.option("--role", help=f"The first member with a role: {', '.join(BUILT_IN)}.")
@workspace_option
@data_option
def export(
    entity: str,
    form: str | None,
    out: Path | None,
    columns: str | None,
    bom: bool,
    email: str | None,
    role: str | None,
    workspace: str | None,
    data: Path | None,
) -> None:
    """Write all rows of an ENTITY that a member may read and export.

    \b
      crm-graph export customer --out customers.csv
      crm-graph export opportunity --role sales_manager --columns external_id,name,amount,stage --format ndjson

    In CSV, a cell that a spreadsheet would run as a formula (it starts with = + - @, a tab or a return) gets an
    apostrophe before it; an import takes it away again. Edges are external ids, e-mails or names, or ids where these
    are not unique. An import of a file that shows every field changes nothing. Fields that the member may not read
    are empty or masked in the file, and stderr names them: an import of such a file would write what stands there.
    """
    if email is not None and role is not None:
        raise click.UsageError("give --email or --role, not both")
    from crm_graph.cli.data.exporting import export_file

    form = form or ("ndjson" if out is not None and out.suffix in {".ndjson", ".jsonl"} else "csv")
    chosen = None if columns is None else [name.strip() for name in columns.split(",")]
    count = run(export_file(find_place(data), entity, form, out, chosen, bom, email, role, workspace))
    console.print(f"{count:,} rows of {entity}")
