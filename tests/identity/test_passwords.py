"""Passwords, the list of breached ones, and what is sealed."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any, cast

import pytest

from crm_graph.identity.breached import contains
from crm_graph.identity.passwords import Passwords
from crm_graph.identity.sealing import seal, unseal
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import TokenAuthority
from crm_graph.kernel.errors import OperatorError, Refused
from crm_graph.kernel.settings import Settings


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest().upper()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 10, 1_000])
def test_every_line_is_found_and_nothing_else(tmp_path: Path, size: int, end: str) -> None:
    dice = random.Random(size)
    lines = sorted({sha1(str(number)) for number in range(size)})
    file = tmp_path / "list"
    file.write_bytes(end.join(f"{line}:{dice.randrange(10 ** dice.randrange(1, 9))}" for line in lines).encode())
    assert all(contains(file, line) for line in lines)
    assert not any(contains(file, sha1(f"x{number}")) for number in range(300))
    assert not contains(file, "0" * 40)
    assert not contains(file, "F" * 40)


async def test_a_breached_password_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("\n".join(sorted(f"{sha1(each)}:9" for each in ("password1234", "qwertyuiop12", "Straße 12345"))))
    passwords = Passwords(Settings(breached_passwords=str(file)))
    for known in ("password1234", "ｐassword1234", "Straße 12345"):
        with pytest.raises(Refused) as raised:
            await passwords.check_new(known, "rep@example.com")
        assert raised.value.code == "INVALID"
    await passwords.check_new("correct horse battery", "rep@example.com")
    with pytest.raises(OperatorError, match="CRM_BREACHED_PASSWORDS"):
        await Passwords(Settings(breached_passwords="/nowhere")).check_new("correct horse battery", "")


async def test_defaults_are_owasp_s() -> None:
    passwords = Passwords(Settings())
    hashed = await passwords.hash("correct horse battery")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(hashed, "correct horse battery")
    assert not await passwords.verify(hashed, "correct horse batter")
    assert not await passwords.verify(None, "the password of those who have none")
    assert not await passwords.verify("no hash", "correct horse battery")
    assert passwords.verifications == 4


def _services(*secrets: bytes) -> Services:
    authority = TokenAuthority(secrets, "crm-graph", "crm-graph")
    return Services(authority, cast(Any, None), secrets, cast(Any, None), Settings())


def test_what_is_sealed_opens_for_its_purpose_and_workspace_only() -> None:
    old, new = b"o" * 32, b"n" * 32
    text = seal(_services(old), "purpose", "a" * 32, b"secret")
    assert unseal(_services(old), "purpose", "a" * 32, text) == b"secret"
    assert unseal(_services(new, old), "purpose", "a" * 32, text) == b"secret"
    for services, purpose, workspace, sealed in (
        (_services(new), "purpose", "a" * 32, text),
        (_services(old), "another", "a" * 32, text),
        (_services(old), "purpose", "b" * 32, text),
        (_services(old), "purpose", "a" * 32, text[:-8]),
        (_services(old), "purpose", "a" * 32, "ü"),
    ):
        with pytest.raises(OperatorError):
            unseal(services, purpose, workspace, sealed)
