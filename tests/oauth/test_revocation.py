"""Asking about a token and taking it back: for those it concerns, without a reason."""

import json
from typing import Any

import httpx2
import pytest

from as_parts import BANK, ISSUER, Provider, basic, refused, tool_call
from conftest import TurnedClock
from signoff.approvals.details import token_details
from signoff.oauth.clients import Issued
from signoff.oauth.revocation import INTROSPECT
from signoff.storage.sqlite import Database
from signoff.tokens.keyring import KEEP_AFTER_ROTATION, PUBLISH_AHEAD
from signoff.tokens.keys import KeySet
from signoff.tokens.verify import key_id, unverified_claims, verify_access_token

INACTIVE = {"active": False}


async def machine_token(provider: Provider, client: Issued) -> str:
    form = {"grant_type": "client_credentials", "resource": BANK}
    response = await provider.post("/oauth2/token", form, auth=basic(client))
    return response.json()["access_token"]


async def introspect(
    provider: Provider, client: Issued, token: str, **more: str
) -> httpx2.Response:
    form = {"token": token, **more}
    return await provider.post("/oauth2/introspect", form, auth=basic(client))


async def told(provider: Provider, client: Issued, token: str) -> dict[str, Any]:
    response = await introspect(provider, client, token)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()


async def revoke(provider: Provider, client: Issued, token: str) -> httpx2.Response:
    return await provider.post("/oauth2/revoke", {"token": token}, auth=basic(client))


@pytest.mark.seed("C11")
async def test_a_client_is_told_what_its_token_is_worth(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    token = await machine_token(provider, client)
    now = int(clock().timestamp())
    assert await told(provider, client, token) == {
        "active": True,
        "token_type": "Bearer",
        "iss": ISSUER,
        "aud": BANK,
        "sub": client.client.id,
        "client_id": client.client.id,
        "iat": now,
        "exp": now + 3600,
        "jti": unverified_claims(token)["jti"],
        "scope": "payments reports",
    }


@pytest.mark.seed("B8")
async def test_a_resource_server_is_told_the_approved_details_and_who_acts(
    provider: Provider,
) -> None:
    bank = await provider.other_client(scopes=[INTROSPECT])
    details = tool_call()
    auth_req_id = await provider.asked(details, resource=BANK)
    await provider.decide(auth_req_id)
    token = (await provider.poll(auth_req_id)).json()["access_token"]
    answer = await told(provider, bank, token)
    assert answer["authorization_details"] == [token_details(details)]
    assert answer["act"] == {"sub": "alice", "client_id": "claude-code"}
    assert (answer["sub"], answer["txn"], answer["aud"]) == ("alice", "call_1", BANK)


async def test_who_is_not_concerned_is_told_that_there_is_nothing(provider: Provider) -> None:
    owner = await provider.other_client()
    token = await machine_token(provider, owner)
    strangers = [
        await provider.other_client(),  # the same audience, and not its resource server
        await provider.other_client(scopes=[INTROSPECT], audiences=["https://other.example"]),
        await provider.other_client(scopes=[INTROSPECT], audiences=[]),
    ]
    for stranger in strangers:
        assert await told(provider, stranger, token) == INACTIVE


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "x" * 200_000, "..", "null"])
async def test_what_is_no_token_is_inactive(provider: Provider, token: str) -> None:
    client = await provider.other_client()
    assert await told(provider, client, token) == INACTIVE


