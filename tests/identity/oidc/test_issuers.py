"""What is fetched from issuers, how often, and what of it is believed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from joserfc.jwk import OctKey, RSAKey

from crm_graph.identity.oidc.fetch import Fetcher, parse_url
from crm_graph.identity.oidc.issuers import MAX_ISSUERS, Issuers
from crm_graph.identity.oidc.keys import MAX_KEYS
from crm_graph.kernel.errors import IssuerFault
from crm_graph.kernel.settings import Settings
from tests.support.issuers import EC, ED25519, OTHER_RSA, PRIVATE, RSA, Answer, Liar, liar

WELL_KNOWN = "/.well-known/openid-configuration"
SETTINGS = Settings(provider_private=PRIVATE, provider_timeout_ms=30_000, provider_max_bytes=4_096)


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
async def issuer() -> AsyncIterator[Liar]:
    async with liar() as made:
        yield made


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def issuers(clock: Time) -> AsyncIterator[Issuers]:
    made = Issuers.of(SETTINGS, clock)
    yield made
    await made.aclose()


async def fault(issuers: Issuers, address: str) -> str:
    with pytest.raises(IssuerFault) as caught:
        await issuers.metadata(address)
    return caught.value.message.replace(address, "ISSUER")


async def test_keys_are_found_by_id_and_algorithm(issuers: Issuers, issuer: Liar) -> None:
    for key, algorithm in ((RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED25519, "EdDSA"), (ED25519, "Ed25519")):
        found = await issuers.key(issuer.address, key.kid, algorithm)
        assert found is not None
        assert found.thumbprint() == key.thumbprint()
    assert await issuers.key(issuer.address, None, "ES256") is not None, "the only one for its algorithm"
    assert await issuers.key(issuer.address, RSA.kid, "ES256") is None
    assert issuer.asked == {WELL_KNOWN: 1, "/jwks": 1}, "what is not there was just looked for"


async def test_a_flood_of_unknown_keys_is_one_fetch_a_cool_down(issuers: Issuers, issuer: Liar, clock: Time) -> None:
    assert await issuers.key(issuer.address, RSA.kid, "RS256") is not None
    clock.pass_(31)
    for index in range(200):
        assert await issuers.key(issuer.address, f"invented {index}", "RS256") is None
    assert issuer.asked["/jwks"] == 2
    clock.pass_(31)
    assert await issuers.key(issuer.address, "invented", "RS256") is None
    assert issuer.asked["/jwks"] == 3


async def test_a_new_key_is_fetched_and_an_old_one_ends(issuers: Issuers, issuer: Liar, clock: Time) -> None:
    assert await issuers.key(issuer.address, RSA.kid, "RS256") is not None
    issuer.publish(OTHER_RSA)
    assert await issuers.key(issuer.address, OTHER_RSA.kid, "RS256") is None, "within the cool-down"
    clock.pass_(31)
    assert await issuers.key(issuer.address, OTHER_RSA.kid, "RS256") is not None
    assert await issuers.key(issuer.address, RSA.kid, "RS256") is None


async def test_known_keys_outlive_an_outage_until_they_are_too_old(issuers: Issuers, issuer: Liar, clock: Time) -> None:
    await issuers.metadata(issuer.address)
    issuer.answers["/jwks"] = Answer({}, 503)
    clock.pass_(3_600)
    assert await issuers.key(issuer.address, RSA.kid, "RS256") is not None
    clock.pass_(5 * 3_600)
    with pytest.raises(IssuerFault) as caught:
        await issuers.key(issuer.address, RSA.kid, "RS256")
    assert caught.value.temporary
    asked = issuer.asked["/jwks"]
    with pytest.raises(IssuerFault):
        await issuers.key(issuer.address, RSA.kid, "RS256")
    assert issuer.asked["/jwks"] == asked, "who is away is not asked at each request"
    issuer.publish(RSA)
    clock.pass_(31)
    assert await issuers.key(issuer.address, RSA.kid, "RS256") is not None


async def test_an_error_that_nobody_thought_of_is_a_try_too(
    issuers: Issuers, issuer: Liar, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def break_down(*_: Any) -> Any:
        nonlocal tries
        tries += 1
        raise IndexError

    with monkeypatch.context() as patched:
        patched.setattr(issuers.fetcher, "get", break_down)
        with pytest.raises(IndexError):
            await issuers.metadata(issuer.address)
        for _ in range(5):
            assert await fault(issuers, issuer.address) == "ISSUER is not known"
    assert tries == 1
    clock.pass_(31)
    assert (await issuers.metadata(issuer.address)).issuer == issuer.address


PRIVATE_JWK = RSA.as_dict(private=True)
OCT = OctKey.generate_key(256).as_dict(private=True)


def jwk(key: Any = RSA, **changes: Any) -> dict[str, Any]:
    whole = {**key.as_dict(private=False), "use": "sig", **changes}
    return {name: value for name, value in whole.items() if value is not None}


LIES: dict[str, tuple[Any, str]] = {
    "a shared secret": ([jwk(), OCT], "ISSUER/jwks publishes a key that must be secret"),
    "a private key": ([jwk(EC), PRIVATE_JWK], "ISSUER/jwks publishes a key that must be secret"),
    "two keys of one id": ([jwk(), jwk(OTHER_RSA, kid=RSA.kid)], "ISSUER/jwks has two keys of one id"),
    "more keys than anybody has": ([{"kty": "x"}] * (MAX_KEYS + 1), "ISSUER/jwks has more than 50 keys"),
    "keys for encryption alone": ([jwk(use="enc")], "ISSUER/jwks has no key that can sign"),
    "no keys": ([], "ISSUER/jwks has no key that can sign"),
    "a short RSA key": ([{"kty": "RSA", "n": "A" * 170, "e": "AQAB"}], "ISSUER/jwks has no key that can sign"),
    "another curve": ([jwk(EC, crv="P-384")], "ISSUER/jwks has no key that can sign"),
    "a point off the curve": ([jwk(EC, x="AAAA")], "ISSUER/jwks has a key that cannot be read"),
    "a number for an id": ([jwk(kid=7)], "ISSUER/jwks has a key whose id cannot be"),
    "no list": ({"a": 1}, "ISSUER/jwks is no JWK set"),
    "texts for keys": (["a"], "ISSUER/jwks is no JWK set"),
}


@pytest.mark.parametrize(("keys", "wanted"), LIES.values(), ids=LIES.keys())
async def test_a_set_that_lies_is_refused(issuers: Issuers, issuer: Liar, keys: Any, wanted: str) -> None:
    issuer.answers["/jwks"] = Answer({"keys": keys})
    assert wanted in await fault(issuers, issuer.address)


ANSWERS: dict[str, tuple[Answer, str]] = {
    "too long": (Answer({"keys": "x" * 5_000}), "ISSUER/jwks is longer than 4096 bytes"),
    "a redirect": (
        Answer({}, 302, {"Location": "/"}),
        "ISSUER/jwks redirects, which is not followed",
    ),
    "a page": (Answer("<html>", 200, {"Content-Type": "text/html"}), "ISSUER/jwks answers 200 and no JSON"),
    "a list": (Answer([1]), "ISSUER/jwks is no JSON object"),
    "no JSON": (
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{"),
        "ISSUER/jwks is not JSON",
    ),
    "compressed": (Answer({}, 200, {"Content-Encoding": "gzip"}), "ISSUER/jwks is compressed, which was not asked for"),
    "an error": (Answer({}, 500), "ISSUER/jwks answers 500"),
    "no HTTP": (Answer(raw=b"SSH-2.0-OpenSSH\r\n"), "ISSUER/jwks cannot be reached: RemoteProtocolError"),
    "a body without an end": (
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b" " * 5_000),
        "ISSUER/jwks is longer than 4096 bytes",
    ),
}


@pytest.mark.parametrize(("answer", "wanted"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_that_is_none_is_refused(issuers: Issuers, issuer: Liar, answer: Answer, wanted: str) -> None:
    issuer.answers["/jwks"] = answer
    assert await fault(issuers, issuer.address) == wanted


async def test_silence_is_waited_for_no_longer_than_that(issuer: Liar) -> None:
    issuer.answers["/jwks"] = Answer(hangs=True)
    fetcher = Fetcher([ip_network(PRIVATE)], timeout_s=0.2)
    with pytest.raises(IssuerFault, match=r"/jwks did not answer within 0\.2 s") as caught:
        await fetcher.get(f"{issuer.address}/jwks")
    assert caught.value.temporary
    await fetcher.aclose()


METADATA: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"issuer": "https://evil.example"}, "is of the issuer 'https://evil.example'"),
    "no issuer": ({"issuer": None}, "is of the issuer none"),
    "none of our algorithms": (
        {"id_token_signing_alg_values_supported": ["none", "HS256"]},
        "signs its ID tokens with none of RS256",
    ),
    "no code": ({"response_types_supported": ["id_token"]}, "does not support the response type `code`"),
    "a file": ({"jwks_uri": "file:///etc/passwd"}, "its `jwks_uri` must be an https URL"),
    "a script": (
        {"authorization_endpoint": "javascript:alert(1)"},
        "its `authorization_endpoint` must be",
    ),
    "a user in an address": ({"token_endpoint": "https://a@b.example/"}, "its `token_endpoint` must be an https URL"),
    "a host that cannot be decoded": ({"jwks_uri": "https://xn--a/jwks"}, "its `jwks_uri` must be an https URL"),
    "a private address": ({"jwks_uri": "https://10.0.0.1/jwks"}, "its address is not a public one"),
    "the metadata of a cloud": ({"jwks_uri": "https://169.254.169.254/latest"}, "its address is not a public one"),
    "a page without TLS": (
        {"authorization_endpoint": "http://accounts.example.com/"},
        "its `authorization_endpoint` must be https",
    ),
    "http elsewhere": ({"jwks_uri": "http://192.0.2.1/jwks"}, "must be https"),
}


@pytest.mark.parametrize(("changes", "wanted"), METADATA.values(), ids=METADATA.keys())
async def test_metadata_that_lies_is_refused(
    issuers: Issuers, issuer: Liar, changes: dict[str, Any], wanted: str
) -> None:
    issuer.metadata.update(changes)
    assert wanted in await fault(issuers, issuer.address)
    assert issuer.asked["/jwks"] == 0


async def test_a_slash_at_the_end_is_another_issuer(issuers: Issuers, issuer: Liar) -> None:
    assert "they must be the same to the letter" in await fault(issuers, issuer.address + "/")


ADDRESSES = (
    "http://127.0.0.1:9/",
    "https://127.0.0.1:9/",
    "https://localhost:9/",
    "https://[::1]:9/",
    "https://[::ffff:127.0.0.1]:9/",
    "https://[64:ff9b::7f00:1]:9/",
    "https://[2002:7f00:1::]:9/",
    "https://0.0.0.0:9/",
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/",
    "https://224.0.0.1/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://2130706433/",
    "https://0x7f.1/",
)


@pytest.mark.parametrize("address", ADDRESSES)
async def test_no_fetch_goes_into_our_own_network(address: str) -> None:
    fetcher = Fetcher()
    with pytest.raises(IssuerFault, match=r"its address is not a public one|is not known"):
        await fetcher.get(address)
    await fetcher.aclose()


async def test_a_name_is_resolved_as_it_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded and encoded again by the rules of another year, `straße` is `strasse`: somebody else's."""
    asked = []

    def resolve(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    fetcher = Fetcher()
    with pytest.raises(IssuerFault, match="is not known"):
        await fetcher.get("https://xn--strae-oqa.example/")
    await fetcher.aclose()
    assert asked == ["xn--strae-oqa.example"]


async def test_http_is_for_loopback_only() -> None:
    fetcher = Fetcher([ip_network("10.0.0.0/8")])
    with pytest.raises(IssuerFault, match="must be https"):
        await fetcher.get("http://10.0.0.1/")
    await fetcher.aclose()


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "ftp://a/", "https://", "https://a b/", "https://a/#b", "https://é/", 7, None),
        *("https://xn--a", "https://xn--", "https://xn--0", "https://xn--zz-zz--", "https://xn--a.example/x"),
        *("https://a:0/", "https://a:65536/"),
    ],
)
def test_what_is_no_address(text: Any) -> None:
    with pytest.raises(IssuerFault, match="must be an https URL"):
        parse_url(text)


