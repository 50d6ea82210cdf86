"""GraphiQL, the browser IDE for the graph, served from this machine alone.

Why a package from the index: the built files of GraphiQL and React are others' work and do not belong in this
repository, a newcomer can have no node to build them with, and a page that fetches them from a CDN is blank without
a network. `graphene-django-graphiql-static` is nothing but those files in a wheel of 0.6 MB that requires nothing (not
even Django); they are looked up by path, and its code is never imported.
"""

from __future__ import annotations

import hashlib
import html
import json
import string
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from crm_graph.api.console.examples import Example

PATH = "/graphiql"

_PACKAGE = "graphene_django_graphiql_static"
_HERE = Path(__file__).parent
_OWN_SCRIPT = "graphiql.js"

# In the order in which the page needs them: each script uses the globals of those before it, our own comes last.
_STYLES = ("graphiql.min.css", "style.css")
_SCRIPTS = (
    "react.production.min.js",
    "react-dom.production.min.js",
    "graphiql.min.js",
    "graphql-ws.min.js",
    "graphiql-plugin-explorer.umd.js",
)
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}

# Scripts run only as files of this origin, so nothing that a stored value smuggles into the page can run. Styles may
# be inline since GraphiQL's dialogs add <style> elements and offer no way to give them a nonce; its fonts and icons
# are data: URLs. `connect-src 'self'` also means that a token typed into the page can be sent nowhere else.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",  # the page can hold a token
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ASSET_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def asset_directory() -> Path | None:
    """Return the directory with GraphiQL's built files, or None if they are not (all) installed.

    `find_spec` of a top-level name finds a package without running it; running this one would want Django.
    """
    spec = find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(location, "static", _PACKAGE)
        if all((directory / name).is_file() for name in (*_STYLES, *_SCRIPTS)):
            return directory
    return None


def page(
    *, endpoint: str, subscription_url: str, token: str | None, examples: Sequence[Example], path: str = PATH
) -> str:
    """Return the page: one tab per example, the token box filled with `token`.

    `endpoint` and `subscription_url` are paths (or URLs) of this origin; the script turns the latter into ws: or wss:.
    `path` is where `routes` put the assets. Only give a token in development: whoever loads the page reads it.
    """
    files = _files()
    settings = {
        "endpoint": endpoint,
        "subscriptionUrl": subscription_url,
        "token": token or "",
        "tabs": [_tab(example) for example in examples],
    }
    # A browser ends a data block at "</script" and mistreats "<!--"; JSON can spell both without the "<".
    data = json.dumps(settings).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

    def address(name: str) -> str:
        # The digest changes with the content, so the files can be cached for good and still be replaced.
        version = _digest(files[name]) if name in files else "missing"
        return html.escape(f"{path}/assets/{name}?v={version}")

    return string.Template((_HERE / "graphiql.html").read_text(encoding="utf-8")).substitute(
        styles="\n    ".join(f'<link rel="stylesheet" href="{address(name)}">' for name in _STYLES),
        scripts="\n    ".join(f'<script src="{address(name)}"></script>' for name in (*_SCRIPTS, _OWN_SCRIPT)),
        settings=data,
        endpoint=html.escape(endpoint),
    )


def response(
    *, endpoint: str, subscription_url: str, token: str | None, examples: Sequence[Example], path: str = PATH
) -> Response:
    """Return `page` with the headers that it is safe under, or say what is missing."""
    if asset_directory() is None:
        return PlainTextResponse(
            "GraphiQL's files are not installed; `make install` installs them.\n"
            f"The graph itself works without them: POST {endpoint}\n",
            status_code=503,
            headers={"Cache-Control": "no-store"},
        )
    body = page(endpoint=endpoint, subscription_url=subscription_url, token=token, examples=examples, path=path)
    return HTMLResponse(body, headers=_PAGE_HEADERS)


def routes(show: Callable[[Request], Awaitable[Response]], path: str = PATH) -> list[BaseRoute]:
    """Return the routes of the page (`path`), which `show` answers, and of its files (`path`/assets/...)."""

    async def asset(request: Request) -> Response:
        # A table of known names rather than a joined path: there is nothing to traverse.
        file = _files().get(request.path_params["file"])
        if file is None:
            return PlainTextResponse("Not found\n", status_code=404)
        return FileResponse(file, media_type=_MEDIA_TYPES[file.suffix], headers=_ASSET_HEADERS)

    return [Route(path, show, methods=["GET"]), Route(f"{path}/assets/{{file}}", asset, methods=["GET"])]


def _tab(example: Example) -> dict[str, Any]:
    # A comment above the operation leaves GraphiQL's own tab title, the operation's name, as it is.
    query = f"# {' '.join(example.title.split())}\n{example.operation.strip()}\n"
    return {"query": query, "variables": dict(example.variables), "fill": example.fill}


def _files() -> dict[str, Path]:
    """Return the files that may be served, by name."""
    directory = asset_directory()
    third_party = {name: directory / name for name in (*_STYLES, *_SCRIPTS)} if directory else {}
    return {**third_party, _OWN_SCRIPT: _HERE / _OWN_SCRIPT}


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
