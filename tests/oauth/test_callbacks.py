"""Ping and push: told after the COMMIT, told again while away, and nothing lost by it."""

import asyncio
import json
from typing import Any

import pytest

from as_parts import BANK, ISSUER, Provider, refused
from callback_parts import TOKEN, ask, asked, called_back, listening, poll, telling, until_quiet
from conftest import TurnedClock
from signoff.storage.sqlite import Database
from signoff.tokens.verify import at_hash, verify_access_token, verify_id_token


@pytest.mark.seed("CIBA-10")
@pytest.mark.seed("CIBA-48")
@pytest.mark.seed("CIBA-50")
@pytest.mark.seed("B10")
@pytest.mark.seed("B19")
@pytest.mark.parametrize("verdict", ["approve", "deny"])
async def test_a_ping_names_the_request_and_nothing_else_and_the_poll_then_answers(
    provider: Provider, verdict: str
) -> None:
    async with listening() as listener, telling(provider):
        client = await called_back(provider, "ping", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, verdict, client_id=client.client.id)
        heard = await listener.next()
        answer = await poll(provider, client, auth_req_id)
    assert heard.line == "POST /ciba HTTP/1.1"
    assert heard.headers["authorization"] == f"Bearer {TOKEN}"
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["host"] == f"localhost:{listener.port}"
    assert heard.body == {"auth_req_id": auth_req_id}
    if verdict == "approve":
        assert answer.status_code == 200
    else:
        refused(answer, "access_denied")


@pytest.mark.seed("CIBA-10")
async def test_a_ping_client_may_poll_without_waiting_for_the_ping(provider: Provider) -> None:
    client = await called_back(provider, "ping", "https://client.example/ciba")
    auth_req_id = await asked(provider, client)
    refused(await poll(provider, client, auth_req_id), "authorization_pending")
    await provider.decide(auth_req_id, client_id=client.client.id)
    assert (await poll(provider, client, auth_req_id)).status_code == 200


@pytest.mark.seed("CIBA-51")
@pytest.mark.seed("CIBA-10")
@pytest.mark.seed("B18")
async def test_a_push_carries_tokens_that_are_bound_to_the_request(
    provider: Provider, clock: TurnedClock
) -> None:
    async with listening() as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client, resource=BANK)
        await provider.decide(auth_req_id, client_id=client.client.id)
        heard = await listener.next()
        await until_quiet(provider)
    assert heard.headers["authorization"] == f"Bearer {TOKEN}"
    pushed = heard.body
    assert {name: pushed[name] for name in pushed if not name.endswith("_token")} == {
        "auth_req_id": auth_req_id,
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "openid",
    }
    keys, client_id = provider.keyring.public, client.client.id
    verify_access_token(
        pushed["access_token"], keys=keys, issuer=ISSUER, audience=BANK, now=clock()
    )
    identity = verify_id_token(
        pushed["id_token"], keys=keys, issuer=ISSUER, client_id=client_id, now=clock()
    )
    assert identity["at_hash"] == at_hash(pushed["access_token"])
    assert identity["urn:openid:params:jwt:claim:auth_req_id"] == auth_req_id
    assert identity["sub"] == "alice"


@pytest.mark.seed("CIBA-53")
async def test_a_push_of_a_denial_and_of_an_expiry_names_the_error(
    provider: Provider, clock: TurnedClock
) -> None:
    async with listening() as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        denied = await asked(provider, client)
        await provider.decide(denied, "deny", client_id=client.client.id, reason="secret reason")
        assert (await listener.next()).body == {"auth_req_id": denied, "error": "access_denied"}
        late = await asked(provider, client, requested_expiry="60")
        clock.turn(60)
        await provider.approvals.sweep()
        assert (await listener.next()).body == {"auth_req_id": late, "error": "expired_token"}


