"""A stranger cannot tell by the clock which clients there are.

Interleaved samples, compared by their medians and generously: a missing signature check or a
missing look-up would be a factor of two and more.
"""

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from as_parts import ISSUER, Provider, refused
from conftest import TurnedClock

FORM = {"grant_type": "client_credentials"}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ROUNDS = 120
STRANGERS_KEY = ECKey.generate_key("P-256")

Send = Callable[[], Awaitable[httpx2.Response]]


async def medians(cases: Mapping[str, Send]) -> dict[str, float]:
    """Send each case in turn, many times; return the median of each."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, send in cases.items():
            begun = time.perf_counter()
            response = await send()
            times[name].append(time.perf_counter() - begun)
            refused(response, "invalid_client", status=401)
    return {name: statistics.median(samples) for name, samples in times.items()}


def alike(found: Mapping[str, float]) -> bool:
    return max(found.values()) < 1.5 * min(found.values())


@pytest.mark.seed("CIBA-33")
async def test_unknown_disabled_and_wrong_secrets_take_the_same_time(provider: Provider) -> None:
    wrong, off = await provider.other_client(), await provider.other_client()
    await provider.people.disable(off.client.id, by="operator")

    def sending(client_id: str) -> Send:
        auth = httpx2.BasicAuth(client_id, "a secret that is none")
        return lambda: provider.post("/oauth2/token", FORM, auth=auth)

    found = await medians({
        "unknown": sending("client_of_nobody"),
        "wrong": sending(wrong.client.id),
        "disabled": sending(off.client.id),
    })
    assert alike(found), found


@pytest.mark.seed("CIBA-33")
async def test_assertions_for_unknown_disabled_and_other_clients_take_the_same_time(
    provider: Provider, clock: TurnedClock
) -> None:
    registered = {**ECKey.generate_key("P-256").as_dict(private=False), "kid": "one"}
    with_key: dict[str, Any] = {"jwks": f'{{"keys": [{registered}]}}'.replace("'", '"')}
    known = await provider.other_client(**with_key)
    off = await provider.other_client(**with_key)
    secret = await provider.other_client()
    await provider.people.disable(off.client.id, by="operator")

    def sending(client_id: str, *, kid: str = "one") -> Send:
        now = clock()
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": ISSUER,
            "jti": "x",
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=60)).timestamp()),
        }
        signed = jwt.encode({"alg": "ES256", "kid": kid}, claims, STRANGERS_KEY)
        form = {**FORM, "client_assertion_type": ASSERTION, "client_assertion": signed}
        return lambda: provider.post("/oauth2/token", form, auth=None)

    found = await medians({
        "unknown": sending("client_of_nobody"),
        "wrong signature": sending(known.client.id),
        "wrong key id": sending(known.client.id, kid="two"),
        "disabled": sending(off.client.id),
        "has a secret, not a key": sending(secret.client.id),
    })
    assert alike(found), found
