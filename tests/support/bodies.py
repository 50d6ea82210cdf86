"""What no answer may hold: a look inside the product."""

from __future__ import annotations

import json
import re
from typing import Any

_INSIDE = re.compile(
    r"""Traceback|File\ "|\.py\b|/(?:home|root|usr|work|tmp|src|app|var)/|site-packages"""
    r"""|\bSELECT\b|\bINSERT\ INTO\b|\bUPDATE\ \w+\ SET\b|\bDELETE\ FROM\b|\bWHERE\b|\bFROM\ \w+\b|\$\d\b"""
    r"""|\b(?:pg_|ix_|uq_|fk_|ck_)\w+|violates|constraint\b|\brelation\b|duplicate\ key|asyncpg|sqlalchemy|strawberry"""
    r"""|graphql[-_]core|<class|object\ at\ 0x|\b[a-z_]+\.[A-Z]\w+(?:Error|Exception)\b"""
    r"""|\b(?![oO]nError\b)\w+Error\b|\bNoneType\b"""
    r"""|Did\ you\ mean|did\ you\ mean|Perhaps\ you|\bDecimal\(|datetime\.|\bUndefined\b""",
    re.VERBOSE,
)
"""Tracebacks, paths, SQL, names of the database, classes and libraries, hints at names; `onError` is a field."""


def assert_reveals_nothing(body: Any) -> None:
    """Assert that the errors of an answer, those in payloads included, show nothing of the inside."""
    for message in messages(body):
        found = _INSIDE.search(message)
        assert found is None, f"{found[0]!r} in {message!r}"


def messages(body: Any) -> list[str]:
    """Return every text that an answer gives as a reason: errors at the top and in payloads, without locations."""
    found: list[str] = []
    if isinstance(body, dict):
        for name, value in body.items():
            if name == "errors" and isinstance(value, list):
                found += [json.dumps(error, ensure_ascii=False) for error in value]
            else:
                found += messages(value)
    elif isinstance(body, list):
        for item in body:
            found += messages(item)
    return found
