"""What an upstream uses to check a token of ours, and to take it once.

    verifier = ResourceVerifier(
        issuer="https://signoff.example", audience="https://bank.example/api",
        keys=RemoteKeys("https://signoff.example/oauth2/jwks"),
        clients={"signoff-gate"}, single_use=SqliteSingleUse(Path("spent.db")),
    )
    token = await verifier.verify(
        request.headers.get("authorization"),
        details=lambda wanted: wanted["tool"] == "transfer_funds" and wanted["arguments"] == body,
    )

A token that is bound to a key (RFC 9449) needs `sent=Sent(…)` too, the request it came with. One
that was taken back counts until its expiry, unless the issuer is asked:
`standing=Introspection("https://signoff.example/oauth2/introspect", client_id=…, client_secret=…)`.

Owns the order of the checks and the answer to a bad token (RFC 6750 §3, RFC 9449 §7.1). Stands
alone: an upstream needs this file and `tokens/`, no store and no route of ours.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from signoff.canonical import Json
from signoff.tokens.dpop import Proofs, Sent
from signoff.tokens.introspection import Introspection, Standing, StandingUnknownError
from signoff.tokens.keys import KeySource, KeysUnavailableError, TokenError
from signoff.tokens.remote import RemoteKeys
from signoff.tokens.single_use import MemorySingleUse, SingleUse, SqliteSingleUse
from signoff.tokens.verify import (
    ASSERTION_ALGORITHMS,
    VerifiedClaims,
    key_id,
    verify_access_token,
)

__all__ = [
    "SCOPE_KEY", "DetailsCheck", "Introspection", "MemorySingleUse", "RemoteKeys", "RequireToken",
    "ResourceError", "ResourceVerifier", "Sent", "SingleUse", "SqliteSingleUse", "Standing",
    "StandingUnknownError", "Verified",
]  # fmt: skip

ResourceErrorCode = Literal[
    "missing_token",
    "invalid_token",
    "invalid_dpop_proof",
    "insufficient_scope",
    "insufficient_authorization_details",
    "temporarily_unavailable",
]
AuthScheme = Literal["Bearer", "DPoP"]
Refuse = Callable[[ResourceErrorCode, str], "ResourceError"]
DetailsCheck = Callable[[Mapping[str, Json]], bool]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3
SCOPE_KEY: Final = "signoff.token"
"""Where `RequireToken` leaves the `Verified` in the ASGI scope."""

_STATUS: Final[Mapping[ResourceErrorCode, int]] = {
    "missing_token": 401,
    "invalid_token": 401,
    "invalid_dpop_proof": 401,
    "insufficient_scope": 403,
    "insufficient_authorization_details": 403,
    "temporarily_unavailable": 503,
}


class ResourceError(Exception):
    """The request may not pass. `detail` is for the log; the answer names only the code.

    `scheme` is how the token was shown; `dpop`: this resource takes bound tokens too; `scope` is
    what a token needs that has too little.
    """

    def __init__(
        self,
        code: ResourceErrorCode,
        *,
        detail: str,
        scheme: AuthScheme = "Bearer",
        dpop: bool = False,
        scope: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.status = code, detail, _STATUS[code]
        self.scheme, self.dpop, self.scope = scheme, dpop, scope

    @property
    def headers(self) -> dict[str, str]:
        """The response headers that belong to the error (RFC 6750 §3, RFC 9449 §7.1)."""
        if self.code == "temporarily_unavailable":
            return {"cache-control": "no-store", "retry-after": "5"}
        # RFC 6750 §3.1: a request without credentials is told no error code.
        problem = "" if self.code == "missing_token" else f' error="{self.code}"'
        if self.scope is not None:
            problem += f', scope="{self.scope}"'
        algorithms = f'algs="{" ".join(ASSERTION_ALGORITHMS)}"'
        if self.scheme == "DPoP":
            challenge = f"DPoP{problem}, {algorithms}"
        else:
            challenge = f"Bearer{problem}" + (f", DPoP {algorithms}" if self.dpop else "")
        return {"cache-control": "no-store", "www-authenticate": challenge}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A token that holds for this resource. `details` are its `authorization_details`.

    `scheme` says whether whoever showed it proved the key it is bound to (`DPoP`).
    """

    claims: VerifiedClaims
    sub: str
    client_id: str
    jti: str
    scopes: frozenset[str]
    details: tuple[Mapping[str, Json], ...]
    expires_at: datetime
    scheme: AuthScheme = "Bearer"


