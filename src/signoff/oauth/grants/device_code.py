"""The device code grant (RFC 8628 §3.4, §3.5): polls, and the one set of tokens a yes is worth.

Owns what each state answers. The pace of polls, being held and `slow_down` are those of the CIBA
grant; the states are those of an approval.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, assert_never

from signoff.approvals.ports import Changes
from signoff.approvals.request import Status
from signoff.canonical import Json
from signoff.oauth.clients import Client
from signoff.oauth.device import Device, DeviceStore
from signoff.oauth.draining import Draining
from signoff.oauth.errors import OAuthError, slow_down
from signoff.oauth.forms import Form
from signoff.oauth.grants.handing_out import HandingOut
from signoff.oauth.grants.pace import Pace
from signoff.oauth.host_tokens import (
    Consent,
    Minter,
    check_resource,
    key_of_refresh,
    new_refresh_token,
)
from signoff.oauth.rich import refuse_details

_MAX_CODE: Final = 256
_SHORTEST_WAIT_S: Final = 0.001


class DeviceCodeGrant:
    """Implements `token.Grant`."""

    def __init__(
        self,
        devices: DeviceStore,
        minter: Minter,
        changes: Changes,
        *,
        held_at_most: int,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        draining: Draining | None = None,
    ) -> None:
        self._devices, self._minter, self._changes = devices, minter, changes
        self._now, self._monotonic = now, monotonic
        self._draining = draining or Draining()
        self._pace = Pace(monotonic, held_at_most=held_at_most)
        self._handing_out = HandingOut[Mapping[str, Json]](monotonic)

    async def issue(
        self, client: Client, form: Form, *, hold_s: int, jkt: str | None = None
    ) -> Mapping[str, Json]:
        """Return the tokens of an approved request, or say where it stands."""
        device_code = form.require("device_code")
        refuse_details(form)
        if len(device_code) > _MAX_CODE:
            raise _no_such_code("too long")
        await self._handing_out.settled(client, device_code)
        if (kept := self._handing_out.kept(client, device_code)) is not None:
            return kept
        device = await self._devices.find(device_code, client_id=client.id)
        if device is not None and device.status is Status.PENDING:
            device = await self._pending(client, device_code, device, hold_s=hold_s)
        if device is None:
            raise _no_such_code("unknown")
        if device.status is not Status.PENDING:
            self._pace.forget(device_code)
        if device.status is not Status.APPROVED or device.consent is None:
            raise _without_tokens(device.status)
        check_resource(form, device.consent)
        exchange = self._tokens(client, device_code, device.consent, jkt=jkt)
        return await self._handing_out.once(client, device_code, exchange)

    async def _tokens(
        self, client: Client, device_code: str, consent: Consent, *, jkt: str | None
    ) -> Mapping[str, Json]:
        """Mint, then consume: what can fail fails before the yes is gone."""
        refresh_token = new_refresh_token(client)
        answer = self._minter.answer(
            consent, client, scope=consent.scope, refresh_token=refresh_token, jkt=jkt
        )
        redeemed = await self._devices.redeem(
            device_code,
            client_id=client.id,
            refresh_token=refresh_token,
            bound_to=key_of_refresh(client, jkt),
        )
        if redeemed != consent:
            raise _no_such_code("somebody was first, or it no longer holds")
        return answer

    async def _pending(
        self, client: Client, device_code: str, device: Device, *, hold_s: int
    ) -> Device | None:
        if hold_s > 0:
            with self._pace.holding(device_code) as held:
                if held:
                    return await self._held(client, device_code, device, hold_s=hold_s)
        if self._pace.strikes(device_code, interval_s=device.interval_s):
            # RFC 8628 §3.5: five seconds more, for this and every later poll.
            await self._devices.slow_down(device_code)
            raise slow_down(device.interval_s)
        return device

    async def _held(
        self, client: Client, device_code: str, device: Device, *, hold_s: int
    ) -> Device | None:
        until = self._monotonic() + hold_s
        with self._changes.watch("device", device.id) as watch:
            while True:
                latest = await self._devices.find(device_code, client_id=client.id)
                left = until - self._monotonic()
                if latest is None or latest.status is not Status.PENDING or left <= 0:
                    return latest
                if self._draining.begun:
                    return latest
                open_for = (latest.expires_at - self._now()).total_seconds()
                wait_s = max(min(left, open_for), _SHORTEST_WAIT_S)
                await self._draining.wait(watch.changed(wait_s))


def _without_tokens(status: Status) -> OAuthError:
    match status:
        case Status.PENDING:
            return OAuthError("authorization_pending", "the request waits for a decision")
        case Status.EXPIRED:
            return OAuthError("expired_token", "nobody decided in time")
        case Status.DENIED | Status.WITHDRAWN:
            return OAuthError("access_denied", "the request was denied")
        case Status.APPROVED | Status.REDEEMED | Status.LAPSED:
            return _no_such_code(str(status))
        case _:
            assert_never(status)


def _no_such_code(detail: str) -> OAuthError:
    return OAuthError("invalid_grant", "the device_code is not valid", detail=detail)
