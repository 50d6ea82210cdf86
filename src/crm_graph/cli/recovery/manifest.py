"""What a backup says of itself, in `manifest.json` beside it: what it is, of when, and which keys open it.

It holds no secret: keys are named by what is derived from them one way.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from crm_graph import __version__
from crm_graph.cli.recovery.keys import KeysInUse
from crm_graph.db.two_phases import is_joined
from crm_graph.events.epoch import Connection
from crm_graph.kernel.errors import OperatorError

FORMAT = 1
FILE = "manifest.json"
_SAYS = """
    SELECT (SELECT version_num FROM alembic_version) AS revision, current_setting('server_version') AS postgres,
        (SELECT max(number) FROM log_epoch) AS epoch, crm_log_horizon()::text::bigint - 1 AS known_xid,
        (SELECT count(*) FROM event) AS events
"""
DUMP, BASE = "dump", "base"
DUMP_FILE, BASE_FOLDER, WAL_FOLDER = "database.dump", "base", "wal"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`embedded`: it is of a data directory of ours. `known_xid` is the log's position up to which everything is in the
    backup. `secrets` and `master_keys` name what was given when it was made; `own_secret` says that the database
    keeps the secret, and so the backup does."""

    kind: str
    embedded: bool
    made_at: str
    version: str
    revision: str
    postgres: str
    epoch: int
    known_xid: int
    events: int
    secrets: tuple[str, ...]
    master_keys: tuple[str, ...]
    own_secret: bool
    sha256: str | None = None
    """Of the dump. A base backup has Postgres' own manifest."""

    def with_digest(self, sha256: str) -> Manifest:
        """Return it with the digest of its dump."""
        return replace(self, sha256=sha256)

    def write(self, folder: Path) -> None:
        """Write it, under its name only when it is whole: a folder without one is no backup yet."""
        partial = folder / f"{FILE}.partial"
        partial.touch(mode=0o600)
        partial.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n", encoding="utf-8")
        partial.replace(folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return what the backup in a folder says of itself. Raises OperatorError for what is none."""
        try:
            said = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if said.pop("format") != FORMAT:
                raise OperatorError(
                    f"{folder} is a backup of a newer version of crm-graph",
                    "restore it by the version that made it, or a newer one",
                )
            return cls(
                **{**said, "secrets": tuple(said["secrets"]), "master_keys": tuple(said["master_keys"])},
            )
        except FileNotFoundError:
            raise OperatorError(
                f"{folder} is no backup, or one that was interrupted: it has no {FILE}",
                "name a folder that `crm-graph backup` wrote to its end",
            ) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise OperatorError(f"{folder / FILE} cannot be read: {error}", "take another backup") from None


def prepare_folder(folder: Path) -> None:
    """Make the folder of a new backup, for its owner's eyes alone. Raises OperatorError for one that is in use."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OperatorError(f"{folder} is not empty", "name a new folder: a backup never writes over another one")
    except OSError as error:
        raise OperatorError(f"{folder} cannot be written: {error.strerror}", "choose another place") from None


async def manifest_of(connection: Connection, kind: str, keys: KeysInUse, *, embedded: bool) -> Manifest:
    """Return what a backup says of itself, as the connection's snapshot has it. Raises OperatorError for a cluster."""
    if await is_joined(connection):
        raise OperatorError(
            "the database is distributed over a Citus cluster: a backup of its coordinator has no rows of the workers",
            "back up every node by Postgres' own tools, at one restore point: SELECT citus_create_restore_point('..')"
            " (docs/operating/citus.md)",
        )
    row = await connection.fetchrow(_SAYS)
    assert row is not None
    return Manifest(
        kind=kind,
        embedded=embedded,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        **row,
        secrets=keys.secrets,
        master_keys=keys.master_keys,
        own_secret=keys.own_secret,
    )
