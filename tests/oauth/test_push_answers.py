"""What a client answers to a push: only 2xx means that it has its tokens."""

from typing import Any

import pytest

from as_parts import Provider, basic, refused
from callback_parts import TOKEN, called_back, listening, telling, until_quiet


@pytest.mark.seed("CIBA-49")
@pytest.mark.seed("CIBA-52")
@pytest.mark.parametrize(
    "status",
    [
        "301 Moved Permanently\r\nlocation: /elsewhere",
        "302 Found\r\nlocation: http://169.254.169.254/",
        "303 See Other\r\nlocation: /elsewhere",
        "304 Not Modified",
        "307 Temporary Redirect\r\nlocation: /elsewhere",
        "308 Permanent Redirect\r\nlocation: /elsewhere",
        "400 Bad Request",
        "401 Unauthorized",
        "404 Not Found",
        "410 Gone",
        "429 Too Many Requests",
    ],
)
async def test_a_push_that_was_not_taken_is_fetched_and_sent_nowhere_else(
    provider: Provider, status: str
) -> None:
    async with listening(status) as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        form: dict[str, Any] = {"authorization_details": None, "resource": None}
        auth_req_id = await provider.asked(
            auth=basic(client), client_notification_token=TOKEN, **form
        )
        await provider.decide(auth_req_id, client_id=client.client.id)
        pushed = (await listener.next()).body
        await until_quiet(provider)
        assert listener.heard.empty()
    fetched = (await provider.poll(auth_req_id, auth=basic(client))).json()
    assert fetched["access_token"] == pushed["access_token"]
    assert fetched["id_token"] == pushed["id_token"]


@pytest.mark.seed("CIBA-49")
@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content"])
async def test_a_push_that_was_taken_is_not_to_be_fetched(provider: Provider, status: str) -> None:
    async with listening(status) as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        form: dict[str, Any] = {"authorization_details": None, "resource": None}
        auth_req_id = await provider.asked(
            auth=basic(client), client_notification_token=TOKEN, **form
        )
        await provider.decide(auth_req_id, client_id=client.client.id)
        assert "access_token" in (await listener.next()).body
        await until_quiet(provider)
        assert listener.heard.empty()
    refused(await provider.poll(auth_req_id, auth=basic(client)), "unauthorized_client")
    # With it went its secrets: the client's token and ours.
    assert await provider.database.fetch_all("SELECT ticket FROM callbacks") == []
