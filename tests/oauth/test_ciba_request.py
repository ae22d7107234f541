"""What CIBA asks of a request and of its poll that is no refusal: said here clause by clause."""

import asyncio
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from as_parts import (
    BANK,
    GATE,
    ISSUER,
    Monotonic,
    Provider,
    basic,
    refused,
    running_provider,
    tool_call,
)
from callback_parts import TOKEN, called_back, listening, telling, until_quiet
from conftest import TurnedClock
from signed_in import site
from signoff.approvals.ports import Decided
from signoff.approvals.service import Limits
from signoff.oauth.clients import Issued
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.tokens.verify import unverified_claims

KEY = ECKey.generate_key("P-256")
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PLAIN: dict[str, Any] = {"scope": "openid", "login_hint": "alice"}
PATH = "/oauth2/bc-authorize"


async def with_key(provider: Provider) -> Issued:
    jwks = json.dumps({"keys": [KEY.as_dict(private=False)]})
    return await provider.other_client(jwks=jwks)


def by_key(client: Issued, clock: TurnedClock, **changed: Any) -> dict[str, str]:
    now = int(clock().timestamp())
    claims = {"iss": client.client.id, "sub": client.client.id, "iat": now, "exp": now + 60}
    signed = jwt.encode({"alg": "ES256"}, {**claims, "jti": "a-1", **changed}, KEY)
    return {"client_assertion_type": ASSERTION, "client_assertion": signed}


@pytest.mark.seed("CIBA-14")
async def test_each_way_to_prove_a_client_opens_the_backchannel_endpoint(
    provider: Provider, clock: TurnedClock
) -> None:
    secret, keyed = await provider.other_client(), await with_key(provider)
    known = {"client_id": secret.client.id, "client_secret": secret.secret}
    answers = [
        await provider.post(PATH, PLAIN, auth=basic(secret)),
        await provider.post(PATH, {**PLAIN, **known}, auth=None),
        await provider.post(PATH, {**PLAIN, **by_key(keyed, clock, aud=ISSUER)}, auth=None),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    # And no other than its own: who has a key has no secret, and the other way round.
    wrong = by_key(secret, clock, aud=ISSUER, jti="a-2")
    refused(await provider.post(PATH, {**PLAIN, **wrong}, auth=None), "invalid_client", status=401)


@pytest.mark.seed("CIBA-15")
@pytest.mark.parametrize(
    "audience",
    [
        ISSUER,
        f"{ISSUER}/",
        f"{ISSUER}/oauth2/token",
        f"{ISSUER}/oauth2/bc-authorize",
        [ISSUER],
        [f"{ISSUER}/oauth2/token", ISSUER],
    ],
)
@pytest.mark.parametrize("rule", ["ciba", "issuer"])
async def test_an_assertion_at_the_backchannel_endpoint_names_us_by_the_rule_in_force(
    database: Database, sealer: Sealer, clock: TurnedClock, audience: Any, rule: Any
) -> None:
    async with running_provider(database, sealer, assertion_audience=rule) as provider:
        client = await with_key(provider)
        form = {**PLAIN, **by_key(client, clock, aud=audience)}
        answer = await provider.post(PATH, form, auth=None)
        names: list[str] = [audience] if isinstance(audience, str) else audience
        if rule == "ciba" or {str(name).rstrip("/") for name in names} == {ISSUER}:
            assert answer.status_code == 200
        else:
            refused(answer, "invalid_client", status=401)


@pytest.mark.seed("CIBA-13")
@pytest.mark.seed("CIBA-27")
@pytest.mark.seed("CIBA-64")
async def test_parameters_that_nobody_here_knows_change_nothing(provider: Provider) -> None:
    client = await provider.other_client()
    unknown = {
        "nonce": "n-0S6_WzA2Mj",
        "request_context": '{"ip":"192.0.2.1"}',
        "ui_locales": "de",
        "claims": '{"id_token":{"email":null}}',
        "max_age": "0",
        "prompt": "none",
        "x": "ÄÖÜ €",
    }
    answer = await provider.post(PATH, {**PLAIN, **unknown}, auth=basic(client))
    assert set(answer.json()) == {"auth_req_id", "expires_in", "interval"}
    card = await provider.card(answer.json()["auth_req_id"], client_id=client.client.id)
    assert (card.eligible, card.scope, card.acr) == (("alice",), "openid", "session")
    assert (card.binding_message, card.authorization_details) == (None, ())


@pytest.mark.seed("CIBA-23")
@pytest.mark.seed("CIBA-62")
@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("passkey session", "passkey"),
        ("session passkey", "session"),
        ("gold passkey", "passkey"),
        (None, "session"),
    ],
)
async def test_the_strength_asked_for_is_the_strength_in_the_tokens(
    database: Database, sealer: Sealer, wanted: str | None, given: str
) -> None:
    async with running_provider(database, sealer, acr_values=("session", "passkey")) as provider:
        client = await provider.other_client()
        form = {**PLAIN, "acr_values": wanted}
        asked = (await provider.post(PATH, form, auth=basic(client))).json()["auth_req_id"]
        card = await provider.card(asked, client_id=client.client.id)
        assert card.acr == given
        decision = await provider.approvals.decide(
            card.id,
            user_id="alice",
            digest=card.digest,
            verdict="approve",
            reason=None,
            acr=given,
        )
        assert isinstance(decision, Decided)
        answer = (await provider.poll(asked, auth=basic(client))).json()
        tokens = [unverified_claims(answer[name]) for name in ("id_token", "access_token")]
        assert [claims["acr"] for claims in tokens] == [given, given]
        assert tokens[0]["amr"] == (["hwk", "user"] if given == "passkey" else ["user"])


