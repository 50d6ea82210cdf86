"""Sign-in with an OpenID Connect provider, as browsers do it: to `/sso/<provider>/start`, there, and back again.

What ties the answer to the request is sealed into a cookie of this browser, bound to one provider and good for one
answer. Each provider has a redirect URI of its own: by one for all, a provider that somebody else configured could send
a victim's browser on to another provider and be handed, and use, the code that comes back (RFC 9700, section 4.4).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
from collections import OrderedDict
from dataclasses import astuple, dataclass
from datetime import timedelta
from html import escape
from urllib.parse import unquote

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from crm_graph.api.admission.proxies import Proxies
from crm_graph.api.oauth import forms
from crm_graph.db.session import Session
from crm_graph.domains.identity.accounts.browsers import start_browser
from crm_graph.domains.identity.accounts.enums import SignInMethod
from crm_graph.domains.identity.accounts.session_rows import Source
from crm_graph.domains.identity.providers.directory import PREFIX, Provider, find_provider, prove_link
from crm_graph.domains.identity.providers.events import MemberSignedInWithProvider
from crm_graph.domains.identity.providers.policy import MEMBER_IDENTITY
from crm_graph.domains.identity.providers.provisioning import Admitted, NotAdmitted, admit, make_work
from crm_graph.domains.identity.providers.secret import open_secret
from crm_graph.events.log import append
from crm_graph.identity.oidc.code_flow import Proofs, RelyingParty, authorization_url, redeem
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.identity.oidc.tokens import Verified
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import IssuerFault, OperatorError, Refused, Unauthenticated
from crm_graph.kernel.ids import decode_id, new_id

COOKIE = "crm_sso"
COOKIE_PATH = "/sso"
LIFETIME = timedelta(minutes=10)
MAX_CONTINUE_LENGTH = 2_000
MAX_COOKIE_LENGTH = 4_096
MAX_CODE_LENGTH = 2_048
MAX_USED = 10_000
_PURPOSE = "provider sign-in"
_CONTINUE = re.compile(r"/oauth/[A-Za-z0-9_\-./~%]*(\?[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7e]*)?\Z")
"""Where a sign-in may lead: a path of our own pages, without what browsers read in their own way."""
_LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?\Z")
_HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?\Z")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_NOT_ADMITTED = "Your account at this provider is not allowed in here: ask an administrator of the workspace."
_UNREACHABLE = "The provider cannot be reached now: try again in a while."
_UNBELIEVABLE = "The provider's answer cannot be accepted: ask an administrator of the workspace."
_log = logging.getLogger(__name__)


class SignInError(Exception):
    """Raised for a sign-in that ends here: the HTTP status, and what the person is told."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that has begun, as the cookie has it. `at` is in seconds since 1970."""

    provider_id: str
    state: str
    nonce: str
    verifier: str
    continue_to: str
    at: int

    @property
    def proofs(self) -> Proofs:
        """What ties the answer to the request."""
        return Proofs(self.state, self.nonce, self.verifier)


