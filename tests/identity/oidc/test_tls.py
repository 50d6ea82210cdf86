"""Over TLS: the certificate must be of the name, although the connection goes to an address that was checked before."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from crm_graph.identity.oidc.fetch import Fetcher
from crm_graph.kernel.errors import IssuerFault
from tests.support.issuers import PRIVATE, Answer, Liar


def certificate(
    name: str, key: EllipticCurvePrivateKey, issuer: str, by: EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    """Return a certificate of a name."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(by, SHA256())
    )


@asynccontextmanager
async def serving(name: str, directory: Path) -> AsyncIterator[int]:
    """Serve TLS on loopback with a certificate of a name; the authority's is in `authority.pem`. Yields the port."""
    authority, own = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    root = certificate("authority.example", authority, "authority.example", authority, authority=True)
    leaf = certificate(name, own, "authority.example", authority, authority=False)
    (directory / "authority.pem").write_bytes(root.public_bytes(Encoding.PEM))
    chain = leaf.public_bytes(Encoding.PEM) + own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "chain.pem").write_bytes(chain)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "chain.pem")
    liar = Liar()
    liar.answers["/x"] = Answer({"over": "TLS"})
    server = await asyncio.start_server(liar.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def fetched(port: int) -> object:
    fetcher = Fetcher([ip_network(PRIVATE), ip_network("::1/128")], timeout_s=30)
    try:
        return await fetcher.get(f"https://localhost:{port}/x")
    finally:
        await fetcher.aclose()


async def test_a_certificate_of_the_name_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving("localhost", tmp_path) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert await fetched(port) == {"over": "TLS"}


async def test_a_certificate_of_another_name_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving("other.example", tmp_path) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        with pytest.raises(IssuerFault, match="cannot be reached: ConnectError"):
            await fetched(port)


async def test_a_certificate_of_an_authority_that_nobody_knows_is_not(tmp_path: Path) -> None:
    async with serving("localhost", tmp_path) as port:
        with pytest.raises(IssuerFault, match="cannot be reached: ConnectError"):
            await fetched(port)
