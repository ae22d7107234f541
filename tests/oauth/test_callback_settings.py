"""How a client may be called back is its registration: modes, addresses and notification tokens."""

from typing import Any

import pytest

from as_parts import Provider, refused
from callback_parts import ask, asked, called_back, listening, poll, telling, until_quiet
from signoff.oauth.clients import ClientError
from signoff.oauth.delivery import Delivery


@pytest.mark.seed("CIBA-17")
@pytest.mark.parametrize("mode", ["ping", "push"])
@pytest.mark.parametrize(
    "token",
    [None, "", "x" * 1025, "short-of-128-bits", "has blank in the middle", "é" * 30, 'q"' * 20],
)
async def test_a_notification_token_that_is_none_is_refused(
    provider: Provider, mode: Any, token: str | None
) -> None:
    client = await called_back(provider, mode, "https://client.example/ciba")
    response = await ask(provider, client, client_notification_token=token)
    refused(response, "invalid_request")


@pytest.mark.seed("CIBA-17")
async def test_a_notification_token_of_1024_characters_is_taken(provider: Provider) -> None:
    async with listening() as listener, telling(provider):
        client = await called_back(provider, "ping", listener.url)
        token = "aB3-._~+/" * 113 + "abcd==="
        assert len(token) == 1024
        auth_req_id = await asked(provider, client, client_notification_token=token)
        await provider.decide(auth_req_id, client_id=client.client.id)
        assert (await listener.next()).headers["authorization"] == f"Bearer {token}"


@pytest.mark.seed("B'")
@pytest.mark.seed("CIBA-9")
async def test_the_mode_is_the_clients_registration_and_no_parameter(provider: Provider) -> None:
    client = await provider.other_client()
    extra = {
        "backchannel_token_delivery_mode": "push",
        "client_notification_uri": "https://evil.example/",
    }
    response = await ask(provider, client, **extra)
    assert set(response.json()) == {"auth_req_id", "expires_in", "interval"}


@pytest.mark.seed("CIBA-5")
@pytest.mark.seed("B10")
@pytest.mark.parametrize(
    "delivery",
    [
        Delivery(mode="ping"),
        Delivery(mode="push"),
        Delivery(mode="poll", notification_endpoint="https://client.example/ciba"),
        Delivery(mode="carrier"),  # pyright: ignore[reportArgumentType] — what an operator may type
        *(
            Delivery(mode="ping", notification_endpoint=url)
            for url in (
                "http://client.example/ciba",
                "https://user:secret@client.example/",
                "https://client.example/#fragment",
                "https:///path",
                "https://client.example:99999/",
                "ftp://client.example/",
                "javascript:alert(1)",
                "https://client.example/a b",
                "https://client.example\\@evil.example/",
                "http://localhost.evil.example/",
                "https://" + "a" * 2050,
            )
        ),
        Delivery(request_signing_alg="HS256"),
        Delivery(request_signing_alg="none"),
        Delivery(request_signing_alg="ES256"),  # and the client has no key
    ],
)
async def test_settings_that_cannot_work_are_refused(
    provider: Provider, delivery: Delivery
) -> None:
    with pytest.raises(ClientError):
        await provider.other_client(delivery=delivery)


async def test_a_loopback_address_is_called_only_where_that_is_switched_on(
    provider: Provider,
) -> None:
    async with listening() as listener, telling(provider, loopback=False):
        client = await called_back(provider, "ping", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        await until_quiet(provider)
        assert listener.heard.empty()
    assert (await poll(provider, client, auth_req_id)).status_code == 200
