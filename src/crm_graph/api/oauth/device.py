"""Where a device without a browser begins (RFC 8628)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint

from crm_graph.api.oauth.clients import ALL_METHODS, OAuthClient
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.domains.workspace.authorizations.devices import INTERVAL_SECONDS, save_device

PATH = "/oauth/device"


class Devices(DeviceAuthorizationEndpoint):  # type: ignore[misc] # Authlib is untyped
    """The device authorization endpoint. Authlib makes both codes: 42 letters, and 8 consonants of 20."""

    CLIENT_AUTH_METHODS = ALL_METHODS
    INTERVAL = INTERVAL_SECONDS

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.EXPIRES_IN = server.exchange.services.settings.device_code_seconds

    def get_verification_uri(self) -> str:
        """Return where the member answers."""
        exchange: Exchange = self.server.exchange
        return exchange.address + PATH

    def save_device_credential(self, client_id: str, scope: str | None, data: Mapping[str, Any]) -> None:
        """Let the device wait."""
        exchange: Exchange = self.server.exchange
        client: OAuthClient = self.server.query_client(client_id)
        exchange.wait(
            save_device(
                exchange.services,
                exchange.session(),
                client.app.workspace_id,
                client.app.id,
                client.get_allowed_scope(scope),
                data["device_code"],
                data["user_code"],
            )
        )
