"""Who is at the assistant's door: a bearer becomes a Caller, or nothing happens.

Owns the local secret, the reading of our access tokens into callers, the guard in front of `/mcp`
and the resource metadata (RFC 9728). Never verifies a signature itself (`tokens.py` does) and never
falls back to a default identity: a verifier that fails is 401 or 503.
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from signoff.identity import Caller
from signoff.origin import App, Receive, Scope, Send
from signoff.tokens.keys import KeySet, KeySource, TokenError
from signoff.tokens.verify import (
    VerifiedClaims,
    check_lifetime,
    key_id,
    verify_access_token,
)

SCOPE: Final = "mcp"
"""What an access token needs to call tools."""

_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
METADATA_PATH: Final = f"{_WELL_KNOWN}/mcp"
CALLER_KEY: Final = "signoff.caller"
SCOPES_KEY: Final = "signoff.scopes"
LOCAL_ISSUER: Final = "local"

_LOCAL_PREFIX: Final = "sgl_"
_MAX_BEARER: Final = 16_384
_REMEMBERED: Final = 1_024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The bearer stands for this caller. `scopes` is None where no scope limits it."""

    caller: Caller
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """The bearer is refused. `reason` is public and names no secret."""

    code: Literal["invalid_token", "insufficient_scope"]
    reason: str


Authenticate: TypeAlias = Callable[[str], Awaitable[Admitted | Turned]]
"""From the bearer as sent. An exception means it could not be told: 503."""


class LocalTokenError(Exception):
    """The local secret cannot be used. The message says what to do."""


def local_token(data_dir: Path) -> str:
    """Return the secret of `DATA_DIR/local-token`, made on first use.

    Raises:
        LocalTokenError: the file cannot be made or read, or others can read it.
    """
    path = data_dir / "local-token"
    try:
        if not path.exists():
            _make_token(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="ascii") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
                raise LocalTokenError(
                    f"others can read {path}; delete it, start again, and give the new token to "
                    "your MCP hosts"
                )
            token = opened.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LocalTokenError(f"{path} cannot be used: {error}") from error
    if not token.startswith(_LOCAL_PREFIX) or len(token) < len(_LOCAL_PREFIX) + 32:
        raise LocalTokenError(f"{path} holds no token; delete it and start again")
    return token


def _make_token(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, f"{_LOCAL_PREFIX}{secrets.token_urlsafe(32)}\n".encode())
        os.fsync(descriptor)
        # link() never replaces: of two processes that start at once, one token wins.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        fresh.unlink()


