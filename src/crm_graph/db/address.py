"""The password in an address of Postgres: it is neither printed nor given to a program among its arguments, which every
user of a machine may read."""

from __future__ import annotations

import re
from urllib.parse import unquote

_END_OF_AUTHORITY = re.compile(r"[/?#]")
_SECRET_PARAMETERS = ("password", "sslpassword")


def split_password(url: str) -> tuple[str, str | None]:
    """Return an address without its password, and the password. What is no address is cut generously, since somebody
    may have meant a part of it as the password."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "DATABASE_URL", None
    end = _END_OF_AUTHORITY.search(rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    if "@" not in authority and "@" in rest and _meant_as_password(authority, tail):
        credentials, _, place = rest.rpartition("@")
        return f"{scheme}://{credentials.partition(':')[0]}@{place}", None
    credentials, at, hosts = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    path, question, query = tail.partition("?")
    parameters = [part.partition("=") for part in query.split("&")] if query else []
    kept = "&".join("".join(part) for part in parameters if part[0] not in _SECRET_PARAMETERS)
    named = [value for name, _, value in parameters if name == "password"]
    found = named[-1] if named else password if colon else None
    return (
        f"{scheme}://{user}{at}{hosts}{path}{question if kept else ''}{kept}",
        None if found is None else unquote(found),
    )


def _meant_as_password(authority: str, tail: str) -> bool:
    """Return whether an authority was cut off by a character of a password that is not escaped."""
    _, colon, port = authority.rpartition(":")
    return "@" in tail.partition("?")[0] or (bool(colon) and not port.isdecimal())
