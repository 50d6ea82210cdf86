"""Redirect URIs: what may be registered, and what is taken for it."""

from __future__ import annotations

import pytest

from crm_graph.domains.identity.clients.redirects import MAX_URIS, check_redirect_uris, matches
from crm_graph.kernel.errors import Refused

CALLBACK = "https://app.example.com/callback"
NATIVE = "http://127.0.0.1/callback"


@pytest.mark.parametrize(
    "uri",
    [
        CALLBACK,
        "https://app.example.com:8443/a/b?c=d&e=%2F",
        "https://app.example.com",
        NATIVE,
        "http://127.0.0.1:8123/callback",
        "http://[::1]:8123/callback",
        "http://localhost/callback?x=1",
    ],
)
def test_may_be_registered(uri: str) -> None:
    assert check_redirect_uris([uri, uri]) == [uri]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://app.example.com/callback",
        "HTTPS://app.example.com/callback",
        "ftp://app.example.com/",
        "javascript:alert(1)",
        "//app.example.com/callback",
        "/callback",
        "https:///callback",
        "https://user@app.example.com/callback",
        "https://app.example.com@evil.example/callback",
        "https://app.example.com/callback#fragment",
        "https://app.example.com/callback#",
        "https://*.example.com/callback",
        "https://app.example.com/a/../callback",
        "https://app.example.com/a/%2e%2E/callback",
        "https://app.example.com/a/..%5Ccallback",
        "https://app.example.com/call back",
        "https://app.example.com/callb\u00e4ck",
        "https://app.example.com\\@evil.example/",
        "https://app.example.com:0/callback",
        "https://app.example.com:99999/callback",
        "https://app.example.com:/callback",
        "https://[::1/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1:70000/callback",
        "http://127.0.0.1:80@evil.example/callback",
        "http://localhost.evil.example/callback",
        "http://0.0.0.0/callback",
        "https://app.example.com/" + "a" * 1_000,
    ],
)
def test_may_not_be_registered(uri: str) -> None:
    with pytest.raises(Refused) as refused:
        check_redirect_uris([CALLBACK, uri])
    assert (refused.value.code, refused.value.field) == ("INVALID", ("redirectUris", "1"))
    assert not matches([uri], uri, any_port=True), "one that got in some other way is not used"


def test_a_client_has_a_bounded_number() -> None:
    with pytest.raises(Refused):
        check_redirect_uris(f"{CALLBACK}/{number}" for number in range(MAX_URIS + 1))


@pytest.mark.parametrize(
    "uri",
    [
        CALLBACK + "/",
        CALLBACK + "?x=1",
        CALLBACK + "#x",
        CALLBACK + "/../evil",
        CALLBACK + "%20",
        CALLBACK.upper(),
        "https://App.example.com/callback",
        "https://app.example.com/Callback",
        "https://app.example.com/%63allback",
        "https://app.example.com:443/callback",
        "https://app.example.com./callback",
        "http://app.example.com/callback",
        "https://app.example.com.evil.example/callback",
        "https://evil.example/https://app.example.com/callback",
        "https://app.example.com@evil.example/callback",
        "https://evil.example\\@app.example.com/callback",
        " " + CALLBACK,
        CALLBACK + "\n",
        "",
    ],
)
def test_only_the_very_address_matches(uri: str) -> None:
    assert matches([CALLBACK], CALLBACK, any_port=False)
    assert not matches([CALLBACK], uri, any_port=False)
    assert not matches([CALLBACK], uri, any_port=True)


def test_a_public_client_chooses_its_port_on_its_own_machine() -> None:
    assert matches([NATIVE], "http://127.0.0.1:51004/callback", any_port=True)
    assert matches(["http://[::1]:1/callback"], "http://[::1]:51004/callback", any_port=True)
    assert not matches([NATIVE], "http://127.0.0.1:51004/callback", any_port=False)
    for other in (
        "http://127.0.0.1:51004/other",
        "http://127.0.0.1:51004/callback?x=1",
        "http://localhost:51004/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:80@evil.example/callback",
        "http://127.0.0.2:51004/callback",
        "https://127.0.0.1:51004/callback",
    ):
        assert not matches([NATIVE], other, any_port=True), other
    assert not matches([CALLBACK], "https://app.example.com:444/callback", any_port=True)