async def test_an_expired_token_is_inactive_to_the_second(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    token = await machine_token(provider, client)
    clock.turn(3599)
    assert (await told(provider, client, token))["active"]
    clock.turn(1)
    assert await told(provider, client, token) == INACTIVE


async def test_an_id_token_is_no_access_token(provider: Provider) -> None:
    client = await provider.other_client()
    auth_req_id = await provider.asked(
        auth=basic(client), authorization_details=None, resource=None
    )
    await provider.decide(auth_req_id, client_id=client.client.id)
    answer = (await provider.poll(auth_req_id, auth=basic(client))).json()
    assert await told(provider, client, answer["id_token"]) == INACTIVE
    assert (await told(provider, client, answer["access_token"]))["active"]


async def test_a_token_of_a_client_or_user_switched_off_or_deleted_is_inactive(
    provider: Provider,
) -> None:
    bank = await provider.other_client(scopes=[INTROSPECT])
    off, deleted = await provider.other_client(), await provider.other_client()
    tokens = [await machine_token(provider, off), await machine_token(provider, deleted)]
    auth_req_id = await provider.asked(resource=BANK)
    await provider.decide(auth_req_id)
    tokens.append((await provider.poll(auth_req_id)).json()["access_token"])
    for token in tokens:
        assert (await told(provider, bank, token))["active"]
    await provider.people.disable(off.client.id, by="operator")
    await provider.clients.delete(deleted.client.id, by="operator")
    await provider.people.disable("alice", by="operator")
    for token in tokens:
        assert await told(provider, bank, token) == INACTIVE


async def test_the_token_of_an_id_that_came_twice_is_inactive(provider: Provider) -> None:
    client = await provider.other_client()
    auth_req_id = await provider.asked(
        auth=basic(client), authorization_details=None, resource=None
    )
    await provider.decide(auth_req_id, client_id=client.client.id)
    token = (await provider.poll(auth_req_id, auth=basic(client))).json()["access_token"]
    refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")
    assert await told(provider, client, token) == INACTIVE


async def test_introspection_needs_a_client_and_a_token(provider: Provider) -> None:
    client = await provider.other_client()
    token = await machine_token(provider, client)
    response = await provider.post("/oauth2/introspect", {"token": token}, auth=None)
    refused(response, "invalid_client", status=401)
    wrong = httpx2.BasicAuth(client.client.id, "wrong")
    response = await provider.post("/oauth2/introspect", {"token": token}, auth=wrong)
    refused(response, "invalid_client", status=401)
    refused(await introspect(provider, client, ""), "invalid_request")
    form = {"token": token}
    response = await provider.http.get("/oauth2/introspect", params=form, auth=basic(client))
    assert response.status_code == 405


async def test_a_token_that_was_taken_back_is_inactive_for_good(
    provider: Provider, clock: TurnedClock, database: Database
) -> None:
    client = await provider.other_client()
    token, other = await machine_token(provider, client), await machine_token(provider, client)
    for _ in range(2):
        response = await revoke(provider, client, token)
        assert (response.status_code, response.json()) == (200, {})
    assert await told(provider, client, token) == INACTIVE
    assert (await told(provider, client, other))["active"]
    events = [json.loads(row["body"]) for row in await database.fetch_all("SELECT body FROM audit")]
    assert [event["subject"] for event in events if event["event"] == "token.revoked"] == [
        unverified_claims(token)["jti"]
    ]
    await provider.stores.revocations.forget()
    assert await told(provider, client, token) == INACTIVE
    clock.turn(3600 + 301)  # five minutes longer than it lives: clocks differ
    await provider.stores.revocations.forget()
    assert not await database.fetch_all("SELECT jti FROM revoked_tokens")


async def test_nobody_takes_back_another_clients_token_and_nobody_learns_of_it(
    provider: Provider,
) -> None:
    client, other = await provider.other_client(), await provider.other_client()
    token = await machine_token(provider, client)
    for given in (token, "unknown", "a.b.c"):
        response = await revoke(provider, other, given)
        assert (response.status_code, response.json()) == (200, {})
    assert (await told(provider, client, token))["active"]
    refused(
        await provider.post("/oauth2/revoke", {"token": token}, auth=None),
        "invalid_client",
        status=401,
    )
    refused(await revoke(provider, client, ""), "invalid_request")


async def test_keys_rotate_under_load_without_a_failed_verification(
    provider: Provider, clock: TurnedClock
) -> None:
    """A resource server that reads our keys every five minutes never meets an unknown one."""
    client = await provider.other_client()
    published = KeySet.parse((await provider.http.get("/oauth2/jwks")).content)
    signed_by: set[str | None] = set()
    alive: list[str] = []
    step_s, steps = 300, int(2.5 * KEEP_AFTER_ROTATION.total_seconds() / 300)
    for step in range(steps):
        if step % 12 == 0:
            await provider.keyring.maintain()
        if step in (steps // 8, steps // 4):
            await provider.keyring.rotate()
        if step % 4 == 0:
            alive.append(await machine_token(provider, client))
        alive = alive[-13:]
        for token in alive:
            claims = unverified_claims(token)
            if float(str(claims["exp"])) > clock().timestamp():
                verify_access_token(
                    token, keys=published, issuer=ISSUER, audience=BANK, now=clock()
                )
                signed_by.add(key_id(token))
        clock.turn(step_s)
        published = KeySet.parse((await provider.http.get("/oauth2/jwks")).content)
    assert PUBLISH_AHEAD.total_seconds() > step_s
    assert len(signed_by) == 3
