"""The sidecar in one process and the gate in another: the whole job, over sockets."""

import asyncio
from collections.abc import AsyncGenerator

import httpx2
import pytest
import pytest_asyncio
from mcp import MCPError

from assistants import over_http, over_stdio, text
from desk_host import Host, status
from harness import Server, SignIn, transfer, until
from ports import free_port
from two_processes import Split, split


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Split, None]:
    """Both processes, for all tests of this file, which tell their transfers by amount."""
    async with split(tmp_path_factory.mktemp("two")) as here:
        yield here


async def test_a_person_approves_at_the_sidecar_and_the_gate_sends_once(two: Split) -> None:
    asked = await two.gate.ask(transfer(11))
    assert any(f"{two.sidecar.url}/approvals/{asked.card}" in line for line in asked.statuses)
    assert two.bank.count(11) == 0
    page = await two.alice.page(asked.card)
    assert "Transfer" in page
    await two.alice.approve(asked.card)
    assert (await asked.work).state == "done"
    assert two.bank.count(11) == 1

    async def told() -> bool:
        return "it succeeded" in await two.alice.page(asked.card)

    await until(told)


async def test_a_no_at_the_sidecar_ends_the_call_and_sends_nothing(two: Split) -> None:
    asked = await two.gate.ask(transfer(12))
    await two.alice.deny(asked.card, "not today")
    outcome = await asked.work
    assert outcome.state == "failed"
    assert "alice denied this call" in outcome.text
    assert "not today" in outcome.text
    assert two.bank.count(12) == 0


async def test_the_sdks_client_waits_and_is_told_where_the_card_is(two: Split) -> None:
    async with over_http(two.gate, name="impatient") as client:
        result = await client.call_tool("transfer_funds", transfer(13))
        assert result.structured_content is not None
        assert result.structured_content["status"] == "pending"
        (card,) = await until(two.alice.waiting)
        assert result.structured_content["approve_at"] == f"{two.sidecar.url}/approvals/{card}"
        await two.alice.approve(card)

        async def done() -> bool:
            again = await client.call_tool(
                "call_status", {"call_id": result.structured_content["call_id"]}
            )
            return not again.is_error and "pending" not in text(again)

        await until(done)
    assert two.bank.count(13) == 1


async def test_an_upstream_that_wants_proof_takes_the_sidecars_token(two: Split) -> None:
    asked = await two.gate.ask(transfer(14), tool="transfer_verified")
    await two.alice.approve(asked.card)
    assert (await asked.work).state == "done"
    assert two.bank.count(14) == 1


async def test_what_an_assistant_withdraws_leaves_the_page(two: Split) -> None:
    async with over_http(two.gate, name="impatient") as client:
        result = await client.call_tool("transfer_funds", transfer(15))
        assert result.structured_content is not None
        (card,) = await until(two.alice.waiting)
        await client.call_tool("withdraw_call", {"call_id": result.structured_content["call_id"]})
    await until(gone(two, card))
    assert two.bank.count(15) == 0


async def test_what_the_operator_of_the_gate_denies_leaves_the_page(two: Split) -> None:
    asked = await two.gate.ask(transfer(16))
    (call,) = await two.gate.operate("calls.list")
    said = await two.gate.command("calls", "deny", call["id"], "--reason", "audit day")
    assert "withdrawn" in said
    assert "operator denied it: audit day" in (await asked.work).text
    await until(gone(two, asked.card))
    assert two.bank.count(16) == 0


async def test_a_host_signs_its_person_in_at_the_sidecar(two: Split, person: SignIn) -> None:
    host = Host(two.gate, await person(two.sidecar))
    async with host.connected() as client:
        assert "transfer_funds" in {tool.name for tool in (await client.list_tools()).tools}
    assert all(url.startswith(f"{two.sidecar.url}/oauth2/authorize") for url in host.asked)
    tokens, registered = host.memory.tokens, host.memory.client
    assert tokens is not None
    assert registered is not None
    assert await status(two.gate, tokens.access_token) == 200
    (shown,) = await two.sidecar.operate("consents.list")
    assert shown["last_used_at"] is not None
    for wrong in (tokens.access_token[:-8] + "AAAAAAAA", tokens.refresh_token or ""):
        assert await status(two.gate, wrong) == 401


