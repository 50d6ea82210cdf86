"""The one entry point of the command line, `crm-graph`. Composition only: each command calls the layers below.

    main.py      the group of all commands, and how their failures look
    commands/    a file for each command, under its name: what it takes, what it prints
    access/  data/  operating/    what commands do

A file in `commands/` imports what is quick: click, the place, and the console where it colours. What the command does
it imports when it runs, so that help and misuse are answered at once, and a short command waits for no library that it
does not use. `tests/cli/test_imports.py` holds each command to that.
"""

from __future__ import annotations

from crm_graph.cli.main import main

__all__ = ["main"]