async def test_the_issuers_that_are_remembered_are_bounded(issuers: Issuers) -> None:
    for index in range(MAX_ISSUERS + 50):
        with pytest.raises(IssuerFault):
            await issuers.metadata(f"ftp://{index}")
    assert len(issuers._known) == MAX_ISSUERS


def test_a_large_rsa_key_is_not_worked_with() -> None:
    from crm_graph.identity.oidc.keys import parse_keys

    huge = {"kty": "RSA", "n": "w" * 2_800, "e": "AQAB"}
    with pytest.raises(IssuerFault, match="no key that can sign"):
        parse_keys({"keys": [huge]}, "there")
    assert isinstance(parse_keys({"keys": [huge, jwk()]}, "there").keys[0].key, RSAKey)


async def test_what_is_fetched_lasts(clock: Time, issuer: Liar) -> None:
    issuers = Issuers.of(replace(SETTINGS, provider_keys_seconds=60), clock)
    for _ in range(5):
        await issuers.metadata(issuer.address)
    assert issuer.asked == {WELL_KNOWN: 1, "/jwks": 1}
    clock.pass_(61)
    await issuers.metadata(issuer.address)
    assert issuer.asked == {WELL_KNOWN: 2, "/jwks": 2}
    await issuers.aclose()


async def test_nobody_waits_while_another_fetches_again(issuers: Issuers, issuer: Liar, clock: Time) -> None:
    await issuers.metadata(issuer.address)
    clock.pass_(700)
    issuer.answers["/jwks"] = Answer(hangs=True)
    fetching = asyncio.ensure_future(issuers.metadata(issuer.address))
    await issuer.hung.wait()
    assert await issuers.key(issuer.address, RSA.kid, "RS256") is not None
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)
    issuer.publish(OTHER_RSA)
    assert await issuers.key(issuer.address, OTHER_RSA.kid, "RS256") is not None, "one who left is no try"
