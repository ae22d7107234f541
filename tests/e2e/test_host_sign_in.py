"""An MCP host signs in by itself: the SDK's client, code and PKCE, a person in a real browser."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import cast
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import pytest_asyncio
import yaml
from mcp.shared.auth import OAuthClientInformationFull
from pydantic import AnyUrl

from assistants import Era, text
from desk_host import Host, status
from e2e_parts import launching
from harness import ROOT, House, SignIn, bank_process, catalogue, transfer, until
from ports import free_port
from scripted_person import ScriptedPerson


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House, None]:
    """A house whose spec says that reading transfers needs a scope of its own."""
    folder = tmp_path_factory.mktemp("hosts")
    spec = yaml.safe_load((ROOT / "openapi_specs" / "bank.yaml").read_text())
    spec["paths"]["/accounts"]["get"]["x-mcp"] = {"scopes": ["accounts.read"]}
    transactions = spec["paths"]["/accounts/{account_id}/transactions"]["get"]
    transactions["x-mcp"] = {"scopes": ["transactions.read"]}
    path = folder / "bank.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    port = free_port()
    async with (
        bank_process(folder, f"http://localhost:{port}") as books,
        launching(folder) as start,
    ):
        document = catalogue(books.url)
        document["upstreams"]["bank"]["openapi"] = str(path)
        server = await start(document, port=port)
        alice = await ScriptedPerson(server.url).sign_in(await server.login_link())
        yield House(server=server, bank=books, alice=alice)
        await alice.close()


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_the_sdks_client_signs_in_by_itself_and_gets_a_transfer_signed_off(
    house: House, person: SignIn, era: Era
) -> None:
    amount = 51 if era == "legacy" else 52
    host = Host(house.server, await person(house.server))
    async with host.connected(era=era) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert "transfer_funds" in tools
        work = asyncio.create_task(client.call_tool("transfer_funds", transfer(amount)))

        async def waiting() -> list[str]:
            assert not work.done(), work.result()
            return await house.alice.waiting()

        (card,) = await until(waiting)
        page = await house.alice.page(card)
        assert host.memory.client is not None
        assert str(host.memory.client.client_id) in page
        await house.alice.approve(card)
        result = await work
    assert not result.is_error, text(result)
    assert house.bank.count(amount) == 1
    assert len(host.asked) == 1


async def test_a_tool_that_needs_more_asks_the_person_again(house: House, person: SignIn) -> None:
    host = Host(house.server, await person(house.server))
    async with host.connected() as client:
        await client.list_tools()
        assert _asked_scope(host) == [{"mcp", "offline_access"}]
        result = await client.call_tool("list_accounts", {})
    assert not result.is_error, text(result)
    more = {"mcp", "offline_access", "accounts.read"}
    assert _asked_scope(host) == [more - {"accounts.read"}, more]
    assert host.memory.tokens is not None
    assert set(str(host.memory.tokens.scope).split()) == more


async def test_a_host_that_needs_more_twice_is_asked_once_each_and_keeps_both(
    house: House, person: SignIn
) -> None:
    host = Host(house.server, await person(house.server))
    every = ["mcp", "offline_access", "accounts.read", "transactions.read"]
    async with host.connected() as client:
        await client.list_tools()
        for _ in range(2):
            for tool, arguments in (
                ("list_accounts", {}),
                ("list_transactions", {"account_id": "checking"}),
            ):
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, text(result)
    assert _asked_scope(host) == [{*every[:2]}, {*every[:3]}, {*every}]
    # A host that is started anew knows of its scopes by its tokens alone.
    again = Host(house.server, host.person, memory=host.memory, port=host.port)
    async with again.connected() as client:
        assert not (await client.call_tool("list_accounts", {})).is_error
    assert again.asked == []


async def test_a_host_that_the_operator_made_known_signs_in_without_registering(
    house: House, person: SignIn
) -> None:
    host = Host(house.server, await person(house.server))
    uri = "http://127.0.0.1/callback"
    made = await house.server.command("hosts", "create", "Ours", "--redirect-uri", uri, "--json")
    client_id = json.loads(made)["client_id"]
    host.memory.client = OAuthClientInformationFull(
        client_id=client_id,
        redirect_uris=[AnyUrl(host.redirect_uri)],
        token_endpoint_auth_method="none",
    )
    async with host.connected() as client:
        assert (await client.list_tools()).tools
    assert _parameter(host, "client_id") == [client_id]
    assert await host.person.page.title() == "Back"
    assert host.memory.tokens is not None
    assert await status(house.server, host.memory.tokens.access_token) == 200
    await house.server.command("hosts", "delete", client_id)
    assert await status(house.server, host.memory.tokens.access_token) == 401


async def test_a_host_refreshes_by_itself_and_asks_nobody(house: House, person: SignIn) -> None:
    host = Host(house.server, await person(house.server))
    async with host.connected() as client:
        await client.list_tools()
        before = host.memory.tokens
        assert before is not None
        assert host.auth is not None
        host.auth.context.token_expiry_time = 1.0  # as if an hour had passed
        await client.call_tool("call_status", {"call_id": "call_unknown"})
    assert host.memory.tokens is not None
    assert host.memory.tokens.access_token != before.access_token
    assert host.memory.tokens.refresh_token != before.refresh_token
    assert len(host.asked) == 1


async def test_a_no_ends_the_hosts_sign_in(house: House, person: SignIn) -> None:
    host = Host(house.server, await person(house.server), yes=False)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with host.connected() as client:
            await client.list_tools()
    assert "authorization code" in _all_of(caught.value)
    assert host.memory.tokens is None


@pytest.mark.parametrize("who", ["the person", "the host", "the consent"])
async def test_a_token_ends_with_whom_it_was_given_to_or_by(
    house: House, person: SignIn, who: str
) -> None:
    host = Host(house.server, await person(house.server, "bob" if who == "the person" else "alice"))
    async with host.connected() as client:
        await client.list_tools()
    tokens, client_info = host.memory.tokens, host.memory.client
    assert tokens is not None
    assert client_info is not None
    assert await status(house.server, tokens.access_token) == 200
    if who == "the person":
        await house.server.command("users", "disable", "bob")
    elif who == "the consent":
        listed = json.loads(await house.server.command("consents", "list", "--json"))
        (mine,) = (one for one in listed if one["client_id"] == client_info.client_id)
        assert (mine["user"], mine["name"]) == ("alice", "A desk host")
        assert mine["scopes"].split()[0] == "mcp"
        assert mine["last_used_at"] is not None
        await house.server.command("consents", "revoke", mine["consent_id"])
    else:
        await house.server.command("clients", "delete", str(client_info.client_id))
    assert await status(house.server, tokens.access_token) == 401


def _asked_scope(host: Host) -> list[set[str]]:
    return [set(scope.split()) for scope in _parameter(host, "scope")]


def _parameter(host: Host, name: str) -> list[str]:
    return [parse_qs(urlsplit(url).query)[name][0] for url in host.asked]


def _all_of(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return " ".join(_all_of(one) for one in group.exceptions)
    return str(error)


async def test_a_device_without_a_browser_gets_in_by_its_code(house: House, person: SignIn) -> None:
    alice = await person(house.server)
    device_code = "urn:ietf:params:oauth:grant-type:device_code"
    async with httpx2.AsyncClient(base_url=house.server.url, trust_env=False, timeout=60) as http:
        host = (
            await http.post(
                "/oauth2/register",
                json={
                    "client_name": "A television",
                    "grant_types": [device_code],
                    "token_endpoint_auth_method": "none",
                },
            )
        ).json()
        asking = {"client_id": host["client_id"], "resource": f"{house.server.url}/mcp"}
        told = (await http.post("/oauth2/device_authorization", data=asking)).json()
        await alice.page.goto(told["verification_uri"])
        await alice.page.get_by_label("Code, eight letters").fill(told["user_code"].lower())
        await alice.page.get_by_role("button", name="Go on").click()
        assert await alice.page.get_by_text("A television").count() >= 1
        await alice.page.get_by_role("button", name="Let it act for me").click()
        await alice.page.get_by_text("The device may act for you now").wait_for()
        polling = {
            "grant_type": device_code,
            "client_id": host["client_id"],
            "device_code": told["device_code"],
        }
        given = (await http.post("/oauth2/token", data=polling)).json()
    assert await status(house.server, given["access_token"]) == 200