@pytest.mark.seed("CIBA-53")
async def test_a_push_of_a_yes_that_lapsed_before_it_could_leave_is_a_failed_transaction(
    provider: Provider, clock: TurnedClock
) -> None:
    async with listening() as listener:
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        clock.turn(121)
        async with telling(provider):
            heard = await listener.next()
    assert heard.body == {"auth_req_id": auth_req_id, "error": "transaction_failed"}


@pytest.mark.seed("B15")
@pytest.mark.seed("CIBA-11")
async def test_a_push_client_has_no_business_at_the_token_endpoint(provider: Provider) -> None:
    client = await called_back(provider, "push", "https://client.example/ciba")
    auth_req_id = await asked(provider, client)
    refused(await poll(provider, client, auth_req_id), "unauthorized_client")
    await provider.decide(auth_req_id, client_id=client.client.id)
    refused(await poll(provider, client, auth_req_id), "unauthorized_client")
    refused(await poll(provider, client, "unknown"), "unauthorized_client")


@pytest.mark.seed("CIBA-36")
@pytest.mark.seed("B11")
async def test_an_interval_is_told_for_poll_and_ping_and_not_for_push(provider: Provider) -> None:
    url = "https://client.example/ciba"
    ping = await called_back(provider, "ping", url)
    push = await called_back(provider, "push", url)
    assert set((await ask(provider, ping)).json()) == {"auth_req_id", "expires_in", "interval"}
    assert set((await ask(provider, push)).json()) == {"auth_req_id", "expires_in"}


