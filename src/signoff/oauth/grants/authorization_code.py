"""The authorization code grant (RFC 6749 §4.1.3, RFC 7636): a code becomes tokens, once.

Owns the order of the checks. A wrong verifier, redirect URI or resource leaves the code usable: who
holds only the code can neither use nor burn it. A code that comes a second time revokes everything
the first gave (§4.1.2). A code that was asked for with `dpop_jkt` comes with a proof of that key
(RFC 9449 §10).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from signoff.canonical import Json
from signoff.oauth.clients import Client
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form
from signoff.oauth.host_tokens import (
    CodeStore,
    Minter,
    check_key,
    check_resource,
    key_of_refresh,
    new_refresh_token,
)
from signoff.oauth.rich import refuse_details

_MAX_CODE: Final = 256
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1


class AuthorizationCodeGrant:
    """Implements `token.Grant`."""

    def __init__(self, codes: CodeStore, minter: Minter, *, now: Callable[[], datetime]) -> None:
        self._codes, self._minter, self._now = codes, minter, now

    async def issue(
        self, client: Client, form: Form, *, hold_s: int, jkt: str | None = None
    ) -> Mapping[str, Json]:
        """Check: known, unused, in time, redirect, verifier, key, nothing wider; then use it up."""
        del hold_s
        code, redirect_uri = form.require("code"), form.require("redirect_uri")
        verifier = form.require("code_verifier")
        if len(code) > _MAX_CODE or not _VERIFIER.fullmatch(verifier):
            raise _no_such_code("malformed")
        held = await self._codes.find(code, client_id=client.id)
        if held is None:
            raise _no_such_code("unknown")
        if held.used:
            await self._replayed(held.consent.id, client)
        if self._now() >= held.expires_at:
            raise _no_such_code("too old")
        if not hmac.compare_digest(held.redirect_uri.encode(), redirect_uri.encode()):
            raise _no_such_code("another redirect_uri")
        if not hmac.compare_digest(held.code_challenge, s256(verifier)):
            raise _no_such_code("another code_verifier")
        check_key(held.dpop_jkt, jkt)
        check_resource(form, held.consent)
        refuse_details(form)
        refresh_token = new_refresh_token(client)
        # Signed first: what can fail fails before the code is gone.
        answer = self._minter.answer(
            held.consent,
            client,
            scope=held.consent.scope,
            refresh_token=refresh_token,
            nonce=held.nonce,
            jkt=jkt,
        )
        if not await self._codes.redeem(
            code,
            client_id=client.id,
            refresh_token=refresh_token,
            bound_to=key_of_refresh(client, jkt),
        ):
            again = await self._codes.find(code, client_id=client.id)
            if again is not None and again.used:
                await self._replayed(again.consent.id, client)
            raise _no_such_code("somebody was first, or it no longer holds")
        return answer

    async def _replayed(self, consent_id: str, client: Client) -> None:
        await self._codes.revoke(consent_id, why="code_replayed", by=client.id)
        raise _no_such_code("used before; what it gave is revoked")


def s256(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _no_such_code(detail: str) -> OAuthError:
    return OAuthError("invalid_grant", "the code is not valid", detail=detail)
