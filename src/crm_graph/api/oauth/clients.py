"""What Authlib asks of a client, answered by a row of `api_client`."""

from __future__ import annotations

from authlib.oauth2.rfc6749 import ClientMixin, scope_to_list
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

from crm_graph.api.oauth.exchange import Exchange
from crm_graph.domains.identity.accounts.directory import FULL_SCOPE, READ_SCOPE
from crm_graph.domains.identity.authorizations.apps import App, find_app_in
from crm_graph.domains.identity.clients.enums import ClientKind
from crm_graph.domains.identity.clients.keys import note_use, verify_key
from crm_graph.domains.identity.clients.redirects import matches
from crm_graph.identity.tokens import client_key

API_SCOPES = (FULL_SCOPE, READ_SCOPE)
SCOPES = (*API_SCOPES, "openid", "profile", "email", "offline_access")
SECRET_METHODS = ["client_secret_basic", "client_secret_post"]
ALL_METHODS = [*SECRET_METHODS, "none"]
_FOR_MEMBERS = frozenset({"authorization_code", "refresh_token", DEVICE_CODE_GRANT_TYPE})


class OAuthClient(ClientMixin):  # type: ignore[misc] # Authlib is untyped
    """A client in one exchange."""

    client_metadata: dict[str, str] = {}  # noqa: RUF012 - Authlib reads it, nobody writes it

    def __init__(self, exchange: Exchange, app: App) -> None:
        self._exchange = exchange
        self._asked_as = app.asked_as
        self.app = app
        self.key_id: str | None = None
        """The API key that it has shown in this exchange, if it has."""

    @property
    def client_id(self) -> str:
        """The client's id as requests and answers spell it."""
        return self._asked_as or client_key(self.app.id)

    def is_one(self, workspace_id: str, client_id: str | None) -> bool:
        """Return whether this is the client of a workspace under an inner id. The command line, which asks without
        being any yet, is from now on that workspace's client of it."""
        if client_id is not None and self.app.asked_as is not None:
            app = self._exchange.wait(find_app_in(self._exchange.reader(), workspace_id, client_id))
            if app is not None and self.app.is_settled(app):
                self.app = app
        return (workspace_id, client_id) == (self.app.workspace_id, self.app.id)

    @property
    def is_public(self) -> bool:
        """Whether the client cannot keep a secret."""
        return self.app.kind is ClientKind.PUBLIC

    def get_client_id(self) -> str:
        """See `client_id`."""
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """Return nothing: a request says where to, always."""

    def get_allowed_scope(self, scope: str | None) -> str:
        """Return the scope of a request, without what is repeated; `crm` where it names none."""
        return " ".join(dict.fromkeys(scope_to_list(scope or FULL_SCOPE)))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Return whether a browser may be sent there."""
        return matches(self.app.redirect_uris, redirect_uri, any_port=self.is_public)

    def check_client_secret(self, client_secret: str) -> bool:
        """Return whether a secret is a live API key of this client."""
        services, app = self._exchange.services, self.app
        now = services.clock()
        key = self._exchange.wait(verify_key(self._exchange.reader(), client_secret, now))
        if key is None or (key.workspace_id, key.client_id) != (app.workspace_id, app.id):
            return False
        self.key_id = key.key_id
        self._exchange.wait(note_use(services.database, key.workspace_id, key.key_id, now))
        return True

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - Authlib's signature
        """Return whether the client authenticates in this way: a confidential one by a secret, a public one not."""
        return (method == "none") is self.is_public

    def check_response_type(self, response_type: str) -> bool:
        """Return whether the client may ask for this at the authorization endpoint."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Return whether the client may get tokens in this way; by itself only as its service member."""
        if grant_type == "client_credentials":
            return not self.is_public and self.app.member_id is not None
        return grant_type in _FOR_MEMBERS
