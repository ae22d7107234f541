"""An MCP host signs in by itself: the SDK's client, code and PKCE, a person in a real browser."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp_types as types
import pytest
import pytest_asyncio
import yaml
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from assistants import Era, text
from e2e_parts import launching
from harness import (
    ROOT,
    House,
    Person,
    SignIn,
    bank_process,
    catalogue,
    free_port,
    transfer,
    until,
)
from scripted_person import ScriptedPerson


@dataclass
class Memory:
    """What a host keeps on disk."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Host:
    """A program that opens the person's browser and listens on loopback for the answer."""

    house: House
    person: Person
    yes: bool = True
    memory: Memory = field(default_factory=Memory)
    asked: list[str] = field(default_factory=list[str])
    auth: OAuthClientProvider | None = None
    port: int = field(default_factory=free_port)
    answer: "asyncio.Future[str]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def redirect_uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/callback"

    async def open_browser(self, url: str) -> None:
        self.asked.append(url)
        self.answer = asyncio.get_running_loop().create_future()
        page = self.person.page
        await page.goto(url)
        button = "Let it act for me" if self.yes else "No"
        await page.get_by_role("button", name=button, exact=True).click()

    async def come_back(self) -> AuthorizationCodeResult:
        async with asyncio.timeout(20):
            target = await self.answer
        back = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        return AuthorizationCodeResult(
            code=back.get("code", ""), state=back.get("state"), iss=back.get("iss")
        )

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode()
        while (await reader.readline()).strip():
            pass
        body = b"<!doctype html><title>Back</title>You can close this page."
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()
        target = line.split(" ")[1]
        if target.startswith("/callback") and not self.answer.done():
            self.answer.set_result(target)

    @asynccontextmanager
    async def connected(self, *, era: Era = "2026-07-28") -> AsyncGenerator[Client, None]:
        """Connect as this host; the SDK does all of the signing in."""
        metadata = OAuthClientMetadata(
            client_name="A desk host",
            redirect_uris=[AnyUrl(self.redirect_uri)],
            token_endpoint_auth_method="none",
        )
        url = f"{self.house.server.url}/mcp"
        self.auth = OAuthClientProvider(
            url,
            metadata,
            self.memory,
            redirect_handler=self.open_browser,
            callback_handler=self.come_back,
        )
        http = httpx2.AsyncClient(auth=self.auth, timeout=60, trust_env=False)
        info = types.Implementation(name="desk", version="1")
        listener = await asyncio.start_server(self.receive, "127.0.0.1", self.port)
        async with (
            listener,
            http,
            Client(streamable_http_client(url, http_client=http), mode=era, client_info=info) as it,
        ):
            yield it


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House, None]:
    """A house whose spec says that reading transfers needs a scope of its own."""
    folder = tmp_path_factory.mktemp("hosts")
    spec = yaml.safe_load((ROOT / "openapi_specs" / "bank.yaml").read_text())
    spec["paths"]["/accounts"]["get"]["x-mcp"] = {"scopes": ["accounts.read"]}
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
    host = Host(house, await person(house.server))
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
    host = Host(house, await person(house.server))
    async with host.connected() as client:
        await client.list_tools()
        assert _asked_scope(host) == ["mcp"]
        result = await client.call_tool("list_accounts", {})
    assert not result.is_error, text(result)
    assert _asked_scope(host) == ["mcp", "mcp accounts.read"]
    assert host.memory.tokens is not None
    assert host.memory.tokens.scope == "mcp accounts.read"


async def test_a_host_refreshes_by_itself_and_asks_nobody(house: House, person: SignIn) -> None:
    host = Host(house, await person(house.server))
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
    host = Host(house, await person(house.server), yes=False)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with host.connected() as client:
            await client.list_tools()
    assert "authorization code" in _all_of(caught.value)
    assert host.memory.tokens is None


@pytest.mark.parametrize("who", ["the person", "the host", "the consent"])
async def test_a_token_ends_with_whom_it_was_given_to_or_by(
    house: House, person: SignIn, who: str
) -> None:
    host = Host(house, await person(house.server, "bob" if who == "the person" else "alice"))
    async with host.connected() as client:
        await client.list_tools()
    tokens, client_info = host.memory.tokens, host.memory.client
    assert tokens is not None
    assert client_info is not None
    assert await _status(house, tokens.access_token) == 200
    if who == "the person":
        await house.server.command("users", "disable", "bob")
    elif who == "the consent":
        listed = json.loads(await house.server.command("consents", "list", "--json"))
        (mine,) = (one for one in listed if one["client_id"] == client_info.client_id)
        assert (mine["user"], mine["name"], mine["scopes"]) == ("alice", "A desk host", "mcp")
        assert mine["last_used_at"] is not None
        await house.server.command("consents", "revoke", mine["consent_id"])
    else:
        await house.server.command("clients", "delete", str(client_info.client_id))
    assert await _status(house, tokens.access_token) == 401


async def _status(house: House, token: str) -> int:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "desk", "version": "1"},
        },
    }
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
    }
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{house.server.url}/mcp", json=message, headers=headers)
    return answer.status_code


def _asked_scope(host: Host) -> list[str]:
    return [parse_qs(urlsplit(url).query)["scope"][0] for url in host.asked]


def _all_of(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return " ".join(_all_of(one) for one in group.exceptions)
    return str(error)


async def test_a_device_without_a_browser_gets_in_by_its_code(house: House, person: SignIn) -> None:
    alice = await person(house.server)
    device_code = "urn:ietf:params:oauth:grant-type:device_code"
    async with httpx2.AsyncClient(base_url=house.server.url, trust_env=False) as http:
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
    assert await _status(house, given["access_token"]) == 200