class ResourceVerifier:
    """Checks access tokens for one resource. `clients` names who may present them, if given."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: KeySource,
        clients: Collection[str] | None = None,
        scope: str | None = None,
        single_use: SingleUse | None = None,
        standing: Standing | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`standing` is asked whether a token was taken back before its expiry."""
        self._issuer, self._audience, self._keys = issuer, audience, keys
        self._clients = None if clients is None else frozenset(clients)
        self._scopes = frozenset((scope or "").split())
        if not all(map(_SCOPE.fullmatch, self._scopes)):
            raise ValueError("a scope is printable, without quotes and blanks")
        self._single_use, self._standing, self._now = single_use, standing, now
        self._proofs = Proofs()

    async def verify(
        self,
        authorization: str | None,
        *,
        details: DetailsCheck | None = None,
        sent: Sent | None = None,
    ) -> Verified:
        """Check the `Authorization` header whole, and spend the token last.

        `sent` is the request it came with: without it a bound token passes nowhere.
        `details` sees each member of the token's `authorization_details`; one must satisfy it.

        Raises:
            ResourceError: says the status and headers to answer with.
        """
        verified = await self.identify(authorization, sent=sent)
        await self.take(verified, details=details)
        return verified

    async def identify(self, authorization: str | None, *, sent: Sent | None = None) -> Verified:
        """Check signature, issuer, audience, expiry, client, binding, scope, then standing.

        Spends nothing.

        Raises:
            ResourceError: as `verify`.
        """
        scheme, token = _credentials(authorization, dpop=sent is not None)

        def refuse(code: ResourceErrorCode, detail: str) -> ResourceError:
            return ResourceError(code, detail=detail, scheme=scheme, dpop=sent is not None)

        try:
            keys = await self._keys.keys_for(key_id(token))
            claims = verify_access_token(
                token, keys=keys, issuer=self._issuer, audience=self._audience, now=self._now()
            )
        except TokenError as error:
            raise refuse("invalid_token", str(error)) from error
        except KeysUnavailableError as error:
            raise refuse("temporarily_unavailable", str(error)) from error
        verified = _read(claims, scheme, refuse)
        if self._clients is not None and verified.client_id not in self._clients:
            raise refuse("invalid_token", "another client's token")
        self._check_binding(token, verified, sent, refuse)
        if not self._scopes <= verified.scopes:
            raise ResourceError(
                "insufficient_scope",
                detail="a scope is missing",
                scheme=scheme,
                dpop=sent is not None,
                scope=" ".join(sorted(self._scopes)),
            )
        await self._check_standing(token, refuse)
        return verified

    async def _check_standing(self, token: str, refuse: Refuse) -> None:
        if self._standing is None:
            return
        try:
            stands = await self._standing.stands(token)
        except StandingUnknownError as error:
            raise refuse("temporarily_unavailable", str(error)) from error
        if not stands:
            raise refuse("invalid_token", "taken back, or not for this resource to ask about")

    def _check_binding(
        self, token: str, verified: Verified, sent: Sent | None, refuse: Refuse
    ) -> None:
        """Refuse a bound token that is shown as a bearer's, and a proof that is not its key's."""
        confirmation = verified.claims.get("cnf")
        if confirmation is None and verified.scheme == "Bearer":
            return
        if not isinstance(confirmation, dict) or verified.scheme != "DPoP" or sent is None:
            raise refuse("invalid_token", "the scheme is not that of the token")
        jkt = str(confirmation.get("jkt"))
        try:
            self._proofs.check(sent, access_token=token, jkt=jkt, sub=verified.sub, now=self._now())
        except TokenError as error:
            raise refuse("invalid_dpop_proof", str(error)) from error

    async def take(self, verified: Verified, *, details: DetailsCheck | None = None) -> None:
        """Check the details, then spend the token.

        Raises:
            ResourceError: as `verify`.
        """
        if details is not None and not any(_satisfied(details, each) for each in verified.details):
            raise ResourceError(
                "insufficient_authorization_details",
                detail="the token is for something else",
                scheme=verified.scheme,
            )
        if self._single_use is not None and not await self._single_use.spend(
            issuer=self._issuer, jti=verified.jti, expires_at=verified.expires_at
        ):
            raise ResourceError(
                "invalid_token", detail="the token was used before", scheme=verified.scheme
            )


