"""A gate in a process of its own, at the authorization server: what it may, and what it may not."""

import asyncio
import json
from urllib.parse import parse_qs

import httpx2
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from as_parts import BANK, ISSUER, Monotonic, Provider, tool_call
from far_gate import EDGE, registered
from signoff.gate import ciba
from signoff.gate.credentials import SharedSecret, SigningKeys
from signoff.gate.link import Link
from signoff.gate.wire import Lent, Refused, Reply, Wire
from signoff.oauth.clients import CIBA, ClientError
from signoff.tokens.remote import RemoteKeys


async def test_a_gate_with_a_key_asks_polls_tells_and_withdraws(provider: Provider) -> None:
    far = await registered(provider)
    auth_req_id = await far.asked()
    await provider.decide(auth_req_id, client_id=far.id)
    assert isinstance(await far.client.poll(auth_req_id), ciba.Granted)
    at = provider.database.now()
    assert await far.client.report(auth_req_id, state="succeeded", at=at) == ciba.Heard()
    card = await provider.card(auth_req_id, client_id=far.id)
    assert card.outcome == "succeeded"
    other = await far.asked(tool_call("call_2"))
    assert await far.client.withdraw(other) == ciba.Heard()


async def test_the_link_holds_for_a_gate_and_for_nobody_else(provider: Provider) -> None:
    far = await registered(provider)
    machine = await registered(provider, name="Machine", role="machine")
    for one, expected in ((far, None), (machine, "is no gate at")):
        keys = RemoteKeys(f"{ISSUER}/oauth2/jwks", transport=Lent(one.network))
        closed = await Link(one.wire, keys, client_id=one.id, pause_s=lambda _: 0).look()
        if expected is None:
            assert closed is None
        else:
            assert isinstance(closed, Refused)
            assert expected in closed.description


async def test_a_client_that_is_no_gate_gets_no_card_of_a_tool_call(provider: Provider) -> None:
    machine = await registered(provider, name="Machine", role="machine", audiences=[BANK])
    answer = await machine.ask(resource=BANK)
    assert isinstance(answer, ciba.Refused)
    assert answer.error == "invalid_authorization_details"


async def test_an_assertion_that_was_seen_on_its_way_opens_nothing_again(
    provider: Provider,
) -> None:
    far = await registered(provider)
    await far.asked()
    seen = far.network.sent[0]
    form = {name: values[0] for name, values in parse_qs(seen.read().decode()).items()}
    again = await provider.http.post(
        "/oauth2/bc-authorize", data={**form, "binding_message": "other"}
    )
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("audience", [f"{ISSUER}/oauth2/token", "https://other.example"])
async def test_an_assertion_for_somebody_else_opens_nothing(
    provider: Provider, audience: str
) -> None:
    far = await registered(provider)
    far.wire._credential = SigningKeys(  # pyright: ignore[reportPrivateUsage]
        far.id, issuer=audience, keys=lambda: far.keys.newest_first, now=provider.database.now
    )
    assert isinstance(await far.ask(), ciba.Refused)


async def test_a_gate_sees_none_of_another_gates_requests(provider: Provider) -> None:
    first, second = await registered(provider), await registered(provider, name="Second")
    auth_req_id = await first.asked()
    assert await second.client.poll(auth_req_id) == ciba.Gone()
    assert isinstance(await second.client.withdraw(auth_req_id), ciba.Refused)
    at = provider.database.now()
    assert isinstance(await second.client.report(auth_req_id, state="failed", at=at), ciba.Refused)
    await provider.decide(auth_req_id, client_id=first.id)
    assert await second.client.poll(auth_req_id) == ciba.Gone()
    assert isinstance(await first.client.poll(auth_req_id), ciba.Granted)


async def test_two_gates_may_have_calls_of_the_same_id(provider: Provider) -> None:
    first, second = await registered(provider), await registered(provider, name="Second")
    ids = [await first.asked(), await second.asked()]
    cards = [
        await provider.card(auth_req_id, client_id=gate.id)
        for auth_req_id, gate in zip(ids, (first, second), strict=True)
    ]
    assert cards[0].id != cards[1].id


async def test_the_secret_of_the_gate_in_this_process_is_none_of_another(
    provider: Provider,
) -> None:
    wire = Wire(
        issuer=ISSUER,
        credential=SharedSecret("signoff-gate", SecretStr("guessed" * 7)),
        transport=httpx2.ASGITransport(Starlette(routes=provider.routes)),
        now=provider.database.now,
    )
    reply = await wire.post("ciba/withdraw", {"auth_req_id": "x"}, key="k")
    assert isinstance(reply, Reply)
    assert reply.status == 401


async def test_the_tokens_arrive_though_the_network_swallows_them(provider: Provider) -> None:
    far = await registered(provider)
    auth_req_id = await far.asked()
    await provider.decide(auth_req_id, client_id=far.id)
    far.network.swallows = 2
    assert isinstance(await far.client.poll(auth_req_id), ciba.Unavailable)
    assert isinstance(await far.client.poll(auth_req_id), ciba.Unavailable)
    granted = await far.client.poll(auth_req_id)
    assert isinstance(granted, ciba.Granted)
    assert await far.client.poll(auth_req_id) == granted, "the same, and not others"


