"""The hints beyond `login_hint`: a token we issued, a token the client signed, a code."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from as_parts import ISSUER, Provider, basic, refused, running_provider
from conftest import TurnedClock
from signoff.oauth.clients import Issued
from signoff.oauth.delivery import Delivery
from signoff.oauth.user_codes import UserCodeError, UserCodes
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

KEY = ECKey.generate_key("P-256", {"kid": "one"})
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DAY_S = 24 * 3600


async def ask(provider: Provider, client: Issued, **form: Any) -> httpx2.Response:
    given = {"scope": "openid", **form}
    return await provider.post("/oauth2/bc-authorize", given, auth=basic(client))


async def id_token(provider: Provider, client: Issued) -> str:
    """Return an ID token that was really issued to the client."""
    auth_req_id = (await ask(provider, client, login_hint="alice")).json()["auth_req_id"]
    await provider.decide(auth_req_id, client_id=client.client.id)
    return (await provider.poll(auth_req_id, auth=basic(client))).json()["id_token"]


@pytest.mark.seed("CIBA-21")
@pytest.mark.seed("B5")
async def test_an_id_token_of_ours_says_who_is_meant_until_a_day_after_its_end(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    hint = await id_token(provider, client)
    clock.turn(600 + DAY_S)
    response = await ask(provider, client, id_token_hint=hint)
    assert response.status_code == 200, response.text
    auth_req_id = response.json()["auth_req_id"]
    assert (await provider.card(auth_req_id, client_id=client.client.id)).eligible == ("alice",)
    clock.turn(5)
    refused(await ask(provider, client, id_token_hint=hint), "invalid_request")


@pytest.mark.seed("B5")
@pytest.mark.seed("CIBA-21")
async def test_an_id_token_of_another_client_or_of_nobody_is_no_hint(
    provider: Provider, clock: TurnedClock
) -> None:
    client, other = await provider.other_client(), await provider.other_client()
    hint = await id_token(provider, other)
    now = int(clock().timestamp())
    claims = {"iss": ISSUER, "aud": client.client.id, "sub": "alice", "iat": now, "exp": now + 60}
    forged = jwt.encode({"alg": "ES256", "kid": "one"}, claims, KEY)
    unsigned = "eyJhbGciOiJub25lIn0." + forged.split(".")[1] + "."
    for bad in (hint, forged, unsigned, hint[:-4] + "AAAA", "a.b.c", "x" * 2000):
        refused(await ask(provider, client, id_token_hint=bad), "invalid_request")


async def test_an_access_token_is_no_hint(provider: Provider) -> None:
    client = await provider.other_client()
    auth_req_id = (await ask(provider, client, login_hint="alice")).json()["auth_req_id"]
    await provider.decide(auth_req_id, client_id=client.client.id)
    answer = (await provider.poll(auth_req_id, auth=basic(client))).json()
    response = await ask(provider, client, id_token_hint=answer["access_token"])
    refused(response, "invalid_request")


async def test_an_id_token_of_somebody_switched_off_since_finds_nobody(provider: Provider) -> None:
    client = await provider.other_client()
    hint = await id_token(provider, client)
    await provider.people.disable("alice", by="operator")
    refused(await ask(provider, client, id_token_hint=hint), "unknown_user_id")


async def with_key(provider: Provider) -> Issued:
    jwks = json.dumps({"keys": [KEY.as_dict(private=False)]})
    return await provider.other_client(jwks=jwks)


async def by_token(
    provider: Provider,
    client: Issued,
    clock: TurnedClock,
    *,
    key: Any = KEY,
    jti: str = "a-1",
    **changed: Any,
) -> httpx2.Response:
    now = int(clock().timestamp())
    client_id = client.client.id
    claims = {
        "iss": client_id,
        "aud": ISSUER,
        "iat": now,
        "exp": now + 60,
        "sub_id": {"format": "iss_sub", "iss": ISSUER, "sub": "alice"},
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    hint = jwt.encode({"alg": "ES256", "kid": "one"}, kept, key)
    proof = {"iss": client_id, "sub": client_id, "aud": ISSUER, "jti": jti, "exp": now + 60}
    form = {
        "scope": "openid",
        "login_hint_token": hint,
        "client_assertion_type": ASSERTION,
        "client_assertion": jwt.encode({"alg": "ES256", "kid": "one"}, proof, KEY),
    }
    return await provider.post("/oauth2/bc-authorize", form, auth=None)


@pytest.mark.seed("CIBA-20")
@pytest.mark.parametrize(
    ("sub_id", "user"),
    [
        ({"format": "iss_sub", "iss": ISSUER, "sub": "alice"}, "alice"),
        ({"format": "iss_sub", "iss": "https://idp.example", "sub": "a-1"}, "alice"),
        ({"format": "email", "email": "BOB@example.com"}, "bob"),
        ({"format": "opaque", "id": "carol"}, "carol"),
    ],
)
async def test_a_token_the_client_signed_says_who_is_meant(
    provider: Provider, clock: TurnedClock, sub_id: dict[str, str], user: str
) -> None:
    client = await with_key(provider)
    response = await by_token(provider, client, clock, sub_id=sub_id)
    assert response.status_code == 200, response.text
    card = await provider.card(response.json()["auth_req_id"], client_id=client.client.id)
    assert card.eligible == (user,)


@pytest.mark.seed("CIBA-20")
async def test_a_hint_token_that_is_over_has_a_code_of_its_own(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await with_key(provider)
    then = int(clock().timestamp()) - 120
    response = await by_token(provider, client, clock, iat=then, exp=then + 60)
    refused(response, "expired_login_hint_token")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"iss": "another"}, "invalid_request"),
        ({"aud": "https://other.example"}, "invalid_request"),
        ({"exp": None}, "invalid_request"),
        ({"iat": None}, "invalid_request"),
        ({"sub_id": None}, "invalid_request"),
        ({"sub_id": "alice"}, "invalid_request"),
        ({"key": ECKey.generate_key("P-256")}, "invalid_request"),
        ({"sub_id": {"format": "phone_number", "phone_number": "+1"}}, "unknown_user_id"),
        ({"sub_id": {"format": "opaque", "id": "nobody"}}, "unknown_user_id"),
        ({"sub_id": {"format": "opaque"}}, "unknown_user_id"),
        ({"sub_id": {"format": ["opaque"], "id": "alice"}}, "unknown_user_id"),
        ({"sub_id": {"format": "iss_sub", "iss": ISSUER, "sub": 7}}, "unknown_user_id"),
    ],
)
async def test_a_hint_token_that_does_not_hold_is_refused(
    provider: Provider, clock: TurnedClock, changed: dict[str, Any], code: Any
) -> None:
    client = await with_key(provider)
    refused(await by_token(provider, client, clock, **changed), code)


async def test_a_hint_token_of_a_client_without_a_key_is_refused(provider: Provider) -> None:
    client = await provider.other_client()
    refused(await ask(provider, client, login_hint_token="a.b.c"), "invalid_request")


# user codes ------------------------------------------------------------------------------------


async def guarded(provider: Provider) -> Issued:
    await UserCodes(provider.stores.user_codes).choose("alice", "4711-x", by="operator")
    return await provider.other_client(delivery=Delivery(user_code=True))


async def with_code(
    provider: Provider, client: Issued, code: str | None, hint: str = "alice"
) -> httpx2.Response:
    return await ask(provider, client, login_hint=hint, user_code=code)


@pytest.mark.seed("CIBA-25")
async def test_the_code_opens_and_its_absence_and_a_wrong_one_each_have_a_code(
    provider: Provider,
) -> None:
    client = await guarded(provider)
    refused(await with_code(provider, client, None), "missing_user_code")
    refused(await with_code(provider, client, "0815"), "invalid_user_code")
    assert (await with_code(provider, client, "4711-x")).status_code == 200


async def test_a_user_without_a_code_is_asked_without(provider: Provider) -> None:
    client = await guarded(provider)
    assert (await with_code(provider, client, None, "bob")).status_code == 200


async def test_a_client_that_does_not_ask_for_codes_needs_none(provider: Provider) -> None:
    await guarded(provider)
    plain = await provider.other_client()
    assert (await with_code(provider, plain, None)).status_code == 200


@pytest.mark.seed("CIBA-25")
async def test_after_five_wrong_codes_a_client_is_refused_even_the_right_one(
    provider: Provider,
) -> None:
    client = await guarded(provider)
    for number in range(5):
        refused(await with_code(provider, client, f"wrong-{number}"), "invalid_user_code")
    refused(await with_code(provider, client, "4711-x"), "invalid_user_code")
    other = await provider.other_client(delivery=Delivery(user_code=True))
    assert (await with_code(provider, other, "4711-x")).status_code == 200
    await UserCodes(provider.stores.user_codes).choose("alice", "4712-y", by="operator")
    assert (await with_code(provider, client, "4712-y")).status_code == 200


async def test_a_right_code_clears_the_wrong_ones_before_it(provider: Provider) -> None:
    client = await guarded(provider)
    for _ in range(3):
        for number in range(4):
            refused(await with_code(provider, client, f"wrong-{number}"), "invalid_user_code")
        assert (await with_code(provider, client, "4711-x")).status_code == 200


async def test_of_many_parallel_guesses_five_count(provider: Provider, database: Database) -> None:
    client = await guarded(provider)
    answers = await asyncio.gather(
        *(with_code(provider, client, f"wrong-{number}") for number in range(12))
    )
    for answer in answers:
        refused(answer, "invalid_user_code")
    (row,) = await database.fetch_all("SELECT wrong FROM user_code_tries")
    assert row["wrong"] == 5


async def test_a_try_counts_also_when_what_comes_after_it_fails(
    database: Database, sealer: Sealer
) -> None:
    async with running_provider(database, sealer) as provider:
        client = await guarded(provider)
        await database.write(
            lambda tx: tx.execute(
                "CREATE TRIGGER t BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'x'); END"
            )
        )
        for number in range(5):
            refused(await with_code(provider, client, f"wrong-{number}"), "invalid_user_code")
        await database.write(lambda tx: tx.execute("DROP TRIGGER t"))
        refused(await with_code(provider, client, "4711-x"), "invalid_user_code")


@pytest.mark.parametrize("code", ["", "123", "x" * 65, "with blank", "é1234", "line\nbreak"])
async def test_a_code_that_is_none_cannot_be_set(provider: Provider, code: str) -> None:
    with pytest.raises(UserCodeError):
        await UserCodes(provider.stores.user_codes).choose("alice", code, by="operator")


async def test_a_removed_code_is_asked_for_no_more(provider: Provider) -> None:
    client = await guarded(provider)
    codes = UserCodes(provider.stores.user_codes)
    assert await codes.remove("alice", by="operator")
    assert not await codes.remove("alice", by="operator")
    assert (await with_code(provider, client, None)).status_code == 200


async def test_the_store_holds_no_code_in_clear(provider: Provider, database: Database) -> None:
    await guarded(provider)
    for path in database.path.parent.glob("signoff.db*"):
        assert b"4711-x" not in path.read_bytes()