@pytest.mark.parametrize("how", ["delete", "disable"])
async def test_what_a_host_asked_for_ends_with_it_though_the_gate_is_elsewhere(
    two: Split, person: SignIn, how: str
) -> None:
    host = Host(two.gate, await person(two.sidecar))
    amount = {"delete": 18, "disable": 19}[how]
    async with host.connected() as client, asyncio.TaskGroup() as group:
        work = group.create_task(client.call_tool("transfer_funds", transfer(amount)))
        (card,) = await until(two.alice.waiting)
        registered = host.memory.client
        assert registered is not None
        await two.sidecar.command("clients", how, str(registered.client_id))
        await until(gone(two, card))
        page = await two.alice.page(card)
        assert "data-decide" not in page
        assert "<figcaption>Why</figcaption>" in page
        assert "may not act any more" in page
        assert (await work).is_error
    call = await two.end_of(amount)
    assert call is not None
    assert (call["state"], two.bank.count(amount)) == ("withdrawn", 0)
    assert "may not act any more" in call["note"]


async def test_a_host_over_stdio_gets_the_tools_of_the_gate(two: Split) -> None:
    async with over_stdio(two.gate, name="impatient") as client:
        result = await client.call_tool("transfer_funds", transfer(17))
        (card,) = await until(two.alice.waiting)
        await two.alice.deny(card)
    assert result.structured_content is not None
    assert result.structured_content["approve_at"].startswith(two.sidecar.url)


async def test_a_call_from_the_terminal_finds_the_tools_of_the_gate(two: Split) -> None:
    code, out, err = await two.gate.run("call", "list_accounts")
    assert (code, err) == (0, "")
    assert "checking" in out


async def test_a_host_over_stdio_is_not_let_in_at_the_sidecar(two: Split) -> None:
    gate = Server(
        port=free_port(), data_dir=two.sidecar.data_dir, config=two.gate.config,
        environment={}, role="mcp",
    )  # fmt: skip
    async with over_stdio(gate) as client:
        with pytest.raises(MCPError, match="give it a --data-dir of its own"):
            await client.list_tools()


@pytest.mark.parametrize(
    "path",
    ["/approvals", "/login/x", "/oauth2/token", "/oauth2/jwks", "/oauth2/bc-authorize",
     "/ciba/withdraw", "/.well-known/openid-configuration", "/m2m/clients", "/openapi.json"],
)  # fmt: skip
async def test_the_gate_has_no_page_and_gives_no_tokens(two: Split, path: str) -> None:
    async with httpx2.AsyncClient(base_url=two.gate.url, trust_env=False, timeout=60) as http:
        assert (await http.get(path)).status_code == 404
        assert (await http.post(path)).status_code == 404


async def test_the_gate_names_the_sidecar_and_the_sidecar_has_no_tools(two: Split) -> None:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        resource = f"{two.gate.url}/.well-known/oauth-protected-resource/mcp"
        told = (await http.get(resource)).json()
        assert (await http.post(f"{two.sidecar.url}/mcp")).status_code == 404
        assert (await http.get(f"{two.gate.url}/readyz")).text == "ready"
    assert told["resource"] == f"{two.gate.url}/mcp"
    assert told["authorization_servers"] == [two.sidecar.url]


COMMANDS = {
    "sidecar": [
        ("call", "list_accounts"),
        ("calls", "list"),
        ("calls", "show", "call_x"),
        ("gate", "key"),
    ],
    "gate": [
        ("login", "alice"),
        ("users", "list"),
        ("users", "disable", "alice"),
        ("clients", "list"),
        ("consents", "list"),
    ],
}


@pytest.mark.parametrize("where", COMMANDS)
async def test_a_command_for_the_other_side_says_where_to_run_it(two: Split, where: str) -> None:
    server = two.sidecar if where == "sidecar" else two.gate
    for command in COMMANDS[where]:
        code, out, err = await server.run(*command)
        assert (code, out) == (1, ""), command
        other = "mcp" if where == "sidecar" else "sidecar"
        assert f"`signoff serve --role {other}`" in err


def gone(two: Split, card: str):  # noqa: ANN201 — a condition for `until`
    async def left() -> bool:
        return card not in await two.alice.waiting()

    return left