class SingleSignOn:
    """The two pages."""

    def __init__(self, services: Services, issuers: Issuers) -> None:
        self._services = services
        self._issuers = issuers
        self._proxies = Proxies(services.settings)
        self._used: OrderedDict[str, None] = OrderedDict()

    async def start(self, request: Request) -> Response:
        """Send the browser to the provider, with a cookie that only its answer fits."""
        try:
            return await self._begin(request)
        except SignInError as error:
            return _page(error)

    async def callback(self, request: Request) -> Response:
        """Take the provider's answer: sign the member in and send the browser on. The cookie is gone in any case."""
        try:
            response = await self._finish(request)
        except SignInError as error:
            response = _page(error)
        response.delete_cookie(COOKIE, COOKIE_PATH, httponly=True, samesite="lax", secure=self._is_secure(request))
        return response

    async def _begin(self, request: Request) -> Response:
        provider = await self._provider(request)
        continue_to = request.query_params.get("continue", "")
        if not is_allowed(continue_to):
            raise SignInError(400, "`continue` must be a path under /oauth/.")
        party = self._party(request, provider)
        try:
            metadata = await self._issuers.metadata(provider.issuer)
        except IssuerFault as fault:
            raise _faulty(provider, fault) from None
        proofs, now = Proofs.make(), int(self._services.clock().timestamp())
        pending = Pending(provider.id, proofs.state, proofs.nonce, proofs.verifier, continue_to, now)
        response = _redirect(authorization_url(metadata, party, proofs))
        self._set_cookie(request, response, COOKIE, self._seal(pending), LIFETIME, COOKIE_PATH)
        return response

    async def _finish(self, request: Request) -> Response:
        provider = await self._provider(request)
        pending = self._pending(request, provider)
        code = await self._code(request, provider)
        party = self._party(request, provider)
        wanted = {"email", "email_verified", "name", *provider.claim_names}
        try:
            verified = await redeem(self._issuers, party, pending.proofs, code, self._services.clock, wanted)
        except Unauthenticated as error:
            _log.warning("provider %s: a sign-in was refused: %s", provider.api_id, error.message)
            raise SignInError(400, error.message) from None
        except IssuerFault as fault:
            raise _faulty(provider, fault) from None
        cookie = await self._admit(request, provider, verified)
        response = _redirect(pending.continue_to)
        lifetime = timedelta(minutes=self._services.settings.browser_sign_in_minutes)
        self._set_cookie(request, response, forms.SIGNED_IN, cookie, lifetime, forms.PATH)
        return response

    def _pending(self, request: Request, provider: Provider) -> Pending:
        """Return what this browser began and this answer belongs to, once. Raises SignInError."""
        pending = self._unseal(request.cookies.get(COOKIE))
        if pending is None:
            raise SignInError(400, "This browser has begun no sign-in, or too long ago: begin again.")
        state = request.query_params.getlist("state")
        if pending.provider_id != provider.id or len(state) != 1 or not _equal(state[0], pending.state):
            raise SignInError(400, "This answer belongs to another sign-in: begin again.")
        if pending.state in self._used:
            raise SignInError(400, "This sign-in has been answered already: begin again.")
        self._used[pending.state] = None
        if len(self._used) > MAX_USED:
            self._used.popitem(last=False)
        return pending

    async def _code(self, request: Request, provider: Provider) -> str:
        """Return the code of an answer that comes from the provider itself. Raises SignInError."""
        named, codes = request.query_params.getlist("iss"), request.query_params.getlist("code")
        try:
            expected = (await self._issuers.metadata(provider.issuer)).sends_issuer
        except IssuerFault as fault:
            raise _faulty(provider, fault) from None
        if (named or expected) and named != [provider.issuer]:
            raise SignInError(400, "This answer comes from another provider than the one asked: begin again.")
        if "error" in request.query_params:
            error = request.query_params["error"]
            _log.info("provider %s: answered %r", provider.api_id, error[:40])
            if error == "access_denied":
                raise SignInError(403, "The provider did not sign you in.")
            raise SignInError(502, _UNBELIEVABLE)
        if len(codes) != 1 or not 0 < len(codes[0]) <= MAX_CODE_LENGTH or not codes[0].isprintable():
            raise SignInError(400, "This answer has no code: begin again.")
        return codes[0]

    async def _admit(self, request: Request, provider: Provider, verified: Verified) -> str:
        """Sign in, with this browser, the member that somebody is; return the cookie's value. Raises SignInError."""
        origin, request_id = self._origin(request), new_id()
        try:
            async with self._services.database.transaction() as session:
                admitted = await admit(
                    session, provider, verified.subject, verified.claims, self._services.clock, origin, request_id
                )
                await self._record(session, provider, admitted, origin, request_id)
                return await start_browser(
                    self._services,
                    session,
                    provider.workspace_id,
                    admitted.member_id,
                    method=SignInMethod.OIDC,
                    origin=origin,
                    source=Source(identity_id=admitted.identity_id),
                    request_id=request_id,
                )
        except (NotAdmitted, Refused, Unauthenticated) as error:
            reason = error.reason if isinstance(error, NotAdmitted) else error.code
            if isinstance(error, Refused):
                reason = f"{error.code} {'.'.join(error.field)}"
            _log.info("provider %s: somebody was not admitted: %s", provider.api_id, reason)
            raise SignInError(403, _NOT_ADMITTED) from None

    async def _record(
        self, session: Session, provider: Provider, admitted: Admitted, origin: Origin, request_id: str
    ) -> None:
        work = make_work(session, provider, self._services.clock, origin, request_id, admitted.member_id)
        event = MemberSignedInWithProvider(provider.id, admitted.member_id)
        await prove_link(session, provider.workspace_id, admitted.identity_id, self._services.clock())
        # Past `Work.record`, which would make every process look all members up anew.
        await append(session, work.entry(MEMBER_IDENTITY, admitted.identity_id, event, {}))

    async def _provider(self, request: Request) -> Provider:
        id_ = decode_id(PREFIX, request.path_params["provider"])
        provider = None if id_ is None else await find_provider(self._services.database.primary_reader(), id_)
        if provider is None:
            raise SignInError(404, "There is no such provider.")
        return provider

    def _party(self, request: Request, provider: Provider) -> RelyingParty:
        """Return who we are at a provider."""
        try:
            secret = open_secret(self._services, provider.workspace_id, provider.sealed_secret)
        except OperatorError as error:
            _log.error("provider %s: %s", provider.api_id, error.what)
            raise SignInError(502, "This provider cannot be used now: its client secret must be set again.") from None
        uri = redirect_uri(self._base(request), provider)
        return RelyingParty(provider.issuer, provider.client_id, secret, provider.scopes, uri)

    def _base(self, request: Request) -> str:
        """Return where browsers reach us. Without CRM_PUBLIC_URL it is what this one says."""
        if self._services.settings.public_url:
            return self._services.settings.public_url.rstrip("/")
        host = request.headers.get("host", "")
        if not _HOST.match(host):
            raise SignInError(400, "The Host header is not usable.")
        return f"{request.url.scheme}://{host}"

    def _is_secure(self, request: Request) -> bool:
        public = self._services.settings.public_url
        if public:
            return not (public.startswith("http://") and _LOOPBACK.match(public[7:].partition("/")[0]))
        return request.url.scheme == "https" or not _LOOPBACK.match(request.headers.get("host", ""))

    def _origin(self, request: Request) -> Origin:
        peer = None if request.client is None else request.client.host
        headers = request.headers
        return self._proxies.origin(peer, headers.get("x-forwarded-for"), headers.get("user-agent"))

    def _set_cookie(
        self, request: Request, response: Response, name: str, value: str, max_age: timedelta | None, path: str
    ) -> None:
        response.set_cookie(
            name,
            value,
            None if max_age is None else int(max_age.total_seconds()),
            path=path,
            secure=self._is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def _seal(self, pending: Pending) -> str:
        key = self._services.keys(_PURPOSE, 64)[0]
        return base64.urlsafe_b64encode(AESSIV(key).encrypt(orjson.dumps(astuple(pending)), None)).decode()

    def _unseal(self, text: str | None) -> Pending | None:
        if not text or len(text) > MAX_COOKIE_LENGTH:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text)
        except (binascii.Error, ValueError):
            return None
        for key in self._services.keys(_PURPOSE, 64):
            try:
                pending = Pending(*orjson.loads(AESSIV(key).decrypt(sealed, None)))
            except (InvalidTag, ValueError, TypeError):
                continue
            age = self._services.clock().timestamp() - pending.at
            return pending if age <= LIFETIME.total_seconds() else None
        return None


