"""Who is at the assistant's door: a bearer becomes a Caller, or nothing happens.

Owns who holds the local secret, the reading of our access tokens into callers (bound ones with the
proof of their key, RFC 9449 §7), the guard in front of `/mcp` and the resource metadata (RFC 9728).
Never verifies a signature itself (`tokens/` does) and never falls back to a default identity: a
verifier that fails is 401 or 503.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias, cast
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from signoff.assistant.local_secret import PREFIX
from signoff.identity import Caller
from signoff.origin import App, Receive, Scope, Send
from signoff.tokens.dpop import Proofs, Sent
from signoff.tokens.keys import KeySet, KeySource, TokenError
from signoff.tokens.verify import (
    ASSERTION_ALGORITHMS,
    VerifiedClaims,
    check_lifetime,
    key_id,
    verify_access_token,
)

AuthScheme: TypeAlias = Literal["Bearer", "DPoP"]

SCOPE: Final = "mcp"
"""What an access token needs to call tools."""

_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
METADATA_PATH: Final = f"{_WELL_KNOWN}/mcp"
CALLER_KEY: Final = "signoff.caller"
SCOPES_KEY: Final = "signoff.scopes"
SCHEME_KEY: Final = "signoff.scheme"
LOCAL_ISSUER: Final = "local"

_MAX_BEARER: Final = 16_384
_REMEMBERED: Final = 1_024
_SCHEMES: Final[Mapping[bytes, AuthScheme]] = {b"bearer": "Bearer", b"dpop": "DPoP"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The bearer stands for this caller. `scopes` is None where no scope limits it."""

    caller: Caller
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """The bearer is refused. `reason` is public and names no secret."""

    code: Literal["invalid_token", "invalid_dpop_proof", "insufficient_scope"]
    reason: str


class Authenticate(Protocol):
    """From the token as it was shown. An exception means it could not be told: 503."""

    async def __call__(self, bearer: str, sent: Sent | None = None) -> Admitted | Turned:
        """Tell whose token it is. `sent` is there when it was shown by the scheme DPoP."""
        ...


class LocalToken:
    """Admits the holder of the local secret as a client acting for the local user."""

    def __init__(self, token: str, *, local_user: str | None) -> None:
        self._token = token.encode()
        self._caller = Caller(
            kind="local", issuer=LOCAL_ISSUER, client_id="local:http", sub=local_user
        )

    async def __call__(self, bearer: str, sent: Sent | None = None) -> Admitted | Turned:
        if sent is None and hmac.compare_digest(bearer.encode(), self._token):
            return Admitted(caller=self._caller)
        return Turned(code="invalid_token", reason="this is not the token of this server")


