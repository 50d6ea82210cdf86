"""Where a device without a browser begins (RFC 8628)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint

from crm_graph.api.oauth.clients import ALL_METHODS, OAuthClient
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.requests import OAuthRequest
from crm_graph.domains.identity.authorizations.devices import INTERVAL_SECONDS, NewDevice, save_device

PATH = "/oauth/device"


class Devices(DeviceAuthorizationEndpoint):  # type: ignore[misc] # Authlib is untyped
    """The device authorization endpoint. Authlib makes both codes: 42 letters, and 8 consonants of 20."""

    CLIENT_AUTH_METHODS = ALL_METHODS
    INTERVAL = INTERVAL_SECONDS

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.EXPIRES_IN = server.exchange.services.settings.device_code_seconds

    def authenticate_client(self, request: OAuthRequest) -> OAuthClient:
        """Return the client of a request, which says where its member answers."""
        client: OAuthClient = super().authenticate_client(request)
        self._client = client
        return client

    def get_verification_uri(self) -> str:
        """Return where the member answers: for the command line, with the workspace that it was told, there or not."""
        exchange, app = self.server.exchange, self._client.app
        asked = f"?{urlencode({'workspace': app.workspace})}" if app.asked_as is not None and app.workspace else ""
        return f"{exchange.address}{PATH}{asked}"

    def save_device_credential(self, client_id: str, scope: str | None, data: Mapping[str, Any]) -> None:
        """Let the device wait."""
        exchange: Exchange = self.server.exchange
        client: OAuthClient = self.server.query_client(client_id)
        app = client.app
        new = NewDevice(
            None if app.asked_as is not None else app.workspace_id,
            None if app.asked_as is not None else app.id,
            app.asked_as,
            client.get_allowed_scope(scope),
            data["user_code"],
        )
        exchange.wait(save_device(exchange.services, exchange.session(), data["device_code"], new))
