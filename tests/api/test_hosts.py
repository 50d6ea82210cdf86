"""Which Host headers `crm-graph dev` answers to, and who is shown an administrator's token."""

from __future__ import annotations

import pytest

from crm_graph.api.admission.hosts import MISDIRECTED, Hosts, is_near

LOCAL = ("localhost", "LOCALHOST:8000", "app.localhost:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000", "[::1]")
OF_A_NETWORK = ("192.168.1.5:8000", "10.0.0.7", "[fe80::1]:8000", "203.0.113.9")
NEVER = (
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "[::1].evil.example",
    "[::1]evil.example:80",
    "evil.example#localhost",
    "localhost@evil.example",
    "evil.example\\.localhost",
    "user@localhost",
    "127.0.0.1:8000:8000",
    "",
    " localhost",
)


def _headers(*hosts: str) -> list[tuple[bytes, bytes]]:
    return [(b"accept", b"*/*"), *((b"host", host.encode("latin-1")) for host in hosts)]


@pytest.mark.parametrize("host", LOCAL)
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert Hosts.listening_on("127.0.0.1").allow(_headers(host))
    assert is_near(host, "127.0.0.1")


@pytest.mark.parametrize("host", OF_A_NETWORK)
def test_addresses_are_answered_where_the_server_listens_to_a_network(host: str) -> None:
    assert not Hosts.listening_on("localhost").allow(_headers(host))
    assert Hosts.listening_on("0.0.0.0").allow(_headers(host))
    assert not is_near(host, "127.0.0.1"), "a token is shown to nobody but this machine"


@pytest.mark.parametrize("host", NEVER)
@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0", "::"])
def test_names_that_somebody_else_resolves_never_are(host: str, listening: str) -> None:
    assert not Hosts.listening_on(listening).allow(_headers(host))
    assert not is_near(host, "127.0.0.1")


def test_a_request_without_a_host_or_with_a_second_one_is_refused() -> None:
    hosts = Hosts.listening_on("127.0.0.1")
    assert not hosts.allow(_headers())
    assert not hosts.allow(_headers("localhost", "evil.example"))
    assert b"http://127.0.0.1:PORT" in MISDIRECTED


def test_nobody_from_elsewhere_is_near() -> None:
    assert not is_near("localhost", "192.168.1.9")
    assert not is_near("localhost", None)
    assert is_near("localhost", "::ffff:127.0.0.1")
