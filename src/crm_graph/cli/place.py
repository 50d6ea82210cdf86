"""Where a command works: the data directory with its embedded Postgres, or the database of DATABASE_URL."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crm_graph.kernel.errors import OperatorError

if TYPE_CHECKING:
    from crm_graph.kernel.settings import Settings

DEFAULT_DATA = Path(".crm")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where to find the database; exactly one of `data` and `url` is set. `makes`: whether the command may make a
    cluster where there is none. A token asked for in the wrong folder made one of 46 MB there."""

    data: Path | None
    url: str | None
    makes: bool = False

    @contextmanager
    def database_url(self) -> Iterator[str]:
        """Lend the database's address; an embedded Postgres is started, or joined where one runs already."""
        if self.url is not None:
            yield self.url
            return
        from crm_graph.db import embedded

        assert self.data is not None
        if not self.makes and not embedded.exists(self.data):
            raise OperatorError(
                f"there is no database in {self.data}",
                "go to the folder where `crm-graph dev` runs, or name its data directory by `--data`, or a server by "
                "DATABASE_URL; `crm-graph dev` and `crm-graph migrate` make a new one",
            )
        with embedded.running(self.data, log=_tell) as server:
            yield server.url


def _tell(line: str) -> None:
    """Say what the embedded server does."""
    click.secho(line, dim=True, err=True)


def find_place(data: Path | None, *, makes: bool = False, implied: bool = True) -> Place:
    """Return where to work: `--data` or CRM_DATA_DIR, else DATABASE_URL, else `.crm` in the current directory, unless
    it must be named: a service whose DATABASE_URL got lost would serve whatever lies where it was started. Raises
    OperatorError then."""
    chosen = data or (Path(os.environ["CRM_DATA_DIR"]) if os.environ.get("CRM_DATA_DIR") else None)
    if chosen is not None:
        return Place(chosen, None, makes)
    url = os.environ.get("DATABASE_URL")
    if not url and not implied:
        raise OperatorError(
            "no database is named: DATABASE_URL is not set",
            f"set DATABASE_URL, or name a data directory with its own Postgres by `--data {DEFAULT_DATA}`; on your own "
            "machine run `crm-graph dev`",
        )
    return Place(None, url) if url else Place(DEFAULT_DATA, None, makes)


def data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--data DIR` to a command."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        help="Data directory with the embedded Postgres. Else CRM_DATA_DIR, else DATABASE_URL, else ./.crm.",
    )(command)


def workspace_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--workspace W` to a command."""
    return click.option("--workspace", help="The workspace's short name; may be left out where there is one only.")(
        command
    )


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine on uvloop where it is installed.

    Whatever was imported for it was imported without the garbage collector (`main`), which need not look at it from now
    on, nor at the end: that is a tenth of a second.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    import asyncio

    try:
        import uvloop
    except ImportError:  # pragma: no cover - not on Windows
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def settings() -> Settings:
    """Return the settings of the environment. Raises OperatorError for one that cannot be."""
    from crm_graph.kernel.settings import Settings

    return Settings.from_environment()
