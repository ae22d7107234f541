"""The CIBA client: asks the authorization server for a person's decision and waits for it.

Owns the requests of bc-authorize, of the token endpoint and of the gate's own two endpoints, and
what their answers mean. Knows no call record and no storage; how a request travels is `wire`'s.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeAlias

from pydantic import SecretStr

from signoff.canonical import Json
from signoff.gate.wire import SKEW_S, Refused, Reply, Unavailable, Wire

__all__ = [
    "Asked",
    "CibaClient",
    "Closed",
    "Denied",
    "Expired",
    "Gone",
    "Granted",
    "Heard",
    "Pending",
    "PollAnswer",
    "Refused",
    "SlowDown",
    "Unavailable",
]

GRANT_TYPE: Final = "urn:openid:params:grant-type:ciba"
HOLD_S: Final = 25
"""As long as CIBA Core §10 lets an answer take, and as a network leaves a silent connection."""
HOLD_HERE_S: Final = 240
"""Where no network lies in between. Our server holds a gate for as long as it asks, up to this."""
ASK_PATH: Final = "oauth2/bc-authorize"
TOKEN_PATH: Final = "oauth2/token"  # noqa: S105 — a path
WITHDRAW_PATH: Final = "ciba/withdraw"
OUTCOME_PATH: Final = "ciba/outcome"
INTROSPECT_PATH: Final = "oauth2/introspect"
_DEFAULT_INTERVAL_S: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The server took the request (CIBA Core §7.3)."""

    auth_req_id: SecretStr
    expires_in_s: int
    interval_s: int
    approve_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A person said yes."""

    access_token: SecretStr
    id_token: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Nobody has decided yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDown:
    """We asked too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """A person said no, or nobody is left who could say yes (`by` is None)."""

    by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Nobody decided in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The server gives no token for this id, now or later: it was used, or it lapsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The server took note. `settled` is whether it was done, and who on the page says so."""

    settled: tuple[bool, str] | None = None


PollAnswer: TypeAlias = Granted | Pending | SlowDown | Denied | Expired | Gone | Unavailable
Closed: TypeAlias = Callable[[], Unavailable | Refused | None]
"""Why nothing may be sent to the server yet; None when it may."""


class CibaClient:
    """The gate as a client of one authorization server.

    `hold_s` is for how long a poll asks to be held: 0 for a server that does not understand
    `Prefer: wait`, which ours does. Nothing goes out while `closed` says why not.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        client_id: str,
        hold_s: int = HOLD_S,
        closed: Closed = lambda: None,
    ) -> None:
        self.hold_s = hold_s
        self.client_id = client_id
        self.issuer = wire.issuer
        # In one process there is one clock.
        self.skew_s = SKEW_S if wire.signs else 0.0
        self._wire = wire
        self._closed = closed

    @property
    def trouble(self) -> str | None:
        """Why the server cannot be asked now; None while nothing says so."""
        match self._closed():
            case Unavailable(reason=reason) | Refused(description=reason):
                return reason
            case None:
                return self._wire.trouble

    def release(self) -> None:
        """End every poll that is held, and hold none from now on."""
        self._wire.release()

    async def close(self) -> None:
        """End every exchange and the connections. Nobody may be waiting any more."""
        await self._wire.close()

    async def ask(
        self,
        details: Mapping[str, Json],
        *,
        login_hint: str,
        binding_message: str,
        requested_expiry_s: int,
        acr: str,
        resource: str,
    ) -> Asked | Refused | Unavailable:
        """Open a backchannel authentication request (CIBA Core §7.1)."""
        if (closed := self._closed()) is not None:
            return closed
        form = {
            "scope": "openid",
            "login_hint": login_hint,
            "binding_message": binding_message,
            "requested_expiry": str(requested_expiry_s),
            "acr_values": acr,
            "resource": resource,
            "authorization_details": json.dumps([details], ensure_ascii=False),
        }
        key = f"ask {details['call_id']}"
        reply = await self._wire.post(ASK_PATH, form, key=key, kept=True)
        if isinstance(reply, Unavailable):
            return reply
        if reply.status == HTTPStatus.OK:
            return _asked(reply)
        match reply.text("error"):
            case "unknown_user_id":
                named = details.get("approvers")
                several = isinstance(named, list) and len(named) > 1
                who = f"{login_hint}, or another who may decide," if several else login_hint
                description = f"{who} is no user at {self.issuer}, or cannot be asked there"
                return Refused(error="unknown_user_id", description=description)
            case "invalid_target" if self._wire.signs:
                description = (
                    f"{self.issuer} gives this gate no token for {resource}: add --audience"
                )
                return Refused(error="invalid_target", description=description)
            case _:
                return self._refused(reply)

    async def poll(self, auth_req_id: str) -> PollAnswer:
        """Ask for the tokens once, held at the server for up to `hold_s`."""
        if (closed := self._no_longer()) is not None:
            return closed
        form = {"grant_type": GRANT_TYPE, "auth_req_id": auth_req_id}
        hold_s = 0 if self._wire.released else self.hold_s
        key = f"poll {auth_req_id}"
        reply = await self._wire.post(TOKEN_PATH, form, key=key, hold_s=hold_s, kept=True)
        if isinstance(reply, Unavailable):
            return reply
        return _polled(reply) or self._wire.unavailable(reply)

    async def withdraw(self, auth_req_id: str) -> Heard | Refused | Unavailable:
        """Take a request back that nobody has decided."""
        return await self._tell(WITHDRAW_PATH, {"auth_req_id": auth_req_id})

    async def report(
        self, auth_req_id: str, *, state: str, at: datetime, note: str | None = None
    ) -> Heard | Refused | Unavailable:
        """Tell the server, for the page, where the call stands."""
        form = {"auth_req_id": auth_req_id, "state": state, "at": at.isoformat()}
        if note:
            form["note"] = note[:200]
        return await self._tell(OUTCOME_PATH, form)

    async def stands(self, token: str) -> bool | Unavailable:
        """Tell whether a token of ours was not taken back, and who is in it may act (RFC 7662)."""
        if (closed := self._no_longer()) is not None:
            return closed
        # Never the answer to an earlier question: the token may have been taken back since.
        reply = await self._wire.post(INTROSPECT_PATH, {"token": token}, key=None)
        if isinstance(reply, Unavailable):
            return reply
        active = reply.members.get("active")
        if reply.status != HTTPStatus.OK or not isinstance(active, bool):
            return self._wire.unavailable(reply)
        return active

    async def _tell(self, path: str, form: Mapping[str, str]) -> Heard | Refused | Unavailable:
        if (closed := self._no_longer()) is not None:
            return closed
        key = f"{path} {form.get('state')} {form['auth_req_id']}"
        reply = await self._wire.post(path, form, key=key)
        if isinstance(reply, Unavailable):
            return reply
        if reply.status != HTTPStatus.OK:
            return self._refused(reply, asking=False)
        return Heard(settled=_settled(reply.members.get("settled")))

    def _no_longer(self) -> Unavailable | None:
        """Return why the server cannot be asked about a request that it took before."""
        closed = self._closed()
        if isinstance(closed, Refused):
            return Unavailable(reason=closed.description)  # what is refused now was taken once
        return closed

    def _refused(self, reply: Reply, *, asking: bool = True) -> Refused | Unavailable:
        error, status = reply.text("error"), reply.status
        if status == HTTPStatus.UNAUTHORIZED and self._wire.signs and asking:
            # Not the next attempt will change this, but an operator.
            return Refused(error="invalid_client", description=self._wire.unknown_key())
        busy = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED)
        if error is None or busy or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._wire.unavailable(reply)
        return Refused(error=error, description=reply.text("error_description") or error)


