"""Where the log of a process goes, and how it looks: one handler, to stderr, for our lines and those of libraries; and
where its traces go."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from crm_graph.db.telling import trace
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.logs import Lines, Text
from crm_graph.kernel.settings import Settings

_OURS, _SERVER = "crm_graph", "uvicorn"
"""Loggers that the setting is for. Of libraries warnings are written: httpx tells addresses at `info`. Of uvicorn
nothing below `info`: its `debug` is the heads and the frames of WebSockets, with the tokens in them."""


class _WithoutQueries(logging.Filter):
    """Cuts query strings out of what uvicorn logs of WebSockets: people put tokens there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True: the line stays, shorter."""
        if "WebSocket" in str(record.msg) and isinstance(record.args, tuple):
            record.args = tuple(part.partition("?")[0] if isinstance(part, str) else part for part in record.args)
        return True


@contextmanager
def traced(settings: Settings) -> Iterator[None]:
    """Trace what runs within, where traces are to be sent somewhere. Raises OperatorError."""
    if not settings.traces_url:
        yield
        return
    try:
        from crm_graph.cli.operating.traces import sending
    except ImportError:
        raise OperatorError(
            "CRM_TRACES_URL is set, and OpenTelemetry is not installed",
            "install it, `pip install 'crm-graph[traces]'`, or unset CRM_TRACES_URL",
        ) from None
    with sending(settings.traces_url):
        yield


def write_logs(settings: Settings) -> None:
    """Write the log of this process, from now on."""
    text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(Text(trace) if text else Lines(trace))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = settings.log_level.upper()
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.getLogger(_OURS).setLevel(level)
    logging.getLogger(_SERVER).setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level]))
    uvicorn = logging.getLogger("uvicorn.error")
    if not any(isinstance(one, _WithoutQueries) for one in uvicorn.filters):
        uvicorn.addFilter(_WithoutQueries())
