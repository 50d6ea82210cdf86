"""The npm packages of `tests/clients`, installed once a run whoever needs them first."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[1] / "clients"
INSTALL_TIMEOUT_S = 300
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="these clients need node and npm"
)


def install_packages() -> None:
    """Install the packages of the lock file, when they are missing or older than it; one worker does, others wait."""
    lock, installed = CLIENTS / "package-lock.json", CLIENTS / "node_modules" / ".package-lock.json"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _install(lock, installed)


def _install(lock: Path, installed: Path) -> None:
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    done = subprocess.run(["npm", "ci"], cwd=CLIENTS, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    if done.returncode != 0 and not os.environ.get("CI"):
        pytest.skip(f"npm cannot install the clients here (CI would fail): {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    installed.touch()
