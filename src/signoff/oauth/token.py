"""POST /oauth2/token: one endpoint, one module per grant.

Owns the order of the checks that all grants share, and reading the wish to be held
(`Prefer: wait=N`, RFC 7240 §4.3). What a grant checks and gives stands in `grants/`.
"""

import re
from collections.abc import Mapping
from typing import Final, Protocol

from starlette.requests import Request

from signoff.canonical import Json
from signoff.oauth.client_auth import ClientAuthenticator
from signoff.oauth.clients import GATE_ID, Client, Role
from signoff.oauth.dpop import Dpop
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form, Read, read_form
from signoff.oauth.leaving import while_there

_LONGEST_HOLD_S: Final[Mapping[Role, int]] = {
    "machine": 25,  # CIBA Core §10: an answer takes no longer than 30 s
    # Ours, and it says how long its own way is open: a thousand calls that wait cost next to
    # nothing where each is asked after every four minutes, not every half.
    "gate": 240,
}
_WAIT: Final = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)


class Grant(Protocol):
    """One grant type. Its access tokens can be bound to a key (RFC 9449)."""

    async def issue(
        self, client: Client, form: Form, *, hold_s: int, jkt: str | None
    ) -> Mapping[str, Json]:
        """Return the members of the token response, its token bound to `jkt` if there is one.

        Raises:
            OAuthError: there is no token, and why.
        """
        ...


class TokenEndpoint:
    """Answers one token request."""

    def __init__(
        self,
        authenticator: ClientAuthenticator,
        dpop: Dpop,
        *,
        grants: Mapping[str, Grant],
    ) -> None:
        self._authenticator, self._dpop, self._grants = authenticator, dpop, grants

    async def __call__(self, http: Request, *, read: Read = read_form) -> Mapping[str, Json]:
        """Check in this order: body, client, grant type known and allowed, proof, the grant."""
        form = await read(http)
        client = await self._authenticator.authenticate(http, form)
        grant_type = form.require("grant_type")
        if grant_type not in self._grants:
            raise OAuthError("unsupported_grant_type", "this server does not have this grant type")
        if grant_type not in client.grant_types:
            raise OAuthError("unauthorized_client", "the client may not use this grant")
        jkt = await self._dpop.bound_to(http, client)
        grant, hold_s = self._grants[grant_type], _hold(http, client)
        if hold_s == 0 or client.id == GATE_ID:  # the gate in this process does not leave
            return await grant.issue(client, form, hold_s=hold_s, jkt=jkt)
        async with while_there(http):
            return await grant.issue(client, form, hold_s=hold_s, jkt=jkt)


def _hold(http: Request, client: Client) -> int:
    """Return for how many seconds the client asked to be held; 0 when it did not."""
    preferred = http.headers.getlist("prefer")
    found = _WAIT.search(",".join(preferred)) if preferred else None
    return min(int(found[1]), _LONGEST_HOLD_S[client.role]) if found else 0
