"""Restoring a backup, of whichever kind it is."""

from __future__ import annotations

from pathlib import Path

from crm_graph.cli.place import Place
from crm_graph.cli.recovery.dumping import restore_dump
from crm_graph.cli.recovery.manifest import Manifest
from crm_graph.events.epoch import Epoch


async def restore_backup(place: Place, folder: Path) -> Epoch:
    """Restore the backup in a folder into a place where nothing is yet; returns the epoch that its log goes on in.
    Raises OperatorError."""
    manifest = Manifest.read(folder)
    epoch, _ = await restore_dump(place, folder, manifest)
    return epoch
