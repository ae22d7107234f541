"""The CIBA client: asks the authorization server for a person's decision and waits for it.

Owns the wire of bc-authorize, the token request and the gate's own two endpoints, and what their
answers mean. Knows no call record and no storage. Each exchange is a task of its own in a fresh
context and is never cancelled half-way: over ASGI a cancellation would strike inside the server,
between its commit and its answer, and lose a yes.
"""

import asyncio
import base64
import json
from collections.abc import Coroutine, Mapping
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import quote_plus, urlencode

import httpx2
from pydantic import SecretStr

from signoff.canonical import Json, JsonError, parse

GRANT_TYPE: Final = "urn:openid:params:grant-type:ciba"
HOLD_S: Final = 25
_DEADLINE_S: Final = 15.0
_MAX_ANSWER: Final = 1_048_576
_DEFAULT_INTERVAL_S: Final = 5
_POLL: Final = "poll"
_ASK: Final = "oauth2/bc-authorize"
_TOKEN: Final = "oauth2/token"  # noqa: S105 — a path
_WITHDRAW: Final = "ciba/withdraw"
_OUTCOME: Final = "ciba/outcome"
_FORM: Final = "application/x-www-form-urlencoded"
_TIMEOUTS: Final = httpx2.Timeout(_DEADLINE_S, read=HOLD_S + _DEADLINE_S, pool=None).as_dict()


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
class Refused:
    """The server will not take the request, however often it is sent."""

    error: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """No usable answer; ask again, not before `retry_after_s`."""

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The server took note."""


PollAnswer: TypeAlias = Granted | Pending | SlowDown | Denied | Expired | Gone | Unavailable
_Exchange: TypeAlias = "asyncio.Task[httpx2.Response]"


class CibaClient:
    """The gate as a client of one authorization server, in this process or far away.

    `issuer` is the base of the endpoints. `holds` says whether the server understands
    `Prefer: wait`, which ours does.
    """

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: SecretStr,
        transport: httpx2.AsyncBaseTransport | None = None,
        holds: bool = True,
    ) -> None:
        self.hold_s = HOLD_S if holds else 0
        self.client_id = client_id
        self.issuer = issuer
        base = issuer.rstrip("/")
        self._urls = {
            path: httpx2.URL(f"{base}/{path}") for path in (_ASK, _TOKEN, _WITHDRAW, _OUTCOME)
        }
        self._basic = _basic(client_id, client_secret)
        # The transport alone, for a client above it would follow nothing and keep no cookie.
        self._transport = transport or httpx2.AsyncHTTPTransport(
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )
        self._exchanges: dict[str, _Exchange] = {}
        self._released = False

    def release(self) -> None:
        """End every poll that is held, and hold none from now on.

        Our server keeps the tokens of a poll that ends so for the next one, which is due at once.
        """
        self._released = True
        for key, exchange in self._exchanges.items():
            if key.startswith(_POLL):
                exchange.cancel()

    async def close(self) -> None:
        """End every exchange and the connections. Nobody may be waiting any more."""
        flying = tuple(self._exchanges.values())
        for exchange in flying:
            exchange.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
        await self._transport.aclose()

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
        response = await self._exchange(key, self._post(_ASK, form))
        if isinstance(response, Unavailable):
            return response
        members = _members(response)
        if response.status_code == HTTPStatus.OK:
            return _asked(members)
        return _refused(response, members)

    async def poll(self, auth_req_id: str) -> PollAnswer:
        """Ask for the tokens once, held at the server for up to `hold_s`."""
        form = {"grant_type": GRANT_TYPE, "auth_req_id": auth_req_id}
        hold_s = 0 if self._released else self.hold_s
        headers = {"Prefer": f"wait={hold_s}"} if hold_s else {}
        response = await self._exchange(
            f"{_POLL} {auth_req_id}",
            self._post(_TOKEN, form, headers),
            deadline_s=hold_s + _DEADLINE_S,
        )
        if isinstance(response, Unavailable):
            return response
        return _polled(response, _members(response))

    async def withdraw(self, auth_req_id: str) -> Heard | Refused | Unavailable:
        """Take a request back that nobody has decided."""
        return await self._tell(_WITHDRAW, {"auth_req_id": auth_req_id})

    async def report(
        self, auth_req_id: str, *, state: str, at: datetime, note: str | None = None
    ) -> Heard | Refused | Unavailable:
        """Tell the server, for the page, where the call stands."""
        form = {"auth_req_id": auth_req_id, "state": state, "at": at.isoformat()}
        if note:
            form["note"] = note[:200]
        return await self._tell(_OUTCOME, form)

    async def _tell(self, path: str, form: Mapping[str, str]) -> Heard | Refused | Unavailable:
        key = f"{path} {form.get('state')} {form['auth_req_id']}"
        response = await self._exchange(key, self._post(path, form))
        if isinstance(response, Unavailable):
            return response
        if response.status_code == HTTPStatus.OK:
            return Heard()
        return _refused(response, _members(response))

    async def _post(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        request = httpx2.Request(
            "POST",
            self._urls[path],
            headers={"authorization": self._basic, "content-type": _FORM, **(headers or {})},
            content=urlencode(form).encode(),
            extensions={"timeout": _TIMEOUTS},
        )
        response = await self._transport.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response

    async def _exchange(
        self,
        key: str,
        request: Coroutine[Any, Any, httpx2.Response],
        *,
        deadline_s: float = _DEADLINE_S,
    ) -> httpx2.Response | Unavailable:
        """Run `request` to its end whatever becomes of us; one that is late is met again later."""
        exchange = self._exchanges.get(key)
        if exchange is None:
            exchange = asyncio.get_running_loop().create_task(
                request, name="ciba", context=Context()
            )
            self._exchanges[key] = exchange
        else:
            request.close()
        try:
            async with asyncio.timeout(deadline_s):
                response = await asyncio.shield(exchange)
        except TimeoutError:
            if not exchange.done():
                return Unavailable(reason="the authorization server does not answer")
            self._exchanges.pop(key, None)
            return Unavailable(reason="the authorization server did not answer in time")
        except asyncio.CancelledError:
            if not exchange.cancelled() or _is_cancelled_ourselves():
                raise
            self._exchanges.pop(key, None)
            return Unavailable(reason="the poll was released", retry_after_s=0)
        except httpx2.HTTPError as error:
            self._exchanges.pop(key, None)
            return Unavailable(reason=f"no exchange: {type(error).__name__}")
        self._exchanges.pop(key, None)
        return response


def _basic(client_id: str, client_secret: SecretStr) -> str:
    # RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret.get_secret_value())}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _is_cancelled_ourselves() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _members(response: httpx2.Response) -> Mapping[str, Json]:
    """Return the members of a JSON object, none for anything else."""
    if len(response.content) > _MAX_ANSWER:
        return {}
    try:
        value = parse(response.content)
    except JsonError:
        return {}
    return value if isinstance(value, dict) else {}


def _asked(members: Mapping[str, Json]) -> Asked | Unavailable:
    auth_req_id, expires_in = members.get("auth_req_id"), members.get("expires_in")
    interval = members.get("interval", _DEFAULT_INTERVAL_S)
    approve_at = members.get("approve_at")
    if not isinstance(auth_req_id, str) or not _is_count(expires_in) or not _is_count(interval):
        return Unavailable(reason="the authorization server's answer is not one of CIBA")
    return Asked(
        auth_req_id=SecretStr(auth_req_id),
        expires_in_s=int(str(expires_in)),
        interval_s=int(str(interval)),
        approve_at=approve_at if isinstance(approve_at, str) else None,
    )


def _polled(response: httpx2.Response, members: Mapping[str, Json]) -> PollAnswer:
    if response.status_code == HTTPStatus.OK:
        access_token, id_token = members.get("access_token"), members.get("id_token")
        if isinstance(access_token, str) and isinstance(id_token, str):
            return Granted(access_token=SecretStr(access_token), id_token=SecretStr(id_token))
        # The yes is spent and there is no token to use it with.
        return Gone()
    error = _text(members, "error")
    if response.status_code == HTTPStatus.BAD_REQUEST and error is not None:
        by, reason = _text(members, "denied_by"), _text(members, "reason")
        answers: dict[str, PollAnswer] = {
            "authorization_pending": Pending(),
            "slow_down": SlowDown(),
            "access_denied": Denied(by=by, reason=reason),
            "expired_token": Expired(),
            "invalid_grant": Gone(),
        }
        if error in answers:
            return answers[error]
    return _unavailable(response, members)


def _refused(response: httpx2.Response, members: Mapping[str, Json]) -> Refused | Unavailable:
    error = _text(members, "error")
    busy = response.status_code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED)
    if error is None or busy or response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unavailable(response, members)
    return Refused(error=error, description=_text(members, "error_description") or error)


def _unavailable(response: httpx2.Response, members: Mapping[str, Json]) -> Unavailable:
    retry_after = response.headers.get("retry-after", "")
    error = _text(members, "error") or "no error code"
    return Unavailable(
        reason=f"the authorization server answered {response.status_code}: {error}",
        retry_after_s=float(retry_after) if retry_after.isdecimal() else None,
    )


def _text(members: Mapping[str, Json], name: str) -> str | None:
    value = members.get(name)
    return value[:500] if isinstance(value, str) and value else None


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
