"""Whether the authorization server elsewhere is there, is a sidecar of ours, and knows this gate.

Owns the first look at it, and looking again until it holds: its metadata, its keys, and an
exchange that only a gate it knows gets through. Until then nothing of any call goes there.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from signoff.canonical import Json
from signoff.gate.ciba import (
    ASK_PATH,
    INTROSPECT_PATH,
    OUTCOME_PATH,
    TOKEN_PATH,
    WITHDRAW_PATH,
)
from signoff.gate.wire import Refused, Reply, Unavailable, Wire
from signoff.tokens.keys import KeySource, KeysUnavailableError

METADATA_PATH: Final = ".well-known/openid-configuration"
JWKS_PATH: Final = "oauth2/jwks"
_ENDPOINTS: Final[Mapping[str, str]] = {
    "token_endpoint": TOKEN_PATH,
    "backchannel_authentication_endpoint": ASK_PATH,
    "jwks_uri": JWKS_PATH,
    "introspection_endpoint": INTROSPECT_PATH,
    "signoff_withdraw_endpoint": WITHDRAW_PATH,
    "signoff_outcome_endpoint": OUTCOME_PATH,
}
_logger = logging.getLogger(__name__)


class Link:
    """What is known of the server. `closed` is why nothing may go to it; None when it may."""

    def __init__(
        self, wire: Wire, keys: KeySource, *, client_id: str, pause_s: Callable[[int], float]
    ) -> None:
        self._wire, self._keys, self._client_id = wire, keys, client_id
        self._pause_s = pause_s
        self._closed: Unavailable | Refused | None = Unavailable(
            reason=f"the authorization server {wire.issuer} has not answered yet"
        )

    def closed(self) -> Unavailable | Refused | None:
        """Return why nothing may be sent; None once the server has shown who it is."""
        return self._closed

    async def keep(self) -> None:
        """Look until everything holds. What does not is logged once, each time it changes."""
        failures, said = 0, ""
        while (why := await self._trouble()) is not None:
            if why != said:
                _logger.warning("no approvals yet: %s; trying again", why)
                said = why
            failures += 1
            await asyncio.sleep(self._pause_s(failures))
        _logger.info("%s knows this gate as %s", self._wire.issuer, self._client_id)

    async def _trouble(self) -> str | None:
        try:
            closed = await self.look()
        except Exception:
            _logger.exception("%s could not be looked at", self._wire.issuer)
            return "looking at the authorization server failed"
        match closed:
            case Unavailable(reason=why) | Refused(description=why):
                return why
            case None:
                return None

    async def look(self) -> Unavailable | Refused | None:
        """Look once, and return why it does not hold."""
        if self._closed is not None:
            self._closed = await self._look()
        return self._closed

    async def _look(self) -> Unavailable | Refused | None:
        """Check in this order: there at all, ours by its own word, its keys, and we are known."""
        described = await self._wire.get(METADATA_PATH)
        if isinstance(described, Unavailable):
            return described
        if described.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._wire.unavailable(described)
        if (fault := metadata_fault(described.members, self._wire.issuer)) is not None:
            return Refused(error="invalid_issuer", description=fault)
        try:
            await self._keys.keys_for(None)
        except KeysUnavailableError:
            return Unavailable(reason=f"{self._wire.issuer} gives no keys to check its tokens by")
        # An id that nobody has: only a gate that is known is told so.
        form = {"auth_req_id": secrets.token_urlsafe(32)}
        answer = await self._wire.post(WITHDRAW_PATH, form, key="link")
        return answer if isinstance(answer, Unavailable) else self._known(answer)

    def _known(self, answer: Reply) -> Unavailable | Refused | None:
        error = answer.text("error")
        if answer.status == HTTPStatus.BAD_REQUEST and error == "invalid_grant":
            return None
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return Refused(error="invalid_client", description=self._wire.unknown_key())
        if error == "unauthorized_client":
            why = f"{self._client_id} is no gate at {self._wire.issuer}: create it with --role gate"
            return Refused(error=error, description=why)
        return self._wire.unavailable(answer)


def metadata_fault(document: Mapping[str, Json], issuer: str) -> str | None:
    """Return why a server that describes itself so cannot be the sidecar at `issuer`."""
    told = document.get("issuer")
    if not isinstance(told, str):
        return (
            f"{issuer} does not describe itself as an authorization server: is the address right?"
        )
    # RFC 8414 §3.3: identical, or whoever answers there answers for somebody else.
    if told != issuer:
        return f"the server at {issuer} calls itself {told[:80]!r}: write that as approvals.issuer"
    if "signoff_withdraw_endpoint" not in document:
        return f"{issuer} is not a signoff sidecar, and other providers are not built yet"
    for name, path in _ENDPOINTS.items():
        # Nothing of a call goes anywhere but to the origin that the operator wrote down.
        if document.get(name) != f"{issuer}/{path}":
            return f"{issuer} has its {name} elsewhere: is a proxy rewriting its address?"
    methods = document.get("token_endpoint_auth_methods_supported")
    if not isinstance(methods, list) or "private_key_jwt" not in methods:
        return f"{issuer} takes no private_key_jwt"
    return None
