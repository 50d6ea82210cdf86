"""A sign-in at an issuer that says what a test wants, from its start to the last answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.support.issuers import Answer, Liar
from tests.support.sign_on import Desk, parameters, start, told

NOT_ADMITTED = (403, "Your account at this provider is not allowed in here: ask an administrator of the workspace.")


def identity(issuer: Liar, nonce: str, /, **changes: Any) -> dict[str, Any]:
    """Return claims of an ID token that is good; None removes one."""
    now = int(time.time())
    person = {"email": "ada@new.example", "email_verified": True, "name": "Ada"}
    whole = {"iss": issuer.address, "aud": "crm", "sub": "s", "iat": now, "exp": now + 60, "nonce": nonce, **person}
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


async def answered(
    at: Desk,
    issuer: Liar,
    provider_id: str,
    token: Callable[[str], str] | None = None,
    claims: dict[str, Any] | None = None,
    parameters_changed: dict[str, str] | None = None,
) -> httpx.Response:
    """Go through a sign-in at an issuer that answers what is asked of it, and return the last answer."""
    async with at.browser() as browser:
        asked = parameters(await start(browser, provider_id))
        made = token or (lambda nonce: issuer.sign(identity(issuer, nonce, **(claims or {})), typ="JWT"))
        body = {"access_token": "opaque", "token_type": "Bearer", "id_token": made(asked["nonce"])}
        issuer.answers.setdefault("/token", Answer(body))
        given = {"code": "c", "state": asked["state"], **(parameters_changed or {})}
        try:
            return await browser.get(f"/sso/{provider_id}/callback", params=given)
        finally:
            if issuer.answers["/token"].body is body:
                del issuer.answers["/token"]


async def refused(at: Desk, issuer: Liar, wanted: tuple[int, str], **how: Any) -> None:
    """Check that a sign-in is refused with these words, signs nobody in and writes nothing."""
    rows = await at.graph.rows("SELECT id FROM identity_provider ORDER BY id LIMIT 1")
    provider_id = how.pop("provider_id", None) or f"idp_{rows[0][0]}"
    before = await at.written()
    response = await answered(at, issuer, provider_id, **how)
    assert told(response) == wanted
    assert "crm_signed_in" not in response.headers.get("set-cookie", "")
    assert await at.written() == before
