"""Access that goes on after a backchannel request: asked for, shown, rotated, taken back."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from as_parts import BANK, GATE, ISSUER, Provider, basic, refused, tool_call
from callback_parts import TOKEN, called_back, listening, telling, until_quiet
from conftest import TurnedClock
from signoff.oauth.clients import CIBA, ClientError, Issued
from signoff.storage.connections import SqliteConnections
from signoff.tokens.verify import at_hash, unverified_claims, verify_access_token, verify_id_token

PAY_25 = {"type": "payment", "amount": 25}
PAY_30 = {"type": "payment", "amount": 30}


@pytest.fixture
async def client(provider: Provider) -> Issued:
    return await provider.other_client(grant_types=[CIBA, "refresh_token"])


async def asked(provider: Provider, client: Issued, **changed: Any) -> str:
    form: dict[str, Any] = {
        "scope": "openid offline_access payments",
        "authorization_details": json.dumps([PAY_25, PAY_30]),
        "resource": BANK,
        "auth": basic(client),
    }
    return await provider.asked(**{**form, **changed})


async def given(provider: Provider, client: Issued, **changed: Any) -> dict[str, Any]:
    """Ask, say yes, and return the tokens."""
    auth_req_id = await asked(provider, client, **changed)
    await provider.decide(auth_req_id, client_id=client.client.id)
    answer = await provider.poll(auth_req_id, auth=basic(client))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refresh(
    provider: Provider, client: Issued, token: str, **changed: Any
) -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, **changed}
    return await provider.post("/oauth2/token", form, auth=basic(client))


async def active(provider: Provider, client: Issued, token: str) -> bool:
    answer = await provider.post("/oauth2/introspect", {"token": token}, auth=basic(client))
    return answer.json()["active"]


@pytest.mark.seed("CIBA-46")
@pytest.mark.seed("B18")
async def test_a_yes_that_lasts_gives_a_refresh_token_and_the_refresh_says_the_same(
    provider: Provider, client: Issued, clock: TurnedClock
) -> None:
    first = await given(provider, client)
    clock.turn(3 * 86_400)
    answer = await refresh(provider, client, first["refresh_token"])
    second = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert set(second) == set(first)
    assert second["refresh_token"] != first["refresh_token"]
    assert (second["token_type"], second["expires_in"]) == ("Bearer", 600)
    assert second["authorization_details"] == first["authorization_details"] == [PAY_25, PAY_30]
    keys, client_id = provider.keyring.public, client.client.id
    before = unverified_claims(first["access_token"])
    after = verify_access_token(
        second["access_token"], keys=keys, issuer=ISSUER, audience=BANK, now=clock()
    )
    changed = {"iat", "exp", "jti"}
    assert {name: before[name] for name in before if name not in changed} == {
        name: after[name] for name in after if name not in changed
    }
    assert after["auth_time"] == before["iat"]
    told = verify_id_token(
        second["id_token"],
        keys=keys,
        issuer=ISSUER,
        client_id=client_id,
        now=clock(),
        access_token=second["access_token"],
    )
    assert (told["sub"], told["acr"], told["amr"], told["auth_time"]) == (
        *("alice", "session", ["user"]),
        before["auth_time"],
    )
    assert "urn:openid:params:jwt:claim:auth_req_id" not in told


@pytest.mark.seed("CIBA-39")
async def test_nothing_lasts_that_was_not_asked_for(provider: Provider, client: Issued) -> None:
    tokens = await given(provider, client, scope="openid payments")
    assert "refresh_token" not in tokens
    assert "consent_id" not in unverified_claims(tokens["access_token"])
    assert await provider.database.fetch_all("SELECT id FROM consents") == []


async def test_a_client_without_the_grant_is_told_that_it_cannot_have_it(
    provider: Provider,
) -> None:
    plain = await provider.other_client()
    answer = await provider.ask(scope="openid offline_access", auth=basic(plain), resource=BANK)
    assert refused(answer, "invalid_scope") == "the client may not have access that lasts"


async def test_the_gate_never_gets_access_that_lasts(provider: Provider) -> None:
    answer = await provider.ask(scope="openid offline_access", auth=GATE)
    assert refused(answer, "invalid_scope") == "the client may not have access that lasts"
    auth_req_id = await provider.asked(tool_call())
    await provider.decide(auth_req_id)
    assert "refresh_token" not in (await provider.poll(auth_req_id)).json()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"grant_types": ["client_credentials", "refresh_token"]}, "give that grant too"),
        ({"grant_types": ["refresh_token"]}, "give that grant too"),
        ({"scopes": ["offline_access"]}, "comes with the grant refresh_token"),
        ({"grant_types": [CIBA, "refresh_token"], "role": "gate"}, "a gate asks anew"),
    ],
)
async def test_a_client_that_could_not_use_it_is_not_made(
    provider: Provider, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        await provider.other_client(**settings)


@pytest.mark.seed("CIBA-39")
async def test_access_that_lasts_does_not_answer_the_next_request(
    provider: Provider, client: Issued
) -> None:
    await given(provider, client)
    auth_req_id = await asked(provider, client)
    answer = await provider.poll(auth_req_id, auth=basic(client))
    refused(answer, "authorization_pending")


async def test_a_refresh_token_that_comes_twice_ends_all_that_came_of_the_yes(
    provider: Provider, client: Issued
) -> None:
    first = await given(provider, client)
    second = (await refresh(provider, client, first["refresh_token"])).json()
    refused(await refresh(provider, client, first["refresh_token"]), "invalid_grant")
    refused(await refresh(provider, client, second["refresh_token"]), "invalid_grant")
    assert not await active(provider, client, first["access_token"])
    assert not await active(provider, client, second["access_token"])


async def test_of_fifty_parallel_refreshes_one_wins_and_all_of_it_ends(
    provider: Provider, client: Issued
) -> None:
    first = await given(provider, client)
    answers = await asyncio.gather(
        *(refresh(provider, client, first["refresh_token"]) for _ in range(50))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    refused(await refresh(provider, client, won["refresh_token"]), "invalid_grant")


@pytest.mark.seed("CIBA-37")
@pytest.mark.seed("B17")
async def test_an_auth_req_id_that_comes_again_ends_the_refresh_token_too(
    provider: Provider, client: Issued
) -> None:
    auth_req_id = await asked(provider, client)
    await provider.decide(auth_req_id, client_id=client.client.id)
    first = (await provider.poll(auth_req_id, auth=basic(client))).json()
    second = (await refresh(provider, client, first["refresh_token"])).json()
    refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")
    refused(await refresh(provider, client, second["refresh_token"]), "invalid_grant")
    assert not await active(provider, client, second["access_token"])


async def test_another_clients_auth_req_id_ends_nothing(provider: Provider, client: Issued) -> None:
    auth_req_id = await asked(provider, client)
    await provider.decide(auth_req_id, client_id=client.client.id)
    first = (await provider.poll(auth_req_id, auth=basic(client))).json()
    other = await provider.other_client(grant_types=[CIBA, "refresh_token"])
    refused(await provider.poll(auth_req_id, auth=basic(other)), "invalid_grant")
    refused(await refresh(provider, other, first["refresh_token"]), "invalid_grant")
    assert (await refresh(provider, client, first["refresh_token"])).status_code == 200


async def test_details_can_be_narrowed_for_one_token_and_never_widened(
    provider: Provider, client: Issued
) -> None:
    first = await given(provider, client)
    narrow = await refresh(
        provider, client, first["refresh_token"], authorization_details=json.dumps([PAY_30])
    )
    told = narrow.json()
    assert told["authorization_details"] == [PAY_30]
    assert unverified_claims(told["access_token"])["authorization_details"] == [PAY_30]
    attempts: list[Any] = [
        [{"type": "payment", "amount": 31}],
        [PAY_25, {"type": "payment", "amount": 25.5}],
        [{"type": "payment", "amount": True}],
        [{"type": "payment"}],
        [tool_call()],
        [],
        {},
    ]
    for wider in attempts:
        answer = await refresh(
            provider, client, told["refresh_token"], authorization_details=json.dumps(wider)
        )
        refused(answer, "invalid_authorization_details")
    whole = (await refresh(provider, client, told["refresh_token"])).json()
    assert whole["authorization_details"] == [PAY_25, PAY_30]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"scope": "openid offline_access payments reports"}, "invalid_scope"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"resource": f"{ISSUER}/mcp"}, "invalid_target"),
    ],
)
async def test_a_refresh_for_more_is_refused_and_costs_nothing(
    provider: Provider, client: Issued, changed: dict[str, str], error: str
) -> None:
    first = await given(provider, client)
    refused(await refresh(provider, client, first["refresh_token"], **changed), error)
    assert (await refresh(provider, client, first["refresh_token"])).status_code == 200


async def test_what_a_person_takes_back_is_refreshed_no_more(
    provider: Provider, client: Issued
) -> None:
    first = await given(provider, client)
    connections = SqliteConnections(provider.database)
    (one,) = await connections.of("alice")
    assert (one.client_id, one.vouched, one.scope) == (
        *(client.client.id, True),
        "openid offline_access payments",
    )
    assert await connections.take_back(one.id, user_id="bob", by="bob") == "unknown"
    assert await connections.take_back(one.id, user_id="alice", by="alice") == "now"
    refused(await refresh(provider, client, first["refresh_token"]), "invalid_grant")
    assert not await active(provider, client, first["access_token"])
    assert await connections.of("alice") == []


async def test_revoking_the_refresh_token_ends_the_access_tokens_too(
    provider: Provider, client: Issued
) -> None:
    first = await given(provider, client)
    form = {"token": first["refresh_token"]}
    assert (await provider.post("/oauth2/revoke", form, auth=basic(client))).status_code == 200
    assert not await active(provider, client, first["access_token"])
    refused(await refresh(provider, client, first["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize("who", ["alice", "client"])
async def test_nobody_switched_off_is_refreshed(
    provider: Provider, client: Issued, who: str
) -> None:
    first = await given(provider, client)
    off = client.client.id if who == "client" else who
    await provider.people.disable(off, by="operator")
    answer = await refresh(provider, client, first["refresh_token"])
    assert answer.json()["error"] == ("invalid_client" if who == "client" else "invalid_grant")


async def test_a_client_that_takes_the_id_of_a_deleted_one_inherits_nothing(
    provider: Provider,
) -> None:
    settings: dict[str, Any] = {"client_id": "reports", "grant_types": [CIBA, "refresh_token"]}
    before = await provider.other_client(**settings)
    first = await given(provider, before)
    await provider.clients.delete("reports", by="operator")
    after = await provider.other_client(**settings)
    refused(await refresh(provider, after, first["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize(
    "changed", [{"scopes": ["reports"]}, {"audiences": ["https://other.example/api"]}]
)
async def test_what_a_client_may_no_longer_have_it_is_not_given_by_a_refresh(
    provider: Provider, client: Issued, changed: dict[str, Any]
) -> None:
    first = await given(provider, client)
    await provider.clients.update(client.client.id, by="operator", **changed)
    refused(await refresh(provider, client, first["refresh_token"]), "invalid_grant")


@pytest.mark.seed("CIBA-51")
async def test_a_push_carries_the_refresh_token_and_an_id_token_that_vouches_for_it(
    provider: Provider, clock: TurnedClock
) -> None:
    async with listening() as listener, telling(provider):
        client = await called_back(
            provider, "push", listener.url, grant_types=[CIBA, "refresh_token"]
        )
        auth_req_id = await asked(provider, client, client_notification_token=TOKEN)
        await provider.decide(auth_req_id, client_id=client.client.id)
        pushed = (await listener.next()).body
        await until_quiet(provider)
    identity = verify_id_token(
        pushed["id_token"],
        keys=provider.keyring.public,
        issuer=ISSUER,
        client_id=client.client.id,
        now=clock(),
        access_token=pushed["access_token"],
    )
    assert identity["urn:openid:params:jwt:claim:rt_hash"] == at_hash(pushed["refresh_token"])
    assert identity["urn:openid:params:jwt:claim:auth_req_id"] == auth_req_id
    again = await refresh(provider, client, pushed["refresh_token"])
    assert again.status_code == 200


@pytest.mark.seed("CIBA-52")
async def test_a_push_that_failed_keeps_its_refresh_token_for_a_day(
    provider: Provider, clock: TurnedClock
) -> None:
    async with listening("400 Bad Request") as listener, telling(provider):
        client = await called_back(
            provider, "push", listener.url, grant_types=[CIBA, "refresh_token"]
        )
        auth_req_id = await asked(provider, client, client_notification_token=TOKEN)
        await provider.decide(auth_req_id, client_id=client.client.id)
        await listener.next()
        await until_quiet(provider)
    clock.turn(86_000)
    fetched = (await provider.poll(auth_req_id, auth=basic(client))).json()
    assert fetched["expires_in"] == 0
    assert (await refresh(provider, client, fetched["refresh_token"])).status_code == 200


async def test_a_polled_id_token_says_nothing_of_the_refresh_token(
    provider: Provider, client: Issued
) -> None:
    tokens = await given(provider, client)
    assert "urn:openid:params:jwt:claim:rt_hash" not in unverified_claims(tokens["id_token"])


async def test_no_token_and_no_detail_stands_in_the_store_in_clear(
    provider: Provider, client: Issued
) -> None:
    first = await given(provider, client)
    rows = [
        *await provider.database.fetch_all("SELECT * FROM consents"),
        *await provider.database.fetch_all("SELECT * FROM refresh_tokens"),
        *await provider.database.fetch_all("SELECT body FROM audit"),
    ]
    kept = b"".join(repr(tuple(row)).encode() for row in rows)
    assert first["refresh_token"].encode() not in kept
    assert b'"amount"' not in kept