async def test_a_poll_that_is_cut_off_takes_nothing_from_the_one_after_it(
    provider: Provider,
) -> None:
    far = await registered(provider)
    auth_req_id = await far.asked()
    polls = [
        asyncio.create_task(
            far.wire.post(
                "oauth2/token",
                {"grant_type": CIBA, "auth_req_id": auth_req_id},
                key=f"poll {number}",
                hold_s=25,
            )
        )
        for number in range(3)
    ]
    await provider.until_held(polls=3)
    await provider.decide(auth_req_id, client_id=far.id)
    replies = await asyncio.gather(*polls)
    tokens = {str(r.members.get("access_token")) for r in replies if isinstance(r, Reply)}
    assert len(tokens) == 1, replies
    assert tokens != {"None"}


async def test_a_minute_later_the_tokens_are_handed_out_no_more_and_are_taken_back(
    provider: Provider, watch: Monotonic
) -> None:
    far = await registered(provider)
    auth_req_id = await far.asked()
    await provider.decide(auth_req_id, client_id=far.id)
    granted = await far.client.poll(auth_req_id)
    assert isinstance(granted, ciba.Granted)
    watch.at += 61
    assert await far.client.poll(auth_req_id) == ciba.Gone()
    token = granted.access_token.get_secret_value()
    reply = await far.wire.post("oauth2/introspect", {"token": token}, key="i")
    assert isinstance(reply, Reply)
    assert reply.members == {"active": False}


async def test_a_gate_may_have_tokens_for_the_audiences_it_was_given(provider: Provider) -> None:
    shop = "https://shop.example/api"
    given = await registered(provider, audiences=[shop, EDGE])
    plain = await registered(provider, name="Plain")
    assert isinstance(await given.ask(resource=shop), ciba.Asked)
    refusals = [
        await plain.ask(resource=shop),
        await given.ask(tool_call("call_2"), resource=EDGE),
        await given.ask(tool_call("call_3"), resource=f"{ISSUER}/mcp"),
    ]
    assert [one.error for one in refusals if isinstance(one, ciba.Refused)] == 3 * [
        "invalid_target"
    ]
    assert (
        refusals[0].description == f"{ISSUER} gives this gate no token for {shop}: add --audience"
    )


async def test_a_gate_may_ask_about_tokens_for_the_edges_elsewhere_and_no_others(
    provider: Provider,
) -> None:
    far = await registered(provider)
    machine = await registered(provider, name="Machine", role="machine")
    now = int(provider.database.now().timestamp())
    other = await provider.other_client()
    answers: dict[tuple[str, str], object] = {}
    for audience in (EDGE, f"{ISSUER}/mcp", BANK):
        token = provider.keyring.mint_access_token({
            "iss": ISSUER, "sub": "alice", "aud": audience, "client_id": other.client.id,
            "jti": f"jti {audience}", "iat": now, "exp": now + 60, "scope": "mcp",
        })  # fmt: skip
        for name, one in (("gate", far), ("machine", machine)):
            reply = await one.wire.post("oauth2/introspect", {"token": token}, key="i")
            assert isinstance(reply, Reply)
            answers[name, audience] = reply.members["active"]
    assert [known for known, active in answers.items() if active] == [("gate", EDGE)]


async def test_a_key_is_replaced_while_the_gate_goes_on(provider: Provider) -> None:
    far = await registered(provider)
    old = far.keys.newest_first[0].kid
    await far.keys.make()
    assert isinstance(await far.ask(), ciba.Asked), "the new one is not registered yet"
    await provider.clients.update(far.id, by="operator", jwks=json.dumps(far.keys.as_json()))
    await far.keys.remove(old)
    assert isinstance(await far.ask(tool_call("call_2")), ciba.Asked)
    await provider.clients.update(far.id, by="operator", jwks=json.dumps(far.keys.as_json()))
    assert isinstance(await far.ask(tool_call("call_3")), ciba.Asked)


@pytest.mark.parametrize("jwks", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "a"}]}'])
async def test_keys_that_are_none_replace_none(provider: Provider, jwks: str) -> None:
    far = await registered(provider)
    with pytest.raises(ClientError):
        await provider.clients.update(far.id, by="operator", jwks=jwks)
    assert isinstance(await far.ask(), ciba.Asked)


async def test_a_yes_stands_until_somebody_takes_it_back(provider: Provider) -> None:
    far, other = await registered(provider), await registered(provider, name="Other")
    auth_req_id = await far.asked()
    await provider.decide(auth_req_id, client_id=far.id)
    granted = await far.client.poll(auth_req_id)
    assert isinstance(granted, ciba.Granted)
    token = granted.access_token.get_secret_value()
    assert await far.client.stands(token) is True
    assert await other.client.stands(token) is False
    await provider.people.disable("alice", by="operator")
    assert await far.client.stands(token) is False
    await provider.people.disable(far.id, by="operator")
    assert isinstance(await far.client.stands(token), ciba.Unavailable)
