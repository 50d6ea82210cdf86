"""Restoring a backup, of whichever kind it is."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from crm_graph import __version__
from crm_graph.cli.place import Place
from crm_graph.cli.recovery.basing import restore_base
from crm_graph.cli.recovery.dumping import restore_dump
from crm_graph.cli.recovery.keys import require_named
from crm_graph.cli.recovery.manifest import BASE, Manifest
from crm_graph.db.revisions import revisions
from crm_graph.events.epoch import Epoch
from crm_graph.kernel.errors import OperatorError


async def restore_backup(place: Place, folder: Path, until: datetime | None, *, incomplete: bool = False) -> Epoch:
    """Restore the backup in a folder into a place where nothing is yet, as it was at a moment where one is given;
    returns the epoch that its log goes on in. Raises OperatorError, before anything is written for a backup of a newer
    version, and for one whose keys are not given. `incomplete` is as for `restore_base`."""
    manifest = Manifest.read(folder)
    _, known = revisions()
    if manifest.revision not in known:
        raise OperatorError(
            f"the backup is of crm-graph {manifest.version}, at revision {manifest.revision}, which this version"
            f" ({__version__}) does not know",
            "restore it by the version that made it, or a newer one",
        )
    require_named(manifest.secrets, manifest.master_keys, own_secret=manifest.own_secret)
    if manifest.kind == BASE:
        return await restore_base(place, folder, manifest, until, incomplete=incomplete)
    if until is not None:
        raise OperatorError("a dump has one point in time, its own", "leave --until out; a base backup has others")
    return await restore_dump(place, folder, manifest)
