"""The routes of the authorization server."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import BaseRoute, Route

from crm_graph.api.engine import Engine
from crm_graph.api.oauth import authorize, device, sign_out
from crm_graph.api.oauth.authorize import Authorize
from crm_graph.api.oauth.device_pages import DevicePages
from crm_graph.api.oauth.endpoints import Endpoints
from crm_graph.api.oauth.sign_in import SignIn
from crm_graph.api.oauth.sign_out import SignOut
from crm_graph.api.oauth.visits import Desk, Providers, of_workspace

_FORM = ["POST", "OPTIONS"]


def routes(engine: Callable[[], Engine], providers: Providers = of_workspace) -> list[BaseRoute]:
    """Return the routes. `providers` tells the identity providers that the sign-in page links to."""
    desk = Desk(engine, providers)
    endpoints, sign_in = Endpoints(desk), SignIn(desk)
    visit_authorize, visit_device, visit_sign_out = Authorize(desk, sign_in), DevicePages(desk, sign_in), SignOut(desk)
    return [
        Route("/.well-known/oauth-authorization-server", endpoints.metadata, methods=["GET"]),
        Route("/.well-known/openid-configuration", endpoints.metadata, methods=["GET"]),
        Route("/oauth/jwks", endpoints.jwks, methods=["GET"]),
        Route("/oauth/token", endpoints.token, methods=_FORM),
        Route("/oauth/device_authorization", endpoints.device_authorization, methods=_FORM),
        Route("/oauth/revoke", endpoints.revoke, methods=_FORM),
        Route("/oauth/introspect", endpoints.introspect, methods=_FORM),
        Route("/oauth/userinfo", endpoints.userinfo, methods=["GET", *_FORM]),
        Route(authorize.PATH, visit_authorize.__call__, methods=["GET", "POST"]),
        Route(device.PATH, visit_device.__call__, methods=["GET", "POST"]),
        Route("/oauth/sign-in", sign_in.__call__, methods=["POST"]),
        Route(sign_out.PATH, visit_sign_out.__call__, methods=["GET", "POST"]),
    ]
