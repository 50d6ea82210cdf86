"""What `crm-graph doctor` finds out about how clients reach us: the public URL, https, and the proxy in front.

Behind a proxy that is not trusted all clients have its address: a hundred wrong sign-ins lock everybody out, and the
audit trail names the proxy. Only a request that goes the clients' way can tell, so one is sent to `CRM_PUBLIC_URL`.
"""

from __future__ import annotations

import httpx

from crm_graph.api.admission.hosts import is_loopback
from crm_graph.kernel.settings import Settings

Told = tuple[str, str, bool]
"""What was seen; how to mend it, empty where nothing is to be; whether the installation works until then."""
TIMEOUT_S = 5.0
_TRUST = "set CRM_TRUSTED_PROXIES to the networks of the proxies, for example `10.0.0.0/8`, and no others"


async def check_reach(settings: Settings) -> list[Told]:
    """Return what is to be said of CRM_PUBLIC_URL, CRM_TRUSTED_PROXIES and https. One request, of 5 s at most."""
    if not settings.public_url:
        fix = "set it to where clients come in, `https://crm.example.com`"
        findings = [
            ("CRM_PUBLIC_URL is not set: links and OAuth addresses follow the Host that a client names", fix, True)
        ]
    else:
        findings = [
            _scheme(settings.public_url),
            await _request(settings.public_url, trusts=bool(settings.trusted_proxies)),
        ]
    if not settings.trusted_proxies and not settings.public_url:
        text = "CRM_TRUSTED_PROXIES is not set: behind a proxy, all clients would count as one address"
        findings.append((text, f"with a proxy in front, {_TRUST}; without one, leave it", True))
    return findings


def _scheme(public_url: str) -> Told:
    url = httpx.URL(public_url)
    if url.scheme == "https" or is_loopback(url.host):
        return f"CRM_PUBLIC_URL is {public_url}", "", True
    fix = "end TLS at a proxy or load balancer, and name its https address"
    return f"CRM_PUBLIC_URL={public_url} is not https: tokens and passwords pass in clear", fix, False


async def _request(public_url: str, *, trusts: bool) -> Told:
    """Ask `/health` as a client would. Its answer tells what the server made of `X-Forwarded-For`."""
    address = f"{public_url.rstrip('/')}/health"
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
            answer = await client.get(address)
        forwarded = answer.raise_for_status().json().get("forwarded")
    except httpx.ConnectError as error:
        if "certificate" in str(error).lower():
            return f"{address}: {error}", "install a certificate that clients trust", False
        return (
            f"{address} cannot be reached from here: {error}",
            "start the server, or ask from where clients are",
            True,
        )
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        fix = "point CRM_PUBLIC_URL, and the proxy behind it, at crm-graph"
        return f"{address} does not answer as crm-graph does: {error}", fix, False
    if forwarded == "ignored":
        return "the proxy in front is not trusted: all clients count as one address", _TRUST, False
    if forwarded is None and trusts:
        fix = "have the proxy set X-Forwarded-For to the client's address; without a proxy unset CRM_TRUSTED_PROXIES"
        return "CRM_TRUSTED_PROXIES is set, but requests come without X-Forwarded-For", fix, True
    return f"clients reach the installation at {public_url}", "", True
