"""Which values settings accept: how large a number may be, and what a word or an address is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from crm_graph.kernel.errors import OperatorError

MAY_BE_ZERO = frozenset(
    {
        "event_retention_days",
        "refresh_leeway_seconds",
        "max_introspected",
        "workspace_max_bytes",
        "member_read_connections",
        "member_write_connections",
        "metrics_port",
        "unready_ms",
    }
)
CHOICES = {
    "executor": ("planned", "reference"),
    "id_token_algorithm": ("RS256", "EdDSA"),
    "command_line_client": ("on", "off"),
    "document_mode": ("open", "warn", "trusted-only"),
    "log_level": ("debug", "info", "warning", "error", "critical"),
    "log_format": ("auto", "json", "text"),
    "log_requests": ("failed", "all", "none"),
}
ADDRESSES = ("public_url", "invitation_url", "reset_url", "traces_url")
_DAYS = 36_500
LARGEST_BY_UNIT = {
    "days": _DAYS,
    "hours": 24 * _DAYS,
    "minutes": 24 * 60 * _DAYS,
    "seconds": 2_000_000_000,
    "ms": 2_000_000_000,
    "bytes": 2**60,
}
"""By the last word of a name. Sums of times and an instant remain instants, and Postgres takes times of 31 bits."""
LARGEST = {
    "metrics_port": 65_535,
    "tcp_keepalive_seconds": 32_767,
    "database_keepalive_seconds": 127,  # which is also a number of probes
    "read_pool_size": 10_000,
    "write_pool_size": 10_000,
    "argon2_memory_kib": 2**22,
    "argon2_lanes": 255,
    "argon2_threads": 1_000,
}
LARGEST_OF_OTHERS = 1_000_000_000
_SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def largest(name: str) -> int:
    """Return the largest number that a setting accepts."""
    return LARGEST.get(name) or LARGEST_BY_UNIT.get(name.rpartition("_")[2], LARGEST_OF_OTHERS)


def read(name: str, kind: type, text: str, default: Any) -> Any:
    """Return what a text says for a setting. Raises OperatorError naming the variable."""
    variable = f"CRM_{name.upper()}"
    try:
        reader = _READERS.get(kind)
        return text if reader is None else reader(name, text)
    except ValueError as error:
        what, fix = error.args
        raise OperatorError(f"{variable}={text!r} {what}", f"{fix}, or unset it (default {default!r})") from None


def _number(name: str, text: str) -> int:
    most, least = largest(name), 0 if name in MAY_BE_ZERO else 1
    try:
        number = int(text)
    except ValueError:
        raise ValueError("is not a whole number", "set it to one") from None
    if number < least:
        raise ValueError("must be more than 0" if least else "must not be less than 0", f"set it to {least} or more")
    if number > most:
        raise ValueError(f"must not be more than {most:,}", "set it to less")
    return number


def _seconds(_: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("is not a number", "set it to one") from None
    if not (math.isfinite(number) and number > 0):
        raise ValueError("must be more than 0", "set it to more")
    return number


def _switch(_: str, text: str) -> bool:
    if text.lower() not in _SWITCHES:
        raise ValueError("is no switch", "set it to `1` or `0`")
    return _SWITCHES[text.lower()]


_READERS: Mapping[type, Callable[[str, str], Any]] = {int: _number, float: _seconds, bool: _switch}


def require(settings: Any) -> None:
    """Raise OperatorError for words that are unknown, addresses that are none, and numbers that do not go together."""
    for name, choices in CHOICES.items():
        value = getattr(settings, name)
        if value not in choices:
            known = f"`{'`, `'.join(choices[:-1])}` or `{choices[-1]}`"
            raise OperatorError(f"CRM_{name.upper()}={value!r} is unknown", f"set it to {known}")
    for name in ADDRESSES:
        address = getattr(settings, name)
        if address and not _is_address(address):
            fix = "write it as `https://crm.example.com`, with a path where there is one"
            raise OperatorError(f"CRM_{name.upper()}={address!r} is no address", fix)
    if settings.sign_in_candidates > settings.argon2_threads + settings.argon2_queue_size:
        raise OperatorError(
            f"CRM_SIGN_IN_CANDIDATES={settings.sign_in_candidates}: so many passwords never fit into the queue",
            "set it to no more than CRM_ARGON2_THREADS and CRM_ARGON2_QUEUE_SIZE together",
        )
    if settings.argon2_memory_kib < 8 * settings.argon2_lanes:
        raise OperatorError(
            f"CRM_ARGON2_MEMORY_KIB={settings.argon2_memory_kib} is less than 8 for each of CRM_ARGON2_LANES",
            "set it to more, or unset it (default 19456)",
        )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    printable = text.isascii() and text.isprintable() and " " not in text
    return printable and parts.scheme in {"http", "https"} and bool(parts.hostname)