def _asked(reply: Reply) -> Asked | Unavailable:
    members = reply.members
    auth_req_id, expires_in = members.get("auth_req_id"), members.get("expires_in")
    interval = members.get("interval", _DEFAULT_INTERVAL_S)
    if not isinstance(auth_req_id, str) or not _is_count(expires_in) or not _is_count(interval):
        return Unavailable(reason="the authorization server's answer is not one of CIBA")
    return Asked(
        auth_req_id=SecretStr(auth_req_id),
        expires_in_s=int(str(expires_in)),
        interval_s=int(str(interval)),
        approve_at=reply.text("approve_at"),
    )


def _polled(reply: Reply) -> PollAnswer | None:
    """Return what the answer says of the request; None when it says nothing of it."""
    if reply.status == HTTPStatus.OK:
        access_token, id_token = (reply.members.get(n) for n in ("access_token", "id_token"))
        if isinstance(access_token, str) and isinstance(id_token, str):
            return Granted(access_token=SecretStr(access_token), id_token=SecretStr(id_token))
        # The yes is spent and there is no token to use it with.
        return Gone()
    error = reply.text("error")
    if reply.status != HTTPStatus.BAD_REQUEST or error is None:
        return None
    answers: dict[str, PollAnswer] = {
        "authorization_pending": Pending(),
        "slow_down": SlowDown(),
        "access_denied": Denied(by=reply.text("denied_by"), reason=reply.text("reason")),
        "expired_token": Expired(),
        "invalid_grant": Gone(),
    }
    return answers.get(error)


def _settled(value: Json) -> tuple[bool, str] | None:
    match value:
        case {"done": bool() as done, "by": str() as by}:
            return done, by
        case _:
            return None


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
