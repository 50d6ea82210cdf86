"""What `tests.support.forked` has loaded before it starts a command: all that a command may import, and the schema."""

from __future__ import annotations

import gc
from importlib import import_module
from pkgutil import walk_packages

import crm_graph
from crm_graph.api.schema import make_schema
from crm_graph.app import page_limits
from crm_graph.kernel.settings import Settings

for module in walk_packages(crm_graph.__path__, "crm_graph."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
make_schema(page_limits(Settings()))
gc.freeze()
