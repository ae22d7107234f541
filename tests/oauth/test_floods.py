"""Polls that can give nothing any more: as many as somebody likes, and not one write for them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from as_parts import BANK, Provider, basic, refused
from callback_parts import TOKEN, called_back, listening, telling, until_quiet
from signoff.oauth.clients import CIBA, Issued
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
    provider: Provider, database: Database, clock: Any, verdict: str
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
