"""Everybody but the approver: other clients, other users, other servers on this host, the crowd."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest

from assistants import over_http
from harness import House, Launch, Server, SignIn, catalogue, transfer
from scripted_person import ScriptedPerson

CIBA = "urn:openid:params:grant-type:ciba"


async def backchannel(server: Server, client: dict[str, str], **fields: str) -> httpx2.Response:
    """Ask for an approval as `client`."""
    pair = f"{client['client_id']}:{client['client_secret']}".encode()
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.post(
            f"{server.url}/oauth2/bc-authorize",
            data={"scope": "openid", "login_hint": "alice", **fields},
            headers={"Authorization": f"Basic {base64.b64encode(pair).decode()}"},
        )


async def test_another_ciba_client_cannot_dress_its_request_as_a_tool_call(house: House) -> None:
    printed = await house.server.command(
        "clients", "create", "shop", "--grant", "ciba", "--scope", "openid", "--json",
        "--config", str(house.server.config),
    )  # fmt: skip
    shop = json.loads(printed)
    asked = await house.server.ask(transfer(110))
    details = {"type": "tool_call", "call_id": "call_x", "tool": "transfer_funds"}
    refused = await backchannel(
        house.server, shop, authorization_details=json.dumps([details]), binding_message="W4SC"
    )
    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_authorization_details"
    assert await house.alice.waiting() == [asked.card]
    plain = await backchannel(house.server, shop, binding_message="W4SC")
    assert plain.status_code == 200
    (other,) = set(await house.alice.waiting()) - {asked.card}
    page = await house.alice.page(other)
    assert "Asked by the application" in page
    assert "not by an assistant" in page
    await house.alice.deny(other)
    await house.alice.deny(asked.card)
    assert house.bank.count(110) == 0


async def test_the_gates_own_client_has_no_secret_to_guess(house: House) -> None:
    for secret in ("", "signoff-gate", house.server.token):
        refused = await backchannel(
            house.server, {"client_id": "signoff-gate", "client_secret": secret}
        )
        assert refused.status_code == 401
        assert refused.json()["error"] == "invalid_client"


async def test_to_another_signed_in_user_the_card_does_not_exist(house: House) -> None:
    asked = await house.server.ask(transfer(111))
    bob = await ScriptedPerson(house.server.url).sign_in(await house.server.login_link("bob"))
    assert await bob.waiting() == []
    form = await house.alice.form(asked.card)
    unknown = await bob.http.get("/approvals/apr_0000000000000000000000")
    assert unknown.status_code == 404
    card = await bob.http.get(f"/approvals/{asked.card}")
    assert (card.status_code, card.text) == (404, unknown.text)
    events = await bob.http.get(f"/approvals/{asked.card}/events")
    assert events.status_code == 404
    for fields in (
        {"decision": "approve", "proof": bob.proof(form, "approve")},
        {"decision": "deny"},
    ):
        assert (await bob.send(form, **fields)).status_code == 404
    settled = await bob.http.post(
        f"/approvals/{asked.card}/reconcile",
        data={"csrf": form.csrf, "digest": form.digest, "done": "yes"},
    )
    assert settled.status_code == 404
    assert await house.alice.waiting() == [asked.card]
    await bob.close()
    await house.alice.deny(asked.card)
    await asked.work


async def test_nobody_who_is_not_signed_in_sees_or_decides_anything(house: House) -> None:
    asked = await house.server.ask(transfer(112))
    form = await house.alice.form(asked.card)
    stranger = ScriptedPerson(house.server.url)
    for path in ("", f"/{asked.card}", f"/{asked.card}/events", "/events"):
        assert (await stranger.http.get(f"/approvals{path}")).status_code == 401
    answer = await stranger.send(form, decision="deny")
    assert answer.status_code == 401
    bearer = {"Authorization": f"Bearer {house.server.token}"}
    assert (await stranger.http.get("/approvals", headers=bearer)).status_code == 401
    await stranger.close()
    assert await house.alice.waiting() == [asked.card]
    await house.alice.deny(asked.card)
    await asked.work


@asynccontextmanager
async def cookie_thief() -> AsyncGenerator[tuple[str, list[str]], None]:
    """Run another web server on this host; it keeps the cookies that browsers bring it."""
    cookies: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        brought = (line for line in lines if line.lower().startswith("cookie:"))
        cookies.extend(line.partition(":")[2].strip() for line in brought)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://localhost:{port}/", cookies
    finally:
        server.close()


async def test_a_server_on_another_port_gets_the_cookie_and_still_cannot_approve(
    house: House, person: SignIn
) -> None:
    asked = await house.server.ask(transfer(113))
    alice = await person(house.server)
    async with cookie_thief() as (lure, cookies):
        await alice.page.goto(lure)
    assert any(f"signoff-{house.server.port}=" in cookie for cookie in cookies)
    thief = ScriptedPerson(house.server.url)
    thief.http.headers["Cookie"] = next(c for c in cookies if "signoff-" in c)
    form = await thief.form(asked.card)  # reading is what the cookie alone allows
    proofs: list[dict[str, str]] = [{"proof": thief.proof(form, "approve")}, {"proof": ""}, {}]
    for fields in proofs:
        refused = await thief.send(form, decision="approve", **fields)
        assert refused.status_code == 403
        assert "this browser did not prove itself" in refused.text
    await thief.close()
    assert house.bank.count(113) == 0
    await alice.open(asked.card)
    await alice.approve()
    assert (await asked.work).state == "done"
    assert house.bank.count(113) == 1


async def test_of_fifty_decisions_at_once_one_wins_and_one_is_audited(house: House) -> None:
    asked = await house.server.ask(transfer(114))
    form = await house.alice.form(asked.card)
    proof = house.alice.proof(form, "approve")
    answers = await asyncio.gather(*(
        house.alice.send(form, decision="approve", proof=proof)
        if number % 2
        else house.alice.send(form, decision="deny", reason=f"no {number}")
        for number in range(50)
    ))  # fmt: skip
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [303] + [409] * 49
    outcome = await asked.work
    rows = await house.server.operate("audit.tail", lines=500)
    decided = [
        row["event"]
        for row in rows
        if row["subject"] == asked.card and row["event"] in ("approval.approved", "approval.denied")
    ]
    assert len(decided) == 1
    assert house.bank.count(114) == (1 if outcome.state == "done" else 0)
    assert (decided == ["approval.approved"]) == (outcome.state == "done")


@pytest.mark.parametrize("token", ["", "sgl_" + "x" * 43, "eyJhbGciOiJub25lIn0.e30."])
async def test_the_assistants_door_stays_shut_without_the_right_bearer(
    house: House, token: str
) -> None:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(
            f"{house.server.url}/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
    assert answer.status_code == 401
    assert "resource_metadata=" in answer.headers["www-authenticate"]


async def test_a_machine_client_with_a_token_for_the_tools_reads_but_needs_a_person_to_ask(
    house: House,
) -> None:
    mcp = f"{house.server.url}/mcp"
    created = await house.server.operate(
        "clients.create", name="nightly", scopes=["mcp"], audiences=[mcp]
    )
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(
            f"{house.server.url}/oauth2/token",
            data={"grant_type": "client_credentials", "scope": "mcp", "resource": mcp},
            auth=(created["client_id"], created["client_secret"]),
        )
    assert answer.status_code == 200, answer.text
    async with over_http(house.server, token=answer.json()["access_token"]) as client:
        refused = await client.call_tool("transfer_funds", transfer(115))
    assert refused.is_error
    assert await house.alice.waiting() == []
    assert house.bank.count(115) == 0


async def test_behind_a_proxy_a_stranger_that_registers_hosts_keeps_nobody_out(
    launch: Launch,
) -> None:
    shipped = catalogue(None)
    header = {"client_address_header": "X-Forwarded-For"}
    server = await launch({**shipped, "server": {**shipped["server"], **header}})
    host = {"redirect_uris": ["http://127.0.0.1/"], "token_endpoint_auth_method": "none"}

    async with httpx2.AsyncClient(trust_env=False) as http:

        async def register(seen: str) -> int:
            # As a proxy does: what the sender claims comes first.
            headers = {"x-forwarded-for": f"192.0.2.9, {seen}"}
            answer = await http.post(f"{server.url}/oauth2/register", json=host, headers=headers)
            return answer.status_code

        stranger = [await register("203.0.113.66") for _ in range(11)]
        assert stranger == [201] * 10 + [429]
        assert await register("198.51.100.7") == 201
