"""A stranger cannot tell by the clock which clients there are: every failure is the same work.

Counted, not timed: look-ups, hashes, comparisons and signatures are what takes time here, and a
clock on a busy machine would prove nothing.
"""

import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from as_parts import ISSUER, Provider, basic, refused
from conftest import TurnedClock

FORM = {"grant_type": "client_credentials"}
ASKING = {"scope": "openid", "login_hint": "alice"}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
STRANGERS_KEY = ECKey.generate_key("P-256")
PATHS = ("/oauth2/token", "/oauth2/bc-authorize", "/oauth2/introspect", "/oauth2/revoke")
READ = "a read of the store"
WRITE = "a write to the store"
HASH = "a hash"
COMPARISON = "a comparison"
SIGNATURE = "a signature"
COSTLY: Mapping[str, str] = {
    "Database.look_up": READ,
    "Database.fetch_one": READ,
    "Database.fetch_all": READ,
    "Database.write": WRITE,
    "openssl_sha256": HASH,
    "compare_digest": COMPARISON,
    "_compare_digest": COMPARISON,
    "ECPublicKey.verify": SIGNATURE,
    "RSAPublicKey.verify": SIGNATURE,
    "Ed25519PublicKey.verify": SIGNATURE,
}

Send = Callable[[], Awaitable[httpx2.Response]]


async def work(send: Send) -> tuple[Counter[str], httpx2.Response]:
    """Return what one request took, and its answer."""
    found: Counter[str] = Counter()
    entered: set[Any] = set()

    def count(frame: Any, event: str, called: Any) -> None:
        if event == "c_call":
            name = getattr(called, "__qualname__", "")
            if (kind := COSTLY.get(name)) is not None:
                found[kind] += 1
        elif event == "call" and frame not in entered:
            name = frame.f_code.co_qualname
            if (kind := COSTLY.get(name)) is not None:
                entered.add(frame)  # a coroutine is entered again after each await
                found[kind] += 1

    sys.setprofile(count)
    try:
        answer = await send()
    finally:
        sys.setprofile(None)
    return found, answer


async def all_alike(cases: Mapping[str, Send]) -> Counter[str]:
    """Assert that every case is one answer and one work, and return that work."""
    told = {name: await work(send) for name, send in cases.items()}
    for _, answer in told.values():
        refused(answer, "invalid_client", status=401)
    assert len({(answer.content, str(answer.headers)) for _, answer in told.values()}) == 1
    costs = {name: dict(cost) for name, (cost, _) in told.items()}
    one = next(iter(costs.values()))
    assert all(cost == one for cost in costs.values()), costs
    return Counter(one)


@pytest.mark.seed("CIBA-33")
@pytest.mark.parametrize("path", PATHS)
async def test_unknown_disabled_and_wrong_secrets_are_the_same_work(
    provider: Provider, path: str
) -> None:
    wrong, off = await provider.other_client(), await provider.other_client()
    expired = await provider.other_client(expires_in=timedelta(seconds=1))
    keyed = await provider.other_client(jwks=_public(ECKey.generate_key("P-256")))
    await provider.people.disable(off.client.id, by="operator")

    def sending(client_id: str) -> Send:
        auth = httpx2.BasicAuth(client_id, "a secret that is none")
        return lambda: provider.post(path, {**FORM, **ASKING}, auth=auth)

    cost = await all_alike({
        "unknown": sending("client_of_nobody"),
        "wrong": sending(wrong.client.id),
        "disabled": sending(off.client.id),
        "expired": sending(expired.client.id),
        "has a key, not a secret": sending(keyed.client.id),
    })
    assert cost == {READ: 1, HASH: 1, COMPARISON: 2}


@pytest.mark.seed("CIBA-33")
@pytest.mark.parametrize("path", PATHS)
async def test_assertions_for_unknown_disabled_and_other_clients_are_the_same_work(
    provider: Provider, clock: TurnedClock, path: str
) -> None:
    with_key: dict[str, Any] = {"jwks": _public(ECKey.generate_key("P-256"))}
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
        proof = {"client_assertion_type": ASSERTION, "client_assertion": signed}
        return lambda: provider.post(path, {**FORM, **ASKING, **proof}, auth=None)

    cost = await all_alike({
        "unknown": sending("client_of_nobody"),
        "wrong signature": sending(known.client.id),
        "wrong key id": sending(known.client.id, kid="two"),
        "disabled": sending(off.client.id),
        "has a secret, not a key": sending(secret.client.id),
    })
    assert (cost[READ], cost[SIGNATURE], cost[WRITE]) == (1, 1, 0)


async def test_the_count_tells_a_success_from_a_failure(provider: Provider) -> None:
    """The control: work that differs is seen."""
    client = await provider.other_client()
    good, answer = await work(lambda: provider.post("/oauth2/token", FORM, auth=basic(client)))
    assert answer.status_code == 200
    wrong = httpx2.BasicAuth(client.client.id, "wrong")
    bad, answer = await work(lambda: provider.post("/oauth2/token", FORM, auth=wrong))
    refused(answer, "invalid_client", status=401)
    assert good != bad


@pytest.mark.seed("B4")
@pytest.mark.seed("CIBA-33")
async def test_an_unknown_and_a_switched_off_person_are_the_same_work(provider: Provider) -> None:
    client = await provider.other_client()
    await provider.people.disable("alice", by="operator")

    def asking(hint: str) -> Send:
        form = {**ASKING, "login_hint": hint}
        return lambda: provider.post("/oauth2/bc-authorize", form, auth=basic(client))

    await asking("carol")()  # who is switched off is read once, for everybody
    told = [await work(asking(hint)) for hint in ("alice", "nobody", "nobody@example.com")]
    for _, answer in told:
        refused(answer, "unknown_user_id")
    assert [dict(cost) for cost, _ in told] == [dict(told[0][0])] * 3
    assert len({answer.content for _, answer in told}) == 1


def _public(key: ECKey) -> str:
    members = {**key.as_dict(private=False), "kid": "one"}
    return f'{{"keys": [{members}]}}'.replace("'", '"')