class RequireToken:
    """ASGI middleware: answers 401, 403 or 503 itself, else leaves a `Verified` in the scope.

    It spends nothing: the handler that knows the body calls `verifier.take(token, details=…)`, and
    what that raises is answered here too where nothing was answered before (so as a middleware of
    Starlette's: `app.add_middleware(RequireToken, verifier=…)`).
    `public_url` is the origin that clients call; without it bound tokens pass nowhere, for a
    proof names the address it was made for.
    """

    def __init__(
        self, app: App, *, verifier: ResourceVerifier, public_url: str | None = None
    ) -> None:
        self._app, self._verifier = app, verifier
        self._public_url = None if public_url is None else public_url.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a socket would pass unchecked
            raise RuntimeError("RequireToken guards HTTP only")
        try:
            scope[SCOPE_KEY] = await self._verifier.identify(
                _header(scope, b"authorization"), sent=self._sent(scope)
            )
        except ResourceError as error:
            await _answer(send, error)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except ResourceError as error:
            if begun:
                raise
            await _answer(send, error)

    def _sent(self, scope: Scope) -> Sent | None:
        if self._public_url is None:
            return None
        raw = cast("bytes | None", scope.get("raw_path"))
        path = scope["path"] if raw is None else raw.partition(b"?")[0].decode("latin-1")
        proof = _header(scope, b"dpop")
        return Sent(method=scope["method"], url=self._public_url + path, proof=proof)


def _header(scope: Scope, wanted: bytes) -> str:
    """Return a header. Two of them joined are no token: refused, not by luck of order."""
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    return b",".join(value for name, value in headers if name.lower() == wanted).decode("latin-1")


async def _answer(send: Send, error: ResourceError) -> None:
    body = b'{"error":"%s"}' % error.code.encode()
    headers = {**error.headers, "content-type": "application/json"}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    encoded.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _credentials(authorization: str | None, *, dpop: bool) -> tuple[AuthScheme, str]:
    scheme, _, token = (authorization or "").partition(" ")
    schemes: Mapping[str, AuthScheme] = {"bearer": "Bearer", "dpop": "DPoP"}
    if scheme.lower() not in schemes:
        raise ResourceError("missing_token", detail="no token", dpop=dpop)
    return schemes[scheme.lower()], token.strip(" ")


def _satisfied(check: DetailsCheck, details: Mapping[str, Json]) -> bool:
    """Run the caller's predicate; a member it expected and did not find is a no."""
    try:
        return check(details) is True
    except (KeyError, TypeError, IndexError, AttributeError):
        return False


def _read(claims: VerifiedClaims, scheme: AuthScheme, refuse: Refuse) -> Verified:
    scope, details = claims.get("scope", ""), claims.get("authorization_details", [])
    if not isinstance(scope, str) or not isinstance(details, list):
        raise refuse("invalid_token", "malformed claims")
    if not all(isinstance(each, dict) for each in details):
        raise refuse("invalid_token", "malformed authorization_details")
    return Verified(
        claims=claims,
        sub=str(claims["sub"]),
        client_id=str(claims["client_id"]),
        jti=str(claims["jti"]),
        scopes=frozenset(scope.split()),
        details=tuple(cast("list[Mapping[str, Json]]", details)),
        expires_at=datetime.fromtimestamp(float(cast("float", claims["exp"])), UTC),
        scheme=scheme,
    )
