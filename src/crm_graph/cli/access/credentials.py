"""The tokens of `crm-graph login`: in the user's configuration directory, for nobody else to read."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import orjson

from crm_graph.kernel.errors import OperatorError

FILE = "credentials.json"
LOCK = "credentials.lock"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A session at one installation. `expires_at` is the access token's, in seconds since 1970."""

    issuer: str
    client_id: str
    token_endpoint: str
    revocation_endpoint: str
    access_token: str
    refresh_token: str
    expires_at: int

    @classmethod
    def of(cls, issuer: str, client_id: str, server: dict[str, Any], tokens: dict[str, Any]) -> Credentials:
        """Return the credentials of a token answer. Raises OperatorError where it lacks something."""
        try:
            return cls(
                issuer,
                client_id,
                server["token_endpoint"],
                server["revocation_endpoint"],
                tokens["access_token"],
                tokens["refresh_token"],
                int(time.time()) + int(tokens["expires_in"]),
            )
        except KeyError as error:
            raise OperatorError(
                f"the server's answer lacks {error}", "check that it is a crm-graph installation"
            ) from None

    def refreshed(self, tokens: dict[str, Any]) -> Credentials:
        """Return the credentials with the tokens that follow."""
        return replace(
            self,
            access_token=tokens["access_token"],
            refresh_token=tokens["refresh_token"],
            expires_at=int(time.time()) + int(tokens["expires_in"]),
        )


def directory() -> Path:
    """Return the configuration directory: CRM_CONFIG_DIR, else the platform's for this user."""
    return Path(os.environ.get("CRM_CONFIG_DIR") or click.get_app_dir("crm-graph"))


@contextmanager
def held() -> Iterator[None]:
    """Keep other processes from the credentials: two that refresh with one token would end the session."""
    place = _place()
    descriptor = os.open(place / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load(url: str | None) -> Credentials:
    """Return the credentials for an installation, or those that were saved last. Raises OperatorError."""
    known = _read()
    if not known:
        raise OperatorError("nobody is signed in here", "sign in: `crm-graph login URL`")
    if url is None:
        return known[-1]
    chosen = next((kept for kept in known if kept.issuer == url.rstrip("/")), None)
    if chosen is None:
        names = ", ".join(kept.issuer for kept in known)
        raise OperatorError(f"nobody is signed in to {url}", f"sign in: `crm-graph login {url}`; there is: {names}")
    return chosen


def save(credentials: Credentials) -> None:
    """Keep credentials, in the place of others for the same installation."""
    _write([*(kept for kept in _read() if kept.issuer != credentials.issuer), credentials])


def forget(issuer: str) -> None:
    """Forget the credentials of an installation."""
    _write([kept for kept in _read() if kept.issuer != issuer])


def _place() -> Path:
    place = directory()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"{place} cannot be made: {error.strerror}", "set CRM_CONFIG_DIR to another") from None
    return place


def _read() -> list[Credentials]:
    path = _place() / FILE
    try:
        return [Credentials(**stored) for stored in orjson.loads(path.read_bytes())]
    except FileNotFoundError:
        return []
    except (orjson.JSONDecodeError, TypeError):
        raise OperatorError(f"{path} is damaged", "remove it, and sign in again") from None


def _write(known: list[Credentials]) -> None:
    """Write the file in one step, so that it is whole whenever somebody reads it, and never readable by others."""
    path = _place() / FILE
    new = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps([asdict(kept) for kept in known]))
    new.replace(path)
