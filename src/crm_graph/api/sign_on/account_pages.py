"""The pages that mailed links lead to where no frontend has its own: choose a password, for an invitation or a reset.

A page is the same for everybody. The token stands behind `#`, which browsers keep to themselves; the page's script
sends it to the graph, as any frontend would.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

_FIELDS = {"invitation": "acceptInvitation", "reset": "resetPassword"}
_TITLES = {"invitation": "Welcome 欢迎", "reset": "A new password 重设密码"}
_SCRIPT = """
const form = document.forms[0], said = document.querySelector("output"), field = form.dataset.field;
const type = field[0].toUpperCase() + field.slice(1) + "Input!";
const query = `mutation ($input: ${type}) { ${field}(input: $input) { errors { message } } }`;
form.onsubmit = async (event) => {
  event.preventDefault();
  const input = { token: location.hash.slice(1), password: form.password.value };
  try {
    const response = await fetch(form.dataset.graph, {
      method: "POST", credentials: "omit", headers: { "content-type": "application/json" },
      body: JSON.stringify({ query, variables: { input } }),
    });
    const { data, errors } = await response.json();
    const refused = errors ?? data[field].errors;
    said.textContent = refused.length ? refused[0].message : "Done: you can sign in now. 完成，现在可以登录。";
    if (!refused.length) { form.remove(); history.replaceState(null, "", location.pathname); }
  } catch { said.textContent = "It did not work. Try again. 请重试。"; }
};
"""
_DIGEST = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'sha256-{_DIGEST}'; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def routes(endpoint: str) -> list[Route]:
    """Return the routes of the pages, which ask the graph at `endpoint`."""

    async def page(request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in _FIELDS:
            return Response(status_code=404)
        return HTMLResponse(_html(kind, endpoint), headers=_HEADERS)

    return [Route("/account/{kind}", page)]


def _html(kind: str, endpoint: str) -> str:
    title = escape(_TITLES[kind])
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        "<meta name=viewport content='width=device-width'>"
        f"<h1>{title}</h1><form data-field={_FIELDS[kind]} data-graph='{escape(endpoint)}'>"
        "<label>Password 密码 <input name=password type=password autocomplete=new-password required></label>"
        f" <button>OK</button></form><p><output></output></p><script>{_SCRIPT}</script></html>"
    )