class LocalToken:
    """Admits the holder of the local secret as a client acting for the local user."""

    def __init__(self, token: str, *, local_user: str | None) -> None:
        self._token = token.encode()
        self._caller = Caller(
            kind="local", issuer=LOCAL_ISSUER, client_id="local:http", sub=local_user
        )

    async def __call__(self, bearer: str) -> Admitted | Turned:
        if hmac.compare_digest(bearer.encode(), self._token):
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
    as the keys stay the same; its times are checked every time.
    """

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        resource: str,
        now: Callable[[], datetime],
        scopes: Iterable[str] = (SCOPE,),
        standing: Callable[[VerifiedClaims], Awaitable[bool]] | None = None,
    ) -> None:
        """`standing` tells whether nobody took the token, or what it came from, back."""
        self._keys = keys
        self._standing = standing
        self._issuer = issuer
        self._resource = resource
        self._now = now
        self._scopes = frozenset(scopes)
        self._verified: dict[bytes, _Verified] = {}

    async def __call__(self, bearer: str) -> Admitted | Turned:
        try:
            claims = await self._claims(bearer)
        except TokenError:
            return Turned(code="invalid_token", reason="the access token is not valid here")
        if "cnf" in claims:
            # RFC 9449 §7.1: a bound token is no bearer token, and this door asks for no proof.
            return Turned(code="invalid_token", reason="a token bound to a key is no bearer token")
        if claims.get("authorization_details"):
            # An approval's token is for one upstream call; it must not open the assistant's door.
            return Turned(code="invalid_token", reason="an approval's token calls no tools")
        scope = claims.get("scope")
        held = frozenset(scope.split()) if isinstance(scope, str) else frozenset[str]()
        if not self._scopes <= held:
            wanted = " ".join(sorted(self._scopes))
            return Turned(code="insufficient_scope", reason=f"the token needs scope {wanted}")
        if self._standing is not None and not await self._standing(claims):
            return Turned(code="invalid_token", reason="the access token was taken back")
        client_id, subject = str(claims["client_id"]), str(claims["sub"])
        # RFC 9068 §2.2: without a resource owner, `sub` is the client itself.
        person = None if subject == client_id else subject
        return Admitted(
            caller=Caller(kind="oauth", issuer=self._issuer, client_id=client_id, sub=person),
            scopes=held,
        )

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

    async def authenticate(bearer: str) -> Admitted | Turned:
        door = local if bearer.startswith(_LOCAL_PREFIX) else tokens
        if door is None:
            return Turned(code="invalid_token", reason="this server takes no such token")
        return await door(bearer)

    return authenticate


def only_active(
    inner: Authenticate, disabled: Callable[[Iterable[str]], Awaitable[bool]]
) -> Authenticate:
    """Return a door that also turns away switched-off clients and people."""

    async def authenticate(bearer: str) -> Admitted | Turned:
        answer = await inner(bearer)
        if isinstance(answer, Turned):
            return answer
        ids = [id_ for id_ in (answer.caller.client_id, answer.caller.sub) if id_ is not None]
        if await disabled(ids):
            return Turned(code="invalid_token", reason="this client or user is switched off")
        return answer

    return authenticate


class BearerGuard:
    """ASGI in front of `/mcp`: every request carries a bearer that is verified anew."""

    def __init__(self, app: App, *, authenticate: Authenticate, public_url: str) -> None:
        self._app = app
        self._authenticate = authenticate
        self._metadata_url = resource_metadata_url(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bearer = _bearer(scope)
        if bearer is None:
            # RFC 6750 §3.1: without a credential there is no error code to name.
            await self._refuse(send, 401, None, "a bearer token is needed")
            return
        try:
            answer = await self._authenticate(bearer)
        except Exception:  # noqa: BLE001 — whatever failed, nobody gets in by it
            _log.exception("a bearer could not be verified")
            await self._refuse(send, 503, None, "the token cannot be verified now; try again")
            return
        if isinstance(answer, Turned):
            status = 403 if answer.code == "insufficient_scope" else 401
            await self._refuse(send, status, answer.code, answer.reason)
            return
        caller = answer.caller
        scope[CALLER_KEY], scope[SCOPES_KEY] = caller, answer.scopes
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

    async def _refuse(self, send: Send, status: int, code: str | None, reason: str) -> None:
        challenge = [f'resource_metadata="{self._metadata_url}"', f'scope="{SCOPE}"']
        if code is not None:
            challenge[:0] = [f'error="{code}"', f'error_description="{reason}"']
        body = json.dumps({"error": code or "unauthorized", "error_description": reason}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if status == 503:  # noqa: PLR2004 — says itself
            headers.append((b"retry-after", b"5"))
        else:
            headers.append((b"www-authenticate", f"Bearer {', '.join(challenge)}".encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def resource_metadata_url(public_url: str) -> str:
    """Return where the resource's metadata is: inserted before its path (RFC 9728 §3.1)."""
    parts = urlsplit(public_url)
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{path}/mcp"


def resource_metadata(*, public_url: str, name: str) -> list[Route]:
    """Return the routes of the protected resource metadata (RFC 9728 §3)."""
    base = public_url.rstrip("/")
    document = {
        "resource": f"{base}/mcp",
        "resource_name": name,
        "authorization_servers": [base],
        "bearer_methods_supported": ["header"],
        "scopes_supported": [SCOPE],
    }

    async def metadata(_: Request) -> JSONResponse:
        return JSONResponse(document, headers={"cache-control": "public, max-age=300"})

    # A reverse proxy may take the issuer's path off: then it asks without.
    paths = dict.fromkeys((METADATA_PATH, urlsplit(resource_metadata_url(public_url)).path))
    return [Route(path, metadata, methods=["GET"]) for path in paths]


def _bearer(scope: Scope) -> str | None:
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    sent = [value for name, value in headers if name == b"authorization"]
    if len(sent) != 1 or len(sent[0]) > _MAX_BEARER:
        return None  # two credentials are no credential (RFC 6750 §2)
    scheme, _, token = sent[0].partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip().isascii():
        return None
    return token.strip().decode("ascii") or None