@pytest.mark.seed("B19")
@pytest.mark.seed("CIBA-52")
@pytest.mark.parametrize("mode", ["ping", "push"])
async def test_a_client_that_is_away_is_told_again_the_very_same(
    provider: Provider, mode: Any
) -> None:
    down = "503 Service Unavailable"
    async with listening(down, down) as listener, telling(provider):
        client = await called_back(provider, mode, listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        bodies = [(await listener.next()).body for _ in range(3)]
        await until_quiet(provider)
    assert bodies[0] == bodies[1] == bodies[2]
    assert listener.heard.empty()


@pytest.mark.seed("CIBA-49")
@pytest.mark.parametrize(
    "status",
    [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "301 Moved Permanently\r\nlocation: /elsewhere",
        "307 Temporary Redirect\r\nlocation: http://169.254.169.254/",
    ],
)
async def test_a_refusal_and_a_redirect_are_final_and_the_flow_still_completes(
    provider: Provider, status: str
) -> None:
    async with listening(status) as listener, telling(provider):
        client = await called_back(provider, "ping", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        await listener.next()
        await until_quiet(provider)
        assert listener.heard.empty()
        assert (await poll(provider, client, auth_req_id)).status_code == 200


@pytest.mark.seed("CIBA-52")
@pytest.mark.seed("B19")
async def test_a_push_that_failed_is_fetched_by_polling_once(
    provider: Provider, clock: TurnedClock
) -> None:
    async with listening("403 Forbidden") as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        pushed = (await listener.next()).body
        await until_quiet(provider)
    clock.turn(30)
    others = await called_back(provider, "push", "https://other.example/ciba")
    refused(await poll(provider, others, auth_req_id), "unauthorized_client")
    fetched = await poll(provider, client, auth_req_id)
    assert {"auth_req_id": auth_req_id, **fetched.json()} == {**pushed, "expires_in": 570}
    refused(await poll(provider, client, auth_req_id), "unauthorized_client")


@pytest.mark.seed("CIBA-52")
async def test_of_fifty_parallel_polls_after_a_failed_push_one_gets_the_tokens(
    provider: Provider,
) -> None:
    async with listening("403 Forbidden") as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        await listener.next()
        await until_quiet(provider)
    answers = await asyncio.gather(*(poll(provider, client, auth_req_id) for _ in range(50)))
    assert sum(answer.status_code == 200 for answer in answers) == 1


async def test_an_undelivered_answer_is_gone_with_its_tokens(
    provider: Provider, clock: TurnedClock
) -> None:
    async with listening("403 Forbidden") as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        await listener.next()
        await until_quiet(provider)
    clock.turn(600)
    refused(await poll(provider, client, auth_req_id), "invalid_grant")


async def test_a_client_that_never_comes_back_is_given_up_and_may_still_poll(
    provider: Provider,
) -> None:
    async with listening(*["500 Internal Server Error"] * 8) as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        for _ in range(8):
            await listener.next()
        await until_quiet(provider)
        assert listener.heard.empty()
    assert (await poll(provider, client, auth_req_id)).status_code == 200


@pytest.mark.seed("B20")
@pytest.mark.parametrize("mode", ["ping", "push"])
async def test_a_client_that_was_switched_off_hears_nothing_and_gets_no_token(
    provider: Provider, database: Database, mode: Any
) -> None:
    async with listening() as listener:
        client = await called_back(provider, mode, listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        await provider.people.disable(client.client.id, by="operator")
        async with telling(provider):
            await until_quiet(provider)
        assert listener.heard.empty()
    row = await database.fetch_one("SELECT COUNT(*) AS n FROM approvals WHERE status = 'redeemed'")
    assert row is not None
    assert row["n"] == 0


@pytest.mark.seed("CIBA-12")
async def test_a_poll_client_is_never_called_back(provider: Provider, database: Database) -> None:
    client = await provider.other_client()
    auth_req_id = await asked(provider, client)
    await provider.decide(auth_req_id, client_id=client.client.id)
    kinds = {row["kind"] for row in await database.fetch_all("SELECT kind FROM outbox")}
    assert "ciba.callback" not in kinds


@pytest.mark.seed("CIBA-50")
async def test_the_message_to_the_client_is_committed_with_the_decision(
    provider: Provider, database: Database
) -> None:
    client = await called_back(provider, "ping", "https://client.example/ciba")
    auth_req_id = await asked(provider, client)
    await database.write(
        lambda tx: tx.execute(
            "CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    )
    with pytest.raises(Exception, match="full"):
        await provider.decide(auth_req_id, client_id=client.client.id)
    refused(await poll(provider, client, auth_req_id), "authorization_pending")


async def test_the_store_holds_no_token_of_a_callback_in_clear(
    provider: Provider, database: Database
) -> None:
    async with listening("403 Forbidden") as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        pushed = (await listener.next()).body
        await until_quiet(provider)
    for path in database.path.parent.glob("signoff.db*"):
        kept = path.read_bytes()
        for secret in (TOKEN, auth_req_id, pushed["access_token"], pushed["id_token"]):
            assert secret.encode() not in kept


@pytest.mark.seed("B12")
async def test_what_the_outbox_keeps_of_a_callback_tells_nothing(
    provider: Provider, database: Database
) -> None:
    client = await called_back(provider, "push", "https://client.example/ciba")
    auth_req_id = await asked(provider, client)
    await provider.decide(auth_req_id, client_id=client.client.id)
    statement = "SELECT subject, payload FROM outbox WHERE kind = 'ciba.callback'"
    (row,) = await database.fetch_all(statement)
    assert json.loads(row["payload"]) == {"lane": client.client.id}
    assert auth_req_id not in row["subject"]


async def test_a_client_that_does_not_answer_delays_no_other_client(provider: Provider) -> None:
    entered, given_up = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        entered.set()
        while await reader.read(65_536):
            pass
        given_up.set()
        writer.close()

    server = await asyncio.start_server(silent, "localhost", 0)
    dead_port = server.sockets[0].getsockname()[1]
    async with server, listening() as listener:
        dead = await called_back(provider, "ping", f"http://localhost:{dead_port}/ciba")
        well = await called_back(provider, "ping", listener.url)
        to_dead = await asked(provider, dead)
        to_well = await asked(provider, well)
        async with telling(provider):
            await provider.decide(to_dead, client_id=dead.client.id)
            await entered.wait()
            await provider.decide(to_well, client_id=well.client.id)
            assert (await listener.next()).body == {"auth_req_id": to_well}
            assert not given_up.is_set()
            assert (await poll(provider, dead, to_dead)).status_code == 200
