"""The pages for people: rendered here, without scripts and without anything from elsewhere.

Jinja2, because it escapes every value without being asked to; a name of an app or a member is somebody else's text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from crm_graph.api.oauth.answers import NO_STORE

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    template: str,
    texts: Mapping[str, str],
    status: int = 200,
    *,
    form_goes_to: str | None = None,
    **values: Any,
) -> HTMLResponse:
    """Return a page. `form_goes_to` is the client's address that its form may redirect to: browsers hold redirects of
    a form to `form-action` too."""
    body = _ENVIRONMENT.get_template(f"{template}.html").render(
        texts=texts,
        style=Markup(_STYLE),  # noqa: S704 - our own file
        **values,
    )
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'{_source(form_goes_to)};"
        " frame-ancestors 'none'; base-uri 'none'"
    )
    headers = {"Content-Security-Policy": policy, "X-Frame-Options": "DENY", "Content-Language": texts["language"]}
    return HTMLResponse(body, status, {**headers, **NO_STORE, "Vary": "Accept-Language, Cookie"})


def _source(uri: str | None) -> str:
    """Return the origin of an address, as a source of a policy."""
    if uri is None:
        return ""
    parts = urlsplit(uri)
    # A policy has no way to write an IPv6 address.
    return f" {parts.scheme}:" if "[" in parts.netloc else f" {parts.scheme}://{parts.netloc}"
