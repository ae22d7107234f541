"""Too much of the same: polls that can give nothing cost no write, and refreshes have a pace."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from as_parts import BANK, Provider, basic, refused, running_provider
from callback_parts import TOKEN, called_back, listening, telling, until_quiet
from conftest import TurnedClock
from signoff.oauth.clients import CIBA, Issued
from signoff.oauth.pacing import TokenPace
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database


@asynccontextmanager
async def writing_nothing(database: Database) -> AsyncGenerator[None, None]:
    """Fail when the body writes."""
    statements: list[str] = []
    writer = database._connection  # pyright: ignore[reportPrivateUsage] — the one that commits
    writer.set_trace_callback(statements.append)
    try:
        yield
    finally:
        writer.set_trace_callback(None)
    assert statements == []


async def asked(provider: Provider, client: Issued, **changed: Any) -> str:
    form: dict[str, Any] = {
        "authorization_details": None,
        "resource": BANK,
        "client_notification_token": TOKEN,
    }
    return await provider.asked(auth=basic(client), **{**form, **changed})


async def test_an_id_that_was_used_takes_its_tokens_back_once_and_writes_no_more(
    provider: Provider, database: Database
) -> None:
    client = await provider.other_client()
    auth_req_id = await asked(provider, client)
    await provider.decide(auth_req_id, client_id=client.client.id)
    assert (await provider.poll(auth_req_id, auth=basic(client))).status_code == 200
    refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")
    assert len(await database.fetch_all("SELECT jti FROM revoked_tokens")) == 1
    async with writing_nothing(database):
        for _ in range(10):
            refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")


async def test_an_id_that_was_used_ends_a_consent_though_its_first_token_was_given_back(
    provider: Provider, database: Database
) -> None:
    client = await provider.other_client(grant_types=[CIBA, "refresh_token"])
    auth_req_id = await asked(provider, client, scope="openid offline_access")
    await provider.decide(auth_req_id, client_id=client.client.id)
    tokens = (await provider.poll(auth_req_id, auth=basic(client))).json()
    form = {"token": tokens["access_token"]}
    assert (await provider.post("/oauth2/revoke", form, auth=basic(client))).status_code == 200
    refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")
    renewal = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    refused(await provider.post("/oauth2/token", renewal, auth=basic(client)), "invalid_grant")
    async with writing_nothing(database):
        refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")


async def test_polls_of_a_push_client_write_nothing(provider: Provider, database: Database) -> None:
    async with listening() as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        pending, told = await asked(provider, client), await asked(provider, client)
        await provider.decide(told, client_id=client.client.id)
        await listener.next()
        await until_quiet(provider)
    async with writing_nothing(database):
        for auth_req_id in (pending, told, "unknown"):
            answer = await provider.poll(auth_req_id, auth=basic(client))
            refused(answer, "unauthorized_client")


@pytest.mark.parametrize("verdict", ["deny", "expire"])
async def test_polls_of_what_is_over_write_nothing(
    provider: Provider, database: Database, clock: TurnedClock, verdict: str
) -> None:
    client = await provider.other_client()
    auth_req_id = await asked(provider, client, requested_expiry="60")
    if verdict == "deny":
        await provider.decide(auth_req_id, "deny", client_id=client.client.id)
    else:
        clock.turn(60)
        await provider.approvals.sweep()
    code = {"deny": "access_denied", "expire": "expired_token"}[verdict]
    async with writing_nothing(database):
        for _ in range(10):
            refused(await provider.poll(auth_req_id, auth=basic(client)), code)


async def test_one_consent_is_refreshed_so_often_and_no_more(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    pace = TokenPace(per_hour=60, burst=3)
    async with running_provider(database, sealer, token_pace=pace) as provider:
        client = await provider.other_client(grant_types=[CIBA, "refresh_token"])
        held = [await lasting(provider, client) for _ in range(2)]
        for _ in range(3):
            answer = await refresh(provider, client, held[0])
            held[0] = answer.json()["refresh_token"]
        for _ in range(3):
            answer = await refresh(provider, client, held[0])
            refused(answer, "temporarily_unavailable", status=429)
            assert answer.headers["retry-after"] == "60"
        # Another consent of the same client has a share of its own.
        assert (await refresh(provider, client, held[1])).status_code == 200
    # A restart fills nothing up, and the token was not used up by the attempts.
    clock.turn(59)
    async with running_provider(database, sealer, token_pace=pace) as provider:
        answer = await refresh(provider, client, held[0])
        refused(answer, "temporarily_unavailable", status=429)
        assert answer.headers["retry-after"] == "1"
        clock.turn(1)
        assert (await refresh(provider, client, held[0])).status_code == 200


async def test_a_refresh_token_that_comes_again_ends_its_consent_however_soon(
    database: Database, sealer: Sealer
) -> None:
    pace = TokenPace(per_hour=60, burst=1)
    async with running_provider(database, sealer, token_pace=pace) as provider:
        client = await provider.other_client(grant_types=[CIBA, "refresh_token"])
        first = await lasting(provider, client)
        second = (await refresh(provider, client, first)).json()["refresh_token"]
        refused(await refresh(provider, client, first), "invalid_grant")
        refused(await refresh(provider, client, second), "invalid_grant")


async def test_paces_that_say_nothing_any_more_are_forgotten(
    provider: Provider, database: Database, clock: TurnedClock
) -> None:
    client = await provider.other_client(grant_types=[CIBA, "refresh_token"])
    for _ in range(5):
        assert (await refresh(provider, client, await lasting(provider, client))).is_success
    clock.turn(3600)
    assert (await refresh(provider, client, await lasting(provider, client))).is_success
    assert len(await database.fetch_all("SELECT id FROM paces WHERE kind = 'refresh'")) == 1


async def lasting(provider: Provider, client: Issued) -> str:
    """Return a fresh refresh token, of a consent of its own."""
    auth_req_id = await asked(provider, client, scope="openid offline_access")
    await provider.decide(auth_req_id, client_id=client.client.id)
    answer = await provider.poll(auth_req_id, auth=basic(client))
    return answer.json()["refresh_token"]


async def refresh(provider: Provider, client: Issued, token: str) -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return await provider.post("/oauth2/token", form, auth=basic(client))