@pytest.mark.seed("B'")
@pytest.mark.seed("CIBA-23")
async def test_a_weaker_strength_than_the_one_asked_for_decides_nothing(
    database: Database, sealer: Sealer
) -> None:
    async with running_provider(database, sealer, acr_values=("session", "passkey")) as provider:
        client = await provider.other_client()
        form = {**PLAIN, "acr_values": "passkey"}
        asked = (await provider.post(PATH, form, auth=basic(client))).json()["auth_req_id"]
        card = await provider.card(asked, client_id=client.client.id)
        decision = await provider.approvals.decide(
            card.id,
            user_id="alice",
            digest=card.digest,
            verdict="approve",
            reason=None,
            acr="session",
        )
        assert not isinstance(decision, Decided)
        refused(await provider.poll(asked, auth=basic(client)), "authorization_pending")


@pytest.mark.seed("CIBA-24")
@pytest.mark.seed("CIBA-40")
@pytest.mark.parametrize("message", ["1234", "🎉🎉 承認 👍🏽 W4SCT", "x" * 256, "A & <B> 'C'"])
async def test_the_person_is_shown_the_very_message_that_the_client_sent(
    provider: Provider, message: str
) -> None:
    client = await provider.other_client()
    form = {**PLAIN, "binding_message": message, "scope": "openid payments"}
    answer = await provider.post(PATH, form, auth=basic(client))
    card = await provider.card(answer.json()["auth_req_id"], client_id=client.client.id)
    async with site(provider) as here:
        shown = await here.http.get(
            "/ciba/verify",
            params={"approval_id": card.id},
            headers=await here.enter("alice"),
        )
    told = shown.json()
    assert told["binding_message"] == message
    assert (told["client_id"], told["scope"]) == (client.client.id, "openid payments")
    assert told["expires_at"] == card.expires_at.isoformat()


@pytest.mark.seed("CIBA-61")
@pytest.mark.parametrize("mode", ["poll", "ping"])
async def test_every_client_but_one_of_push_may_poll(provider: Provider, mode: Any) -> None:
    if mode == "poll":
        client = await provider.other_client()
    else:
        client = await called_back(provider, mode, "https://client.example/ciba")
    form = {**PLAIN, "client_notification_token": TOKEN}
    asked = (await provider.post(PATH, form, auth=basic(client))).json()["auth_req_id"]
    await provider.decide(asked, client_id=client.client.id)
    assert (await provider.poll(asked, auth=basic(client))).status_code == 200


@pytest.mark.seed("CIBA-59")
async def test_the_gate_never_asks_without_saying_for_what(provider: Provider) -> None:
    """Its context is unique: the details carry the id of the call and a nonce of their own."""
    refused(await provider.ask(authorization_details=None), "invalid_authorization_details")
    cards = [await provider.card(await provider.asked(tool_call(f"call_{n}"))) for n in (1, 2)]
    assert len({card.nonce for card in cards}) == len({card.digest for card in cards}) == 2


@pytest.mark.seed("CIBA-43")
@pytest.mark.parametrize(("who", "longest_s"), [("another client", 25), ("the gate", 240)])
async def test_no_poll_is_held_for_longer_than_its_client_may_wait(
    database: Database, sealer: Sealer, who: str, longest_s: float
) -> None:
    time = Monotonic()
    async with running_provider(database, sealer, monotonic=time) as provider:
        auth = GATE
        changed: dict[str, Any] = {}
        if who != "the gate":
            auth = basic(await provider.other_client())
            changed = {"authorization_details": None, "resource": BANK}
        auth_req_id = await provider.asked(auth=auth, **changed)
        poll = asyncio.create_task(provider.poll(auth_req_id, wait=99_999, auth=auth))
        await provider.until_held()
        time.at += longest_s - 0.1
        provider.wake()
        await provider.until_held()
        assert not poll.done()
        time.at += 0.1
        provider.wake()
        refused(await poll, "authorization_pending")


