"""E-mail addresses."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[^\s@<>(),;:\"\\\[\]\x00-\x1f\x7f]+@[^\s@<>(),;:\"\\\[\]\x00-\x1f\x7f]+\Z")


def is_address(text: str) -> bool:
    """Return whether a text is one e-mail address and nothing else: no name, no list, no header."""
    return len(text) <= 254 and bool(_ADDRESS.match(text))
