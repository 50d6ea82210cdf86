"""The pages for people: rendered here, without scripts and without anything from elsewhere.

Jinja2, because it escapes every value without being asked to; a name of an app or a member is somebody else's text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import OAuth2Error
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response

from crm_graph.api.oauth.answers import NO_STORE
from crm_graph.api.oauth.texts import texts_for
from crm_graph.kernel.errors import RateLimited

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


async def answered(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Return the answer to a browser; what goes wrong on the way is a page of its own."""
    try:
        return await answer(request)
    except OAuth2Error as error:
        return problem_page(request, error)
    except RateLimited as error:
        return too_many_page(request, error.retry_after_s)
    except ClientDisconnect:
        return Response(status_code=499)


def problem_page(request: Request, error: OAuth2Error) -> Response:
    """Return the page of an error that the client cannot be told of."""
    texts = texts_for(request.headers.get("accept-language"))
    detail = ": ".join(filter(None, (error.error, error.get_error_description())))
    return page(
        "message", texts, error.status_code or 400, title=texts["error"], message=texts["error_help"], detail=detail
    )


def too_many_page(request: Request, retry_after_s: int) -> Response:
    """Return the page of one attempt too many."""
    texts: Mapping[str, Any] = texts_for(request.headers.get("accept-language"))
    message = texts["too_many"].format(minutes=-(-retry_after_s // 60))
    response = page("message", texts, 429, title=texts["error"], message=message, detail=None)
    response.headers["Retry-After"] = str(retry_after_s)
    return response
