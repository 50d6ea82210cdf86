"""`login`, `logout` and `api`: the command line as one of the authorization server's clients, on any installation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
from rich.markup import escape

from crm_graph.cli.access.credentials import Credentials, forget, held, load, save
from crm_graph.cli.console import console
from crm_graph.cli.web import WebError, get_json, post_form, post_json
from crm_graph.kernel.errors import OperatorError

CLIENT = "crm-graph-cli"
SCOPES = {False: "crm openid profile", True: "crm.read openid profile"}
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LEEWAY_S = 30


def sign_in(url: str, workspace: str | None, client_id: str | None, *, read_only: bool) -> None:
    """Sign in to the installation at a URL by a code that a member confirms in a browser, and keep the tokens. Raises
    OperatorError and WebError."""
    server = get_json(f"{url.rstrip('/')}/.well-known/oauth-authorization-server")
    issuer = _endpoint(server, "issuer")
    if issuer != url.rstrip("/"):
        raise OperatorError(f"the server at {url} calls itself {issuer}", f"log in there: `crm-graph login {issuer}`")
    client = client_id or (f"{CLIENT}@{workspace}" if workspace else CLIENT)
    try:
        device = post_form(
            _endpoint(server, "device_authorization_endpoint"), {"client_id": client, "scope": SCOPES[read_only]}
        )
    except WebError as error:
        if error.code == "invalid_client" and client_id is None:
            raise OperatorError(
                f"{url} lets no command line in",
                "ask its operator whether CRM_COMMAND_LINE_CLIENT is on, or give a `--client-id` of a workspace",
            ) from None
        raise
    console.print(
        f"Open {escape(device['verification_uri'])} and enter the code", f"[bold]{device['user_code']}[/bold]"
    )
    console.print(f"[dim]or open {escape(device['verification_uri_complete'])}[/dim]", soft_wrap=True)
    fields = {"grant_type": _GRANT, "device_code": device["device_code"], "client_id": client}
    tokens = _poll(_endpoint(server, "token_endpoint"), fields, int(device["interval"]), int(device["expires_in"]))
    with held():
        save(Credentials.of(issuer, client, server, tokens))
    name = get_json(_endpoint(server, "userinfo_endpoint"), tokens["access_token"]).get("name", "?")
    console.print(f"signed in to {escape(issuer)} as {escape(name)}", soft_wrap=True)


def sign_out(url: str | None) -> None:
    """Sign out of an installation, the last one unless given, and forget its tokens. Raises OperatorError, WebError."""
    with held():
        credentials = load(url)
        try:
            post_form(
                credentials.revocation_endpoint,
                {"token": credentials.refresh_token, "client_id": credentials.client_id},
            )
        finally:
            forget(credentials.issuer)
    console.print(f"signed out of {escape(credentials.issuer)}", soft_wrap=True)


def send(query: str, variables: dict[str, Any], url: str | None) -> tuple[str, bool]:
    """Send an operation as the member who logged in. Returns the answer as indented JSON, and whether it is without
    errors. Raises OperatorError and WebError."""
    credentials = _fresh(url)
    answer = post_json(
        f"{credentials.issuer}/graphql", {"query": query, "variables": variables}, credentials.access_token
    )
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode(), not answer.get("errors")


def _fresh(url: str | None) -> Credentials:
    """Return credentials whose access token is good; one process at a time, since a refresh token is good once."""
    with held():
        credentials = load(url)
        if credentials.expires_at > time.time() + LEEWAY_S:
            return credentials
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": credentials.refresh_token,
            "client_id": credentials.client_id,
        }
        try:
            fresh = credentials.refreshed(post_form(credentials.token_endpoint, fields))
        except WebError as error:
            if error.code != "invalid_grant":
                raise
            forget(credentials.issuer)
            raise OperatorError(
                f"the session at {credentials.issuer} is over", f"sign in again: `crm-graph login {credentials.issuer}`"
            ) from None
        save(fresh)
        return fresh


def _poll(
    endpoint: str,
    fields: dict[str, str],
    interval_s: int,
    expires_in_s: int,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Ask until the member has answered in the browser, as often as the server lets."""
    waited_s = 0
    while waited_s < expires_in_s:
        sleep(interval_s)
        waited_s += interval_s
        try:
            return post_form(endpoint, fields)
        except WebError as error:
            if error.code == "slow_down":
                interval_s += 5
            elif error.code == "access_denied":
                raise OperatorError("it was not allowed in the browser", "run the command again to ask anew") from None
            elif error.code != "authorization_pending":
                raise
    raise OperatorError("nobody answered in the browser in time", "run the command again")


def _endpoint(server: dict[str, Any], name: str) -> str:
    endpoint = server.get(name)
    if not isinstance(endpoint, str) or not endpoint.startswith(("https://", "http://")):
        raise OperatorError(f"the server's metadata has no {name}", "check the URL: is it a crm-graph installation?")
    return endpoint