def stdio_caller(local_user: str | None) -> Caller:
    """Return who a host on the other end of a pipe or of the owner's socket is."""
    return Caller(kind="local", issuer=LOCAL_ISSUER, client_id="local:stdio", sub=local_user)


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a bearer proved, and under which keys: other keys, and it is verified anew."""

    kid: str | None
    keys: KeySet
    claims: VerifiedClaims


class AccessTokens:
    """Admits holders of access tokens that our authorization server made for the MCP resource.

    A client sends the same bearer with every request. Its signature is checked once for as long
    as the keys stay the same; its times are checked every time. A token bound to a key comes with
    a proof of that key, made for this very request, which is taken once.
    """

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        resource: str,
        now: Callable[[], datetime],
        scopes: Iterable[str] = (SCOPE,),
        standing: Callable[[str, VerifiedClaims], Awaitable[bool]] | None = None,
    ) -> None:
        """`standing` tells whether nobody took the token, or what it came from, back."""
        self._keys = keys
        self._standing = standing
        self._issuer = issuer
        self._resource = resource
        self._now = now
        self._scopes = frozenset(scopes)
        self._verified: dict[bytes, _Verified] = {}
        self._proofs = Proofs()

    async def __call__(self, bearer: str, sent: Sent | None = None) -> Admitted | Turned:
        try:
            claims = await self._claims(bearer)
        except TokenError:
            return Turned(code="invalid_token", reason="the access token is not valid here")
        if (turned := self._unproved(claims, bearer, sent)) is not None:
            return turned
        if claims.get("authorization_details"):
            # An approval's token is for one upstream call; it must not open the assistant's door.
            return Turned(code="invalid_token", reason="an approval's token calls no tools")
        scope = claims.get("scope")
        held = frozenset(scope.split()) if isinstance(scope, str) else frozenset[str]()
        if not self._scopes <= held:
            wanted = " ".join(sorted(self._scopes))
            return Turned(code="insufficient_scope", reason=f"the token needs scope {wanted}")
        if self._standing is not None and not await self._standing(bearer, claims):
            return Turned(code="invalid_token", reason="the access token was taken back")
        client_id, subject = str(claims["client_id"]), str(claims["sub"])
        # RFC 9068 §2.2: without a resource owner, `sub` is the client itself.
        person = None if subject == client_id else subject
        return Admitted(
            caller=Caller(
                kind="oauth", issuer=self._issuer, client_id=client_id, sub=person, scopes=held
            ),
            scopes=held,
        )

    def _unproved(self, claims: VerifiedClaims, token: str, sent: Sent | None) -> Turned | None:
        """Say what is wrong with how a token was shown: a bound one needs a proof by its key."""
        confirmation = claims.get("cnf")
        if confirmation is None:
            if sent is None:
                return None
            return Turned(code="invalid_token", reason="this token is bound to no key")
        if sent is None or not isinstance(confirmation, dict):
            # RFC 9449 §7.2: whoever stole it must not use it without the key.
            return Turned(code="invalid_token", reason="a token bound to a key is no bearer token")
        jkt = str(confirmation.get("jkt"))
        try:
            self._proofs.check(
                sent, access_token=token, jkt=jkt, sub=str(claims["sub"]), now=self._now()
            )
        except TokenError as error:
            _log.info("a DPoP proof: %s", error)
            return Turned(code="invalid_dpop_proof", reason="the DPoP proof does not hold")
        return None

    async def _claims(self, bearer: str) -> VerifiedClaims:
        name = hashlib.sha256(bearer.encode()).digest()  # the credential itself is not kept
        known = self._verified.get(name)
        kid = key_id(bearer) if known is None else known.kid
        keys, now = await self._keys.keys_for(kid), self._now()
        if known is not None and known.keys is keys:
            check_lifetime(known.claims, now=now)
            return known.claims
        claims = verify_access_token(
            bearer, keys=keys, issuer=self._issuer, audience=self._resource, now=now
        )
        self._verified.pop(name, None)
        while len(self._verified) >= _REMEMBERED:
            del self._verified[next(iter(self._verified))]
        self._verified[name] = _Verified(kid, keys, claims)
        return claims


def either(local: Authenticate | None, tokens: Authenticate | None) -> Authenticate:
    """Return the door that asks the one a bearer is made for: by its prefix, never by trial."""

    async def authenticate(bearer: str, sent: Sent | None = None) -> Admitted | Turned:
        door = local if bearer.startswith(PREFIX) else tokens
        if door is None:
            return Turned(code="invalid_token", reason="this server takes no such token")
        return await door(bearer, sent)

    return authenticate


def only_active(
    inner: Authenticate, disabled: Callable[[Iterable[str]], Awaitable[bool]]
) -> Authenticate:
    """Return a door that also turns away switched-off clients and people."""

    async def authenticate(bearer: str, sent: Sent | None = None) -> Admitted | Turned:
        answer = await inner(bearer, sent)
        if isinstance(answer, Turned):
            return answer
        ids = [id_ for id_ in (answer.caller.client_id, answer.caller.sub) if id_ is not None]
        if await disabled(ids):
            return Turned(code="invalid_token", reason="this client or user is switched off")
        return answer

    return authenticate


class BearerGuard:
    """ASGI in front of `/mcp`: every request carries a token that is verified anew."""

    def __init__(self, app: App, *, authenticate: Authenticate, public_url: str) -> None:
        self._app = app
        self._authenticate = authenticate
        self._metadata_url = resource_metadata_url(public_url)
        self._url = f"{public_url.rstrip('/')}/mcp"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shown = _shown(scope)
        if shown is None:
            # RFC 6750 §3.1: without a credential there is no error code to name.
            await self._refuse(send, 401, None, "a bearer token is needed")
            return
        scheme, token = shown
        sent = None
        if scheme == "DPoP":
            # The address is ours to say: a Host header would let a proof for another place in.
            sent = Sent(method=scope["method"], url=self._url, proof=_proof(scope))
        try:
            answer = await self._authenticate(token, sent)
        except Exception:  # noqa: BLE001 — whatever failed, nobody gets in by it
            _log.exception("a bearer could not be verified")
            await self._refuse(send, 503, None, "the token cannot be verified now; try again")
            return
        if isinstance(answer, Turned):
            status = 403 if answer.code == "insufficient_scope" else 401
            await self._refuse(send, status, answer.code, answer.reason, scheme=scheme)
            return
        caller = answer.caller
        scope[CALLER_KEY], scope[SCOPES_KEY], scope[SCHEME_KEY] = caller, answer.scopes, scheme
        # RFC 9110 §5.5: blanks around a value are no part of it, and our parser leaves those
        # behind it in. The protocol compares `Mcp-Name` with the body.
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        # What the SDK compares before it lets a request into an older session (T04).
        scope["user"] = AuthenticatedUser(
            AccessToken(
                token="",  # the handler needs no copy of the credential
                client_id=caller.client_id,
                scopes=[],
                subject=caller.sub or "",
                claims={"iss": caller.issuer},
            )
        )
        await self._app(scope, receive, send)

    async def _refuse(
        self,
        send: Send,
        status: int,
        code: str | None,
        reason: str,
        *,
        scheme: AuthScheme = "Bearer",
    ) -> None:
        body = json.dumps({"error": code or "unauthorized", "error_description": reason}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if status == 503:  # noqa: PLR2004 — says itself
            headers.append((b"retry-after", b"5"))
        else:
            challenge = self._challenge(code, reason, scheme)
            headers.append((b"www-authenticate", challenge.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _challenge(self, code: str | None, reason: str, scheme: AuthScheme) -> str:
        told = [f'resource_metadata="{self._metadata_url}"', f'scope="{SCOPE}"']
        if code is not None:
            told[:0] = [f'error="{code}"', f'error_description="{reason}"']
        algorithms = f'algs="{" ".join(ASSERTION_ALGORITHMS)}"'
        if scheme == "DPoP":
            return f"DPoP {', '.join([*told, algorithms])}"
        # RFC 9449 §7.1. Last: hosts look for the metadata in the first challenge.
        return f"Bearer {', '.join(told)}, DPoP {algorithms}"


def resource_metadata_url(public_url: str) -> str:
    """Return where the resource's metadata is: inserted before its path (RFC 9728 §3.1)."""
    parts = urlsplit(public_url)
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{path}/mcp"


