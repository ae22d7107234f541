"""Keys rotate while everybody verifies: upstreams, the gate and the assistants' door, all at once.

Hours of a service go by on the turned clock. Each reads the keys as it does in production: the
gate in this process from the ring, whoever is elsewhere over HTTP and from a copy.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import httpx2
import pytest
from starlette.applications import Starlette

from as_parts import BANK, ISSUER, Provider, basic, tool_call
from conftest import TurnedClock
from gate_parts import new_call
from signoff.assistant.auth import AccessTokens, Admitted
from signoff.canonical import Json
from signoff.gate.call import Call
from signoff.gate.verify import Verifier
from signoff.identity import Caller
from signoff.oauth.clients import Issued
from signoff.resource import RemoteKeys, ResourceVerifier
from signoff.tokens.keyring import KEEP_AFTER_ROTATION, PUBLISH_AHEAD
from signoff.tokens.keys import KeySource
from signoff.tokens.verify import key_id

STEP = timedelta(minutes=5)
HOURS = 8
ROTATED_AT = (1, 2, 3, 5)
"""Hours at which the key is rotated: once while the one before is not yet in use."""
GATE = "signoff-gate"
ASSISTANT = Caller(kind="oauth", issuer=ISSUER, client_id="claude-code", sub="alice")


@dataclass(frozen=True, kw_only=True)
class Held:
    """A token, whom it is for, and until when it must be good."""

    token: str
    check: Callable[[datetime], Awaitable[object]]
    until: datetime


class Everybody:
    """Whoever verifies tokens of ours."""

    def __init__(self, provider: Provider, clock: TurnedClock) -> None:
        self.provider, self.clock = provider, clock
        transport = httpx2.ASGITransport(Starlette(routes=provider.routes))

        def elsewhere() -> KeySource:
            return RemoteKeys(
                f"{ISSUER}/oauth2/jwks",
                transport=transport,
                monotonic=lambda: clock().timestamp(),
            )

        self.bank = ResourceVerifier(
            issuer=ISSUER, audience=BANK, keys=elsewhere(), scope="payments", now=clock
        )
        self.doors = [
            AccessTokens(keys, issuer=ISSUER, resource=f"{ISSUER}/mcp", now=clock)
            for keys in (provider.keyring, elsewhere())
        ]
        self.gates = [
            Verifier(issuer=ISSUER, client_id=GATE, keys=keys)
            for keys in (provider.keyring, elsewhere())
        ]

    async def machine(self, client: Issued, resource: str) -> Held:
        form = {"grant_type": "client_credentials", "resource": resource}
        answer = await self.provider.post("/oauth2/token", form, auth=basic(client))
        token = answer.json()["access_token"]

        async def at_the_bank(_: datetime) -> object:
            return await self.bank.verify(f"Bearer {token}")

        async def at_the_doors(_: datetime) -> object:
            for door in self.doors:
                admitted = await door(token)
                assert isinstance(admitted, Admitted), admitted
            return None

        check = at_the_bank if resource == BANK else at_the_doors
        return Held(token=token, check=check, until=self.clock() + timedelta(hours=1))

    async def approval(self, number: int) -> Held:
        details = tool_call(f"call_{number}", caller=cast("Json", ASSISTANT.as_json()))
        auth_req_id = await self.provider.asked(details)
        await self.provider.decide(auth_req_id)
        answer = (await self.provider.poll(auth_req_id)).json()
        call = self._call(details)

        async def at_the_gates(now: datetime) -> object:
            for gate in self.gates:
                await gate.verify(
                    call,
                    details,
                    auth_req_id=auth_req_id,
                    access_token=answer["access_token"],
                    id_token=answer["id_token"],
                    now=now,
                )
            return None

        until = self.clock() + timedelta(seconds=120)
        return Held(token=answer["access_token"], check=at_the_gates, until=until)

    def _call(self, details: dict[str, Json]) -> Call:
        return new_call(
            str(details["call_id"]),
            caller=ASSISTANT,
            tool="transfer_funds",
            digest=details["digest"],
            catalogue_digest=details["catalogue_digest"],
            opened_at=self.clock(),
            expires_at=self.clock() + timedelta(minutes=15),
        )


async def checked(held: Held, now: datetime) -> None:
    await held.check(now)


async def test_keys_rotate_four_times_under_load_and_no_verification_fails(
    provider: Provider, clock: TurnedClock
) -> None:
    everybody = Everybody(provider, clock)
    client = await provider.other_client(
        audiences=[BANK, f"{ISSUER}/mcp"], scopes=["payments", "mcp"]
    )
    alive: list[Held] = []
    signed_by: set[str | None] = set()
    verified = 0
    begun = clock()
    for step in range(int(timedelta(hours=HOURS) / STEP)):
        hour = (clock() - begun) / timedelta(hours=1)

        async def keep(hour: float = hour) -> None:
            if hour in ROTATED_AT:
                await provider.keyring.rotate()
            if hour == int(hour):
                await provider.keyring.maintain()

        async with asyncio.TaskGroup() as group:
            made = [
                group.create_task(everybody.machine(client, BANK)),
                group.create_task(everybody.machine(client, f"{ISSUER}/mcp")),
                group.create_task(everybody.approval(step)),
            ]
            group.create_task(keep())
            for held in alive:
                group.create_task(checked(held, clock()))
        fresh = [one.result() for one in made]
        alive = [held for held in [*alive, *fresh] if held.until > clock() + STEP]
        # The yes of a person lives for two minutes: it is checked at once, and right at its end.
        await asyncio.gather(*(checked(held, clock()) for held in fresh))
        verified += len(alive) + len(fresh)
        signed_by |= {key_id(held.token) for held in fresh}
        clock.turn(118)
        await fresh[2].check(clock())
        clock.turn(STEP.total_seconds() - 118)
    assert len(signed_by) == 1 + len(ROTATED_AT)
    assert verified > 1_000
    assert PUBLISH_AHEAD > STEP * 2  # what a copy is late by
    clock.turn(KEEP_AFTER_ROTATION.total_seconds())
    await provider.keyring.maintain()
    assert len(provider.keyring.public) == 1, "old keys stay for ever"


@pytest.mark.parametrize("late", [True, False])
async def test_without_publishing_ahead_a_copy_of_the_keys_would_not_do(
    provider: Provider, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    """The control: the same load notices a key that signs at once."""
    if not late:
        monkeypatch.setattr("signoff.tokens.keyring.PUBLISH_AHEAD", timedelta(0))
    everybody = Everybody(provider, clock)
    client = await provider.other_client(
        audiences=[BANK, f"{ISSUER}/mcp"], scopes=["payments", "mcp"]
    )
    await (await everybody.machine(client, BANK)).check(clock())
    clock.turn(30)  # a copy is not read again within a minute, whatever strangers send
    await provider.keyring.rotate()
    held = await everybody.machine(client, BANK)
    if late:
        await held.check(clock())
    else:
        with pytest.raises(Exception, match="invalid_token"):
            await held.check(clock())