def redirect_uri(base: str, provider: Provider) -> str:
    """Return the address to be registered at a provider."""
    return f"{base}/sso/{provider.api_id}/callback"


def is_allowed(continue_to: str) -> bool:
    """Return whether a sign-in may lead to an address: a path under `/oauth/` here, and nothing that a browser may
    take for another place (`//`, `..`, a backslash, any of them encoded)."""
    if len(continue_to) > MAX_CONTINUE_LENGTH or not _CONTINUE.match(continue_to):
        return False
    path = unquote(continue_to.partition("?")[0])
    return "//" not in path and "\\" not in path and "%" not in path and ".." not in path and path.isprintable()


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _faulty(provider: Provider, fault: IssuerFault) -> SignInError:
    _log.warning("provider %s: %s", provider.api_id, fault.message)
    return SignInError(503, _UNREACHABLE) if fault.temporary else SignInError(502, _UNBELIEVABLE)


def _redirect(to: str) -> Response:
    return RedirectResponse(to, 302, headers=_HEADERS)


def _page(error: SignInError) -> Response:
    title = "Sign-in"
    body = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><p>{escape(error.message)}</p>"
    headers = {**_HEADERS, "Retry-After": "30"} if error.status == 503 else _HEADERS
    return HTMLResponse(body, error.status, headers=headers)
