"""`crm-graph import`: files into the workspace, under the rights of a member."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.place import data_option, find_place, run, workspace_option
from crm_graph.kernel.errors import OperatorError


@click.command("import", short_help="Bring in rows from CSV or NDJSON files.")
@click.argument("entity", required=False)
@click.argument("source", metavar="FILE", required=False, type=click.Path(path_type=Path))
@click.option(
    "--recipe", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file of steps; then give the DIR."
)
@click.option("--map", "maps", multiple=True, metavar="COLUMN=FIELD", help="Take a field from a column of the file.")
@click.option("--fix", "fixes", multiple=True, metavar="COLUMN:OLD=NEW", help="Read a value of a column as another.")
@click.option(
    "--set", "constants", multiple=True, metavar="FIELD=VALUE", help="Give a field the same value in all rows."
)
@click.option("--ignore", multiple=True, metavar="COLUMN", help="Leave a column of the file out.")
@click.option("--match", metavar="FIELD[,FIELD]", help="How rows are recognised; external_id, else the natural key.")
@click.option("--encoding", help="The file's encoding; UTF-8 or GB18030 is found without it.")
@click.option("--dry-run", is_flag=True, help="Do it all, say what came of it, and take it back.")
@click.option("--skip-errors", is_flag=True, help="Write the good rows, though others are bad.")
@workspace_option
@click.option("--email", help="The member under whose rights it is done; the first administrator unless given.")
@data_option
def import_(
    entity: str | None,
    source: Path | None,
    recipe: Path | None,
    maps: tuple[str, ...],
    fixes: tuple[str, ...],
    constants: tuple[str, ...],
    ignore: tuple[str, ...],
    match: str | None,
    encoding: str | None,
    dry_run: bool,
    skip_errors: bool,
    workspace: str | None,
    email: str | None,
    data: Path | None,
) -> None:
    """Bring in the rows of a CSV or NDJSON FILE, or of several files by a recipe.

    \b
      crm-graph import customer accounts.csv --map account=name --ignore region
      crm-graph import opportunity deals.csv --set pipeline=Sales --fix "product:GTXPro=GTX Pro" --dry-run
      crm-graph import --recipe recipe.toml DIR

    Rows are recognised by their external_id, else by their natural key: those that are there already are updated, and
    those that did not change are left alone, so that the same file can be imported again. All rows are written, or
    none: every bad one is listed with its row (the header is row 1), column, value and reason, and the exit code is 1.
    References are given by external id, e-mail, name, or id. `--map` takes value fixes (`--map COLUMN:OLD=NEW`) as
    `--fix` does.
    """
    from crm_graph.cli.data.steps import SPECS, Options, step_of
    from crm_graph.transfer.recipe import read_recipe
    from crm_graph.transfer.run import find_spec

    options = Options(workspace, email, dry_run, skip_errors, encoding)
    if recipe is not None:
        if source is not None or entity is None:
            raise click.UsageError("with --recipe give the directory of its files, and nothing else")
        if maps or fixes or constants or ignore or match:
            raise click.UsageError("with --recipe, write columns, fixes and match keys into the recipe")
        steps, directory = read_recipe(recipe), Path(entity)
        if not directory.is_dir():
            raise OperatorError(f"there is no directory {directory}", "give the directory of the recipe's files")
    else:
        if entity is None or source is None:
            raise click.UsageError(f"give an entity and a file; there are: {', '.join(spec.entity for spec in SPECS)}")
        steps, directory = [step_of(entity, source, maps, fixes, constants, ignore, match)], source.parent
    for step in steps:
        find_spec(SPECS, step.entity)
    from crm_graph.cli.data.importing import import_files, show

    reports = run(import_files(find_place(data), steps, directory, options))
    if not show(reports, len(steps), options):
        raise click.exceptions.Exit(1)
