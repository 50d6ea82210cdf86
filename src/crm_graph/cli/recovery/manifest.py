"""What a backup says of itself, in `manifest.json` beside it: what it is, of when, and which keys open it.

It holds no secret: keys are named by what is derived from them one way.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from crm_graph.kernel.errors import OperatorError

FORMAT = 1
FILE = "manifest.json"
DUMP, BASE = "dump", "base"
DUMP_FILE, BASE_FOLDER, WAL_FOLDER = "database.dump", "base", "wal"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`known_xid` is the position of the log up to which everything is in the backup. `secrets` and `master_keys` name
    what was given when it was made; `own_secret` says that the database keeps the secret, and so the backup does."""

    kind: str
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