def resource_metadata(
    *, public_url: str, name: str, scopes: Iterable[str] = (), issuer: str | None = None
) -> list[Route]:
    """Return the routes of the protected resource metadata (RFC 9728 §3), with tools' `scopes`.

    `issuer` is where hosts sign people in, if that is a sidecar elsewhere.
    """
    base = public_url.rstrip("/")
    document = {
        "resource": f"{base}/mcp",
        "resource_name": name,
        "authorization_servers": [issuer or base],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": [*ASSERTION_ALGORITHMS],
        "dpop_bound_access_tokens_required": False,
        "scopes_supported": [SCOPE, *sorted({*scopes} - {SCOPE})],
    }

    async def metadata(_: Request) -> JSONResponse:
        return JSONResponse(document, headers={"cache-control": "public, max-age=300"})

    # A reverse proxy may take the issuer's path off: then it asks without.
    paths = dict.fromkeys((METADATA_PATH, urlsplit(resource_metadata_url(public_url)).path))
    return [Route(path, metadata, methods=["GET"]) for path in paths]


def _shown(scope: Scope) -> tuple[AuthScheme, str] | None:
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    sent = [value for name, value in headers if name == b"authorization"]
    if len(sent) != 1 or len(sent[0]) > _MAX_BEARER:
        return None  # two credentials are no credential (RFC 6750 §2)
    given, _, token = sent[0].partition(b" ")
    scheme = _SCHEMES.get(given.lower())
    if scheme is None or not token.strip().isascii() or not token.strip():
        return None
    return scheme, token.strip().decode("ascii")


def _proof(scope: Scope) -> str | None:
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    sent = [value for name, value in headers if name == b"dpop"]
    # RFC 9449 §4.3: exactly one.
    return sent[0].decode("latin-1") if len(sent) == 1 else None
