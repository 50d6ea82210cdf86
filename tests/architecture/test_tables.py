"""Every table that a model declares is there for whoever imports the list of slices: the meter of storage, the keys."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import crm_graph

PROGRAM = "import crm_graph.api.schema; from crm_graph.db.base import Base; print(*Base.metadata.tables)"


def test_importing_the_list_of_slices_declares_every_table() -> None:
    texts = [path.read_text() for path in Path(crm_graph.__file__).parent.rglob("*.py")]
    declared = [name for text in texts for name in re.findall(r'__tablename__ = "(\w+)"', text)]
    kept = [name for text in texts for name in re.findall(r'^@keeps_history[^$]*?__tablename__ = "(\w+)"', text, re.M)]
    assert len(kept) == 5
    declared += [f"{name}_version" for name in kept]
    known = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert len(declared) > 30
    assert sorted(known.stdout.split()) == sorted(declared)
