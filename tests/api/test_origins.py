"""Where browsers may call from."""

from __future__ import annotations

import pytest

from crm_graph.api.admission.origins import Origins, normal
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings

HOST = "crm.example.com:8000"
LISTED = "https://app.example.com, http://localhost:3000"

OWN = ["http://crm.example.com:8000", "https://crm.example.com:8000", "HTTP://CRM.EXAMPLE.COM:8000"]
FOREIGN = [
    "null",
    "NULL",
    "",
    "http://crm.example.com",
    "http://crm.example.com:8001",
    "http://crm.example.com:80000",
    "http://crm.example.com:8000/",
    "http://crm.example.com:8000.evil.example",
    "http://evil.example/crm.example.com:8000",
    "http://evil.example#crm.example.com:8000",
    "http://evil.example?crm.example.com:8000",
    "http://crm.example.com:8000@evil.example",
    "http://evil.example@crm.example.com:8000",
    "http://user:password@crm.example.com:8000",
    "http://evilcrm.example.com:8000",
    "http://crm.example.com.:8000",
    "http://crm.example.com:8000 ",
    "http://crm.example.com:8000\t",
    "http://crm.example.com:8000, http://crm.example.com:8000",
    "file://crm.example.com:8000",
    "ftp://crm.example.com:8000",
    "crm.example.com:8000",
    "//crm.example.com:8000",
    "http://http://crm.example.com:8000",
    "https://app.example.com.evil.example",
    "https://xapp.example.com",
    "http://app.example.com",
    "https://app.example.com:444",
    "https://аpp.example.com",
    "*",
]


@pytest.mark.parametrize("origin", OWN)
def test_our_own_pages(origin: str) -> None:
    origins = Origins(Settings())
    assert origins.is_own(origin, HOST)
    assert origins.is_allowed(origin, HOST)
    assert origins.headers(origin, HOST) == []


@pytest.mark.parametrize("origin", FOREIGN)
def test_others(origin: str) -> None:
    origins = Origins(Settings(allowed_origins=LISTED, cookies=True))
    assert not origins.is_own(origin, HOST)
    assert not origins.is_trusted(origin, HOST)
    assert not origins.is_allowed(origin, HOST)
    assert origins.headers(origin, HOST) == [(b"vary", b"Origin")]
    assert origins.preflight(origin, HOST) == [(b"vary", b"Origin")]


@pytest.mark.parametrize("host", [None, "", "evil.example", "crm.example.com:8000@evil.example"])
def test_other_hosts(host: str | None) -> None:
    assert not Origins(Settings()).is_own("http://crm.example.com:8000", host)


@pytest.mark.parametrize("origin", ["https://app.example.com", "https://APP.example.com:443", "http://localhost:3000"])
@pytest.mark.parametrize("cookies", [True, False])
def test_those_listed(origin: str, *, cookies: bool) -> None:
    """The answer names the origin as it came, which is what a browser compares with; credentials with cookies only."""
    headers = dict(Origins(Settings(allowed_origins=LISTED, cookies=cookies)).headers(origin, HOST))
    assert headers[b"access-control-allow-origin"] == origin.encode()
    assert headers[b"vary"] == b"Origin"
    assert headers.get(b"access-control-allow-credentials") == (b"true" if cookies else None)


@pytest.mark.parametrize("cookies", [True, False])
def test_any(*, cookies: bool) -> None:
    """`*` lets anybody read who has a token; it never goes with credentials, and nobody by it uses cookies."""
    origins = Origins(Settings(allowed_origins="*", cookies=cookies))
    for origin in ("https://evil.example", "null"):
        assert origins.is_allowed(origin, HOST)
        assert not origins.is_trusted(origin, HOST)
        headers = dict(origins.headers(origin, HOST))
        assert headers[b"access-control-allow-origin"] == b"*"
        assert b"access-control-allow-credentials" not in headers


def test_a_public_address_is_our_own_whatever_the_host_says() -> None:
    origins = Origins(Settings(public_url="https://crm.example.com/base"))
    assert origins.is_own("https://crm.example.com", "internal:8000")
    assert not origins.is_own("http://crm.example.com", "crm.example.com")
    assert not origins.is_own("http://internal:8000", "internal:8000")


def test_no_browser() -> None:
    origins = Origins(Settings())
    assert origins.is_allowed(None, HOST)
    assert origins.headers(None, HOST) == []


@pytest.mark.parametrize(
    "setting", ["app.example.com", "https://app.example.com/", "https://*.example.com", "null", "https://a b"]
)
def test_settings_that_name_none(setting: str) -> None:
    with pytest.raises(OperatorError, match="CRM_ALLOWED_ORIGINS"):
        Origins(Settings(allowed_origins=setting))


def test_spellings() -> None:
    assert normal("HTTPS://Example.COM:443") == normal("https://example.com") == "https://example.com"
    assert normal("http://[2001:DB8::1]:80") == "http://[2001:db8::1]"
    assert normal("http://example.com:00080") == "http://example.com:80"
    assert normal("capacitor://localhost") == "capacitor://localhost"
    assert normal("http:evil") is None


LOOPBACKS = ("http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:4200", "https://app.localhost")


@pytest.mark.parametrize("origin", LOOPBACKS)
def test_every_port_of_this_machine_where_the_setting_says_so(origin: str) -> None:
    origins = Origins(Settings(allowed_origins="loopback"))
    assert origins.is_allowed(origin, HOST)
    assert (b"access-control-allow-origin", origin.encode()) in origins.preflight(origin, HOST)
    assert not Origins(Settings(allowed_origins=LISTED)).is_allowed(origin, HOST)


@pytest.mark.parametrize("origin", [each for each in FOREIGN if each != "*"] + ["http://localhost.evil.example"])
def test_nobody_else_where_the_setting_says_so(origin: str) -> None:
    origins = Origins(Settings(allowed_origins="loopback", cookies=True))
    assert not origins.is_allowed(origin, HOST)
    assert origins.headers(origin, HOST) == [(b"vary", b"Origin")]


@pytest.mark.parametrize(
    ("requested", "allowed"),
    [
        ("authorization,content-type,x-of-a-tool", b"authorization, content-type, x-of-a-tool"),
        ("Apollographql-Client-Name, sentry-trace", b"apollographql-client-name, sentry-trace"),
        (None, None),
        ("", None),
        ("*", None),
        ("x-a,,x-b", None),
        ("x-a\r\nset-cookie: b", None),
        ("x-ä", None),
        (",".join(f"x-{index}" for index in range(51)), None),
        ("x" * 2_001, None),
    ],
)
@pytest.mark.parametrize("setting", [LISTED, "*"])
def test_a_browser_may_send_the_headers_that_it_asks_for(
    requested: str | None, allowed: bytes | None, setting: str
) -> None:
    """Where it asks for what are no names, those that we know and those of clients that we know."""
    found = Origins(Settings(allowed_origins=setting)).preflight("https://app.example.com", HOST, requested)
    names = dict(found)[b"access-control-allow-headers"]
    if allowed is None:
        assert {b"authorization", b"x-crm-csrf", b"apollographql-client-name", b"traceparent"} <= {*names.split(b", ")}
        assert b"x-a" not in names
    else:
        assert names == allowed
    assert (b"vary", b"Access-Control-Request-Headers") in found
    assert Origins(Settings(allowed_origins=setting)).preflight(None, HOST, requested) == (
        [(b"vary", b"Origin")] if setting == LISTED else []
    )