@pytest.mark.seed("B7")
@pytest.mark.seed("B22")
async def test_the_lifetime_and_the_interval_are_settings(
    database: Database, sealer: Sealer
) -> None:
    async with running_provider(
        database,
        sealer,
        limits=Limits(interval_s=2),
        default_expiry_s=120,
        longest_expiry_s=600,
    ) as provider:
        answer = (await provider.ask(requested_expiry=None)).json()
        assert (answer["expires_in"], answer["interval"]) == (120, 2)
        longest = await provider.ask(tool_call("call_2"), requested_expiry="601")
        assert longest.json()["expires_in"] == 600


@pytest.mark.seed("B15")
async def test_a_poll_proves_its_client_anew_and_another_clients_gets_nothing(
    provider: Provider,
) -> None:
    client, other = await provider.other_client(), await provider.other_client()
    asked = (await provider.post(PATH, PLAIN, auth=basic(client))).json()["auth_req_id"]
    await provider.decide(asked, client_id=client.client.id)
    named: dict[str, Any] = {"client_id": client.client.id}
    refused(await provider.poll(asked, auth=None), "invalid_client", status=401)
    refused(await provider.poll(asked, auth=None, **named), "invalid_client", status=401)
    refused(await provider.poll(asked, auth=basic(other)), "invalid_grant")
    refused(await provider.poll(asked, auth=GATE), "invalid_grant")
    await provider.people.disable(client.client.id, by="operator")
    refused(await provider.poll(asked, auth=basic(client)), "invalid_client", status=401)


@pytest.mark.seed("B15")
@pytest.mark.parametrize(
    "less",
    [{"scopes": ["reports"]}, {"audiences": ["https://other.example"]}, {"details_types": []}],
    ids=["scope", "audience", "type"],
)
async def test_a_yes_is_worth_nothing_to_a_client_that_may_have_less_since(
    provider: Provider, less: dict[str, Any]
) -> None:
    client = await provider.other_client()
    form = {
        "scope": "openid payments",
        "authorization_details": '[{"type":"payment","amount":25}]',
        "resource": BANK,
    }
    asked = (await provider.post(PATH, {**PLAIN, **form}, auth=basic(client))).json()
    await provider.decide(asked["auth_req_id"], client_id=client.client.id)
    await provider.clients.update(client.client.id, by="operator", **less)
    refused(await provider.poll(asked["auth_req_id"], auth=basic(client)), "invalid_grant")
    given: dict[str, Any] = {
        "scopes": ["payments"],
        "audiences": [BANK],
        "details_types": ["payment"],
    }
    await provider.clients.update(client.client.id, by="operator", **given)
    answer = await provider.poll(asked["auth_req_id"], auth=basic(client))
    assert answer.status_code == 200  # nothing was used up by the attempt


@pytest.mark.seed("CIBA-49")
@pytest.mark.parametrize("status", ["200 OK", "202 Accepted", "204 No Content"])
async def test_a_client_that_took_the_ping_is_told_once(provider: Provider, status: str) -> None:
    async with listening(f"{status}\r\ncontent-type: application/json") as here, telling(provider):
        client = await called_back(provider, "ping", here.url)
        form = {**PLAIN, "client_notification_token": TOKEN}
        asked = (await provider.post(PATH, form, auth=basic(client))).json()["auth_req_id"]
        await provider.decide(asked, client_id=client.client.id)
        assert (await here.next()).body == {"auth_req_id": asked}
        await until_quiet(provider)
        assert here.heard.empty()


@pytest.mark.seed("CIBA-39")
@pytest.mark.seed("P1")
async def test_a_yes_to_one_of_several_requests_leaves_the_others_waiting(
    provider: Provider,
) -> None:
    client = await provider.other_client()
    asked = [
        (await provider.post(PATH, {**PLAIN, "binding_message": name}, auth=basic(client))).json()
        for name in ("run a report", "close the account")
    ]
    ids = [one["auth_req_id"] for one in asked]
    await provider.decide(ids[0], client_id=client.client.id)
    refused(await provider.poll(ids[1], auth=basic(client)), "authorization_pending")
    await provider.decide(ids[1], "deny", client_id=client.client.id)
    refused(await provider.poll(ids[1], auth=basic(client)), "access_denied")
    assert (await provider.poll(ids[0], auth=basic(client))).status_code == 200


@pytest.mark.seed("CIBA-69")
async def test_a_client_that_knows_no_name_asks_by_a_token_or_with_the_persons_own_code(
    provider: Provider, clock: TurnedClock
) -> None:
    """Nobody is prompted by a guessed name: the hint is a token of ours, made for this client."""
    client = await provider.other_client(audiences=[BANK])
    asked = (await provider.post(PATH, PLAIN, auth=basic(client))).json()["auth_req_id"]
    await provider.decide(asked, client_id=client.client.id)
    hint = (await provider.poll(asked, auth=basic(client))).json()["id_token"]
    clock.turn(1)
    form = {"scope": "openid", "id_token_hint": hint}
    answer = await provider.post(PATH, form, auth=basic(client))
    card = await provider.card(answer.json()["auth_req_id"], client_id=client.client.id)
    assert card.eligible == ("alice",)
