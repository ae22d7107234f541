"""Which client is asking: credentials in, an authenticated client out.

Owns client_secret_basic, client_secret_post and private_key_jwt. Unknown, switched off, expired
and wrong are one answer, and each takes the same work: a look-up and a comparison or a signature.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request

from signoff.canonical import Json
from signoff.oauth.clients import Client, Directory, Known, hash_secret
from signoff.oauth.errors import OAuthError, invalid_client
from signoff.oauth.forms import Form, unquoted
from signoff.tokens.decoy import Decoy
from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import SignatureError, unverified_claims, verify_client_assertion

METHODS: Final = ("client_secret_basic", "client_secret_post", "private_key_jwt")
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_NO_SECRET: Final = bytes(32)
_MAX_ID: Final = 256


@dataclass(frozen=True, slots=True)
class _Password:
    client_id: str
    secret: str
    basic: bool


@dataclass(frozen=True, slots=True)
class _Public:
    """No credential at all: what it may do must be bound to something else, as a code is."""

    client_id: str


@dataclass(frozen=True, slots=True)
class _Assertion:
    client_id: str
    jwt: str


class ClientAuthenticator:
    """Authenticates the sender of a form. `audiences` are what an assertion may be addressed to."""

    def __init__(
        self,
        directory: Directory,
        *,
        audiences: Collection[str],
        now: Callable[[], datetime],
    ) -> None:
        self._directory, self._audiences = directory, frozenset(audiences)
        self._decoy, self._now = Decoy(), now

    async def authenticate(self, request: Request, form: Form) -> Client:
        """Return the client.

        Raises:
            OAuthError: `invalid_request` for two methods at once, else `invalid_client`.
        """
        credentials = _credentials(request, form)
        match credentials:
            case _Password():
                client = await self._by_secret(credentials)
            case _Assertion():
                client = await self._by_assertion(credentials)
            case _Public():
                return await self._by_name(credentials)
        await self._directory.used(client)
        return client

    async def _by_secret(self, given: _Password) -> Client:
        known = await self._directory.find(given.client_id)
        opened = self._opens(known, hash_secret(given.secret))
        if known is None or not opened or not known.client.may_act(now=self._now()):
            raise invalid_client(basic=given.basic, detail="secret")
        return known.client

    async def _by_name(self, given: _Public) -> Client:
        known = await self._directory.find(given.client_id)
        if (
            known is None
            or known.client.auth_method != "none"
            or not known.client.may_act(now=self._now())
        ):
            raise invalid_client(basic=False, detail="not a public client")
        return known.client

    def _opens(self, known: Known | None, digest: bytes) -> bool:
        """Compare with both secrets, whatever there is, so that every failure costs the same."""
        secrets = None if known is None else known.secrets
        current = (secrets and secrets.current) or _NO_SECRET
        previous = (secrets and secrets.previous) or _NO_SECRET
        until = secrets.previous_until if secrets is not None else None
        first = hmac.compare_digest(digest, current)
        second = hmac.compare_digest(digest, previous)
        return first or (second and until is not None and self._now() < until)

    async def _by_assertion(self, given: _Assertion) -> Client:
        known = await self._directory.find(given.client_id)
        jwks = None if known is None else known.client.jwks
        try:
            keys = KeySet(()) if jwks is None else KeySet.parse(jwks)
            claims = verify_client_assertion(
                given.jwt,
                keys=keys,
                client_id=given.client_id,
                audiences=self._audiences,
                now=self._now(),
            )
        except TokenError as error:
            if not isinstance(error, SignatureError):
                self._decoy.check()
            raise invalid_client(basic=False, detail=str(error)) from error
        if known is None or jwks is None or not known.client.may_act(now=self._now()):
            raise invalid_client(basic=False, detail="assertion")
        expires_at = datetime.fromtimestamp(_number(claims["exp"]), UTC)
        if not await self._directory.spend_jti(
            given.client_id, str(claims["jti"]), expires_at=expires_at
        ):
            raise invalid_client(basic=False, detail="the assertion was used before")
        return known.client


def _credentials(request: Request, form: Form) -> _Password | _Assertion | _Public:
    headers = request.headers.getlist("authorization")
    in_body = form.get("client_secret") is not None
    assertion = form.get("client_assertion")
    # RFC 6749 §2.3: not more than one method in a request.
    if len(headers) + in_body + (assertion is not None) > 1:
        raise OAuthError("invalid_request", "use one method of client authentication")
    if headers:
        return _from_header(headers[0], form)
    if assertion is not None:
        return _from_assertion(assertion, form)
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if client_id is None or len(client_id) > _MAX_ID:
        raise invalid_client(basic=False, detail="no credentials")
    if secret is None:
        return _Public(client_id)
    return _Password(client_id, secret, basic=False)


def _from_header(header: str, form: Form) -> _Password:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise _malformed_header()
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
        # RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
        client_id, secret = map(unquoted, text.split(":", 1))
    except (binascii.Error, ValueError):
        raise _malformed_header() from None
    if not client_id or len(client_id) > _MAX_ID or not secret:
        raise _malformed_header()
    if form.get("client_id") not in (None, client_id):
        raise OAuthError("invalid_request", "client_id does not match the credentials")
    return _Password(client_id, secret, basic=True)


def _malformed_header() -> OAuthError:
    return invalid_client(basic=True, detail="a malformed Authorization header")


def _from_assertion(jwt: str, form: Form) -> _Assertion:
    if form.get("client_assertion_type") != _ASSERTION:
        raise OAuthError("invalid_request", "client_assertion_type must be jwt-bearer")
    try:
        client_id = unverified_claims(jwt).get("sub")
    except TokenError as error:
        raise invalid_client(basic=False, detail=str(error)) from error
    if not isinstance(client_id, str) or not client_id or len(client_id) > _MAX_ID:
        raise invalid_client(basic=False, detail="sub names no client")
    if form.get("client_id") not in (None, client_id):
        raise OAuthError("invalid_request", "client_id does not match the credentials")
    return _Assertion(client_id, jwt)


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
