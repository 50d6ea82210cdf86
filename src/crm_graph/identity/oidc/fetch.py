"""Fetches from issuers, and posts to webhook endpoints, whose addresses an administrator of one workspace chose:
bounded, and never into the network of whoever runs the installation.

A name is resolved once, its addresses are checked, and the connection goes to the address that was checked: a name that
answers differently the second time gains nothing. Redirects are not followed, connections are not kept.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeAlias, TypeVar

import httpx
import orjson

from crm_graph.identity.oidc.addresses import is_public
from crm_graph.identity.origin import Network
from crm_graph.kernel.errors import IssuerFault

MAX_ADDRESSES = 3
"""Of a name, so many are tried."""
MAX_URL_LENGTH = 500
MAX_CONNECTIONS = 100
RESOLVING_THREADS = 16
"""Of our own: a name server that answers late must not take the threads that others in this process resolve in."""

_Answer = TypeVar("_Answer")
_Content: TypeAlias = "Mapping[str, str] | bytes | None"
_Reader: TypeAlias = "Callable[[httpx.Response, str], Awaitable[_Answer]]"


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of JSON: the HTTP status, and the object."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Posted:
    """An answer of any kind: the HTTP status, and the beginning of the body."""

    status: int
    body: bytes


class Fetcher:
    """Fetches JSON, and posts it. One a process; `aclose` ends it."""

    def __init__(
        self,
        private: Sequence[Network] = (),
        timeout_s: float = 5.0,
        max_bytes: int = 256 * 1024,
        setting: str = "CRM_PROVIDER_PRIVATE",
    ) -> None:
        """`private` are the networks that are reached although they are not public, by the `setting` of this name."""
        self._private = tuple(private)
        self._setting = setting
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._client: httpx.AsyncClient | None = None
        self._threads = ThreadPoolExecutor(RESOLVING_THREADS, thread_name_prefix="resolve")

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the object at a URL. Raises IssuerFault, which names the URL."""
        response = await self._bounded("GET", url, headers or {}, None, self._read)
        if response.status != 200:
            raise IssuerFault(f"{url} answers {response.status}", temporary=response.status >= 500)
        return response.body

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Fetched:
        """Send a form and return the answer, whatever its status. Raises IssuerFault, which names the URL."""
        return await self._bounded("POST", url, headers, form, self._read)

    async def deliver(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        """Send a body and return whatever is answered, a redirect included, its body cut at the bound. Raises
        IssuerFault where nothing is."""
        return await self._bounded("POST", url, {"Accept": "*/*", **headers}, body, self._read_beginning)

    async def aclose(self) -> None:
        """Close what is open."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            await self._client.aclose()

    async def _bounded(
        self, method: str, url: str, headers: Mapping[str, str], content: _Content, read: _Reader[_Answer]
    ) -> _Answer:
        parsed = parse_url(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                addresses = await self._resolve(parsed, url)
                for address in addresses[:-1]:
                    try:
                        return await self._send(method, parsed, address, headers, content, read)
                    except (httpx.ConnectError, httpx.ConnectTimeout):
                        continue
                return await self._send(method, parsed, addresses[-1], headers, content, read)
        except TimeoutError:
            raise IssuerFault(f"{url} did not answer within {self._timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise IssuerFault(f"{url} cannot be reached: {type(error).__name__}") from None

    async def _resolve(self, url: httpx.URL, shown: str) -> Sequence[str]:
        """Return the addresses of a host, all of which may be reached."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            resolve = partial(socket.getaddrinfo, url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM)
            resolved = await asyncio.get_running_loop().run_in_executor(self._threads, resolve)
        except (OSError, UnicodeError):
            raise IssuerFault(f"{shown}: the name of the host is not known") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in resolved))[:MAX_ADDRESSES]
        if not addresses:
            raise IssuerFault(f"{shown}: the name of the host is not known")
        for address in addresses:
            self._check_address(address, url.scheme, shown)
        return addresses

    def _check_address(self, text: str, scheme: str, shown: str) -> None:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if scheme == "http" and not address.is_loopback:
            raise IssuerFault(f"{shown}: must be https", temporary=False)
        if any(address in network for network in self._private if network.version == address.version):
            return
        if not is_public(address):
            raise IssuerFault(
                f"{shown}: its address is not a public one; the operator can allow its network by {self._setting}",
                temporary=False,
            )

    async def _send(
        self,
        method: str,
        url: httpx.URL,
        address: str,
        headers: Mapping[str, str],
        content: _Content,
        read: _Reader[_Answer],
    ) -> _Answer:
        if self._client is None:
            self._client = httpx.AsyncClient(
                trust_env=False,
                verify=httpx.create_ssl_context(),
                follow_redirects=False,
                timeout=self._timeout_s,
                # Connections are found by address: one that was made for another name would be taken.
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0),
            )
        request = self._client.build_request(
            method,
            url.copy_with(host=address),
            content=content if isinstance(content, bytes) else None,
            data=None if isinstance(content, bytes) else content,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "crm-graph",
                **headers,
                "Host": url.netloc.decode("ascii"),
            },
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        response = await self._client.send(request, stream=True)
        try:
            return await read(response, str(url))
        finally:
            await response.aclose()

    async def _read_beginning(self, response: httpx.Response, _: str) -> Posted:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) >= self._max_bytes:
                break
        return Posted(response.status_code, bytes(body[: self._max_bytes]))

    async def _read(self, response: httpx.Response, shown: str) -> Fetched:
        if response.is_redirect:
            raise IssuerFault(f"{shown} redirects, which is not followed", temporary=False)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise IssuerFault(f"{shown} is compressed, which was not asked for", temporary=False)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                raise IssuerFault(f"{shown} is longer than {self._max_bytes} bytes", temporary=False)
        media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        temporary = response.status_code >= 500
        if media != "application/json" and not media.endswith("+json"):
            raise IssuerFault(f"{shown} answers {response.status_code} and no JSON", temporary=temporary)
        try:
            parsed = orjson.loads(body)
        except ValueError:
            raise IssuerFault(f"{shown} is not JSON", temporary=temporary) from None
        if not isinstance(parsed, dict):
            raise IssuerFault(f"{shown} is no JSON object", temporary=False)
        return Fetched(response.status_code, parsed)


def is_loopback(host: str) -> bool:
    """Return whether a host is this very machine by its name, which alone may be reached without TLS."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def parse_url(text: Any, what: str = "the address") -> httpx.URL:
    """Return the URL of an endpoint: https, or http, which loopback alone may serve. Raises IssuerFault."""
    fault = IssuerFault(f"{what} must be an https URL without user and fragment", temporary=False)
    if not isinstance(text, str) or len(text) > MAX_URL_LENGTH or not text.isascii() or not text.isprintable():
        raise fault
    try:
        url = httpx.URL(text)
        host = url.host  # decodes `xn--`, and has errors of its own for what is no such name
    except (httpx.InvalidURL, ValueError, IndexError):
        raise fault from None
    if (
        url.scheme not in {"https", "http"}
        or not host
        or url.userinfo
        or any(character in text for character in "#\\ ")
    ):
        raise fault
    if url.port is not None and not 0 < url.port < 1 << 16:
        raise fault
    return url
