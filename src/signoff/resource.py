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

Owns the order of the checks and the answer to a bad token (RFC 6750 §3). Stands alone: an upstream
needs this file and `tokens/`, no store and no route of ours.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from signoff.canonical import Json
from signoff.tokens.dpop import Proofs, Sent
from signoff.tokens.keys import KeySource, KeysUnavailableError, TokenError
from signoff.tokens.remote import RemoteKeys
from signoff.tokens.single_use import MemorySingleUse, SingleUse, SqliteSingleUse
from signoff.tokens.verify import VerifiedClaims, key_id, verify_access_token

__all__ = [
    "SCOPE_KEY", "DetailsCheck", "MemorySingleUse", "RemoteKeys", "RequireToken", "ResourceError",
    "ResourceVerifier", "SingleUse", "SqliteSingleUse", "Verified",
]  # fmt: skip

ResourceErrorCode = Literal[
    "missing_token",
    "invalid_token",
    "insufficient_scope",
    "insufficient_authorization_details",
    "temporarily_unavailable",
]
DetailsCheck = Callable[[Mapping[str, Json]], bool]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SCOPE_KEY: Final = "signoff.token"
"""Where `RequireToken` leaves the `Verified` in the ASGI scope."""

_STATUS: Final[Mapping[ResourceErrorCode, int]] = {
    "missing_token": 401,
    "invalid_token": 401,
    "insufficient_scope": 403,
    "insufficient_authorization_details": 403,
    "temporarily_unavailable": 503,
}


class ResourceError(Exception):
    """The request may not pass. `detail` is for the log; the answer names only the code."""

    def __init__(self, code: ResourceErrorCode, *, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.status = code, detail, _STATUS[code]

    @property
    def headers(self) -> dict[str, str]:
        """The response headers that belong to the error (RFC 6750 §3)."""
        if self.code == "temporarily_unavailable":
            return {"cache-control": "no-store", "retry-after": "5"}
        # RFC 6750 §3.1: a request without credentials is told no error code.
        problem = "" if self.code == "missing_token" else f' error="{self.code}"'
        return {"cache-control": "no-store", "www-authenticate": f"Bearer{problem}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A token that holds for this resource. `details` are its `authorization_details`."""

    claims: VerifiedClaims
    sub: str
    client_id: str
    jti: str
    scopes: frozenset[str]
    details: tuple[Mapping[str, Json], ...]
    expires_at: datetime


class ResourceVerifier:
    """Checks bearer tokens for one resource. `clients` names who may present them, if given."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: KeySource,
        clients: Collection[str] | None = None,
        scope: str | None = None,
        single_use: SingleUse | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._issuer, self._audience, self._keys = issuer, audience, keys
        self._clients = None if clients is None else frozenset(clients)
        self._scopes = frozenset((scope or "").split())
        self._single_use, self._now = single_use, now
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
        """Check signature, issuer, audience, client, scope, expiry and binding; spend nothing.

        Raises:
            ResourceError: as `verify`.
        """
        scheme, token = _credentials(authorization)
        try:
            keys = await self._keys.keys_for(key_id(token))
            claims = verify_access_token(
                token, keys=keys, issuer=self._issuer, audience=self._audience, now=self._now()
            )
        except TokenError as error:
            raise ResourceError("invalid_token", detail=str(error)) from error
        except KeysUnavailableError as error:
            raise ResourceError("temporarily_unavailable", detail=str(error)) from error
        self._check_binding(scheme, token, claims, sent)
        verified = _read(claims)
        if self._clients is not None and verified.client_id not in self._clients:
            raise ResourceError("invalid_token", detail="another client's token")
        if not self._scopes <= verified.scopes:
            raise ResourceError("insufficient_scope", detail="a scope is missing")
        return verified

    def _check_binding(
        self, scheme: str, token: str, claims: VerifiedClaims, sent: Sent | None
    ) -> None:
        """Refuse a bound token that is shown as a bearer's, and a proof that is not its key's."""
        confirmation = claims.get("cnf")
        if confirmation is None and scheme == "bearer":
            return
        if not isinstance(confirmation, dict) or scheme != "dpop" or sent is None:
            raise ResourceError("invalid_token", detail="the scheme is not that of the token")
        jkt = str(confirmation.get("jkt"))
        try:
            self._proofs.check(sent, access_token=token, jkt=jkt, now=self._now())
        except TokenError as error:
            raise ResourceError("invalid_token", detail=f"DPoP: {error}") from error

    async def take(self, verified: Verified, *, details: DetailsCheck | None = None) -> None:
        """Check the details, then spend the token.

        Raises:
            ResourceError: as `verify`.
        """
        if details is not None and not any(_satisfied(details, each) for each in verified.details):
            raise ResourceError(
                "insufficient_authorization_details", detail="the token is for something else"
            )
        if self._single_use is not None and not await self._single_use.spend(
            issuer=self._issuer, jti=verified.jti, expires_at=verified.expires_at
        ):
            raise ResourceError("invalid_token", detail="the token was used before")


class RequireToken:
    """ASGI middleware: answers 401, 403 or 503 itself, else leaves a `Verified` in the scope.

    It spends nothing: the handler that knows the body calls `verifier.take(token, details=…)`.
    """

    def __init__(self, app: App, *, verifier: ResourceVerifier) -> None:
        self._app, self._verifier = app, verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a socket would pass unchecked
            raise RuntimeError("RequireToken guards HTTP only")
        headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
        given = [value for name, value in headers if name.lower() == b"authorization"]
        # Two headers joined are no token: refused by the signature, not by luck of order.
        authorization = b",".join(given).decode("latin-1")
        try:
            scope[SCOPE_KEY] = await self._verifier.identify(authorization)
        except ResourceError as error:
            await _answer(send, error)
            return
        await self._app(scope, receive, send)


async def _answer(send: Send, error: ResourceError) -> None:
    body = b'{"error":"%s"}' % error.code.encode()
    headers = {**error.headers, "content-type": "application/json"}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    encoded.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _credentials(authorization: str | None) -> tuple[str, str]:
    if not authorization:
        raise ResourceError("missing_token", detail="no Authorization header")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() not in ("bearer", "dpop"):
        raise ResourceError("missing_token", detail="no token")
    return scheme.lower(), token.strip(" ")


def _satisfied(check: DetailsCheck, details: Mapping[str, Json]) -> bool:
    """Run the caller's predicate; a member it expected and did not find is a no."""
    try:
        return check(details) is True
    except (KeyError, TypeError, IndexError, AttributeError):
        return False


def _read(claims: VerifiedClaims) -> Verified:
    scope, details = claims.get("scope", ""), claims.get("authorization_details", [])
    if not isinstance(scope, str) or not isinstance(details, list):
        raise ResourceError("invalid_token", detail="malformed claims")
    if not all(isinstance(each, dict) for each in details):
        raise ResourceError("invalid_token", detail="malformed authorization_details")
    return Verified(
        claims=claims,
        sub=str(claims["sub"]),
        client_id=str(claims["client_id"]),
        jti=str(claims["jti"]),
        scopes=frozenset(scope.split()),
        details=tuple(cast("list[Mapping[str, Json]]", details)),
        expires_at=datetime.fromtimestamp(float(cast("float", claims["exp"])), UTC),
    )
