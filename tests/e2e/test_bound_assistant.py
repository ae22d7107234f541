"""An assistant whose token is bound to its key: the SDK's own client, a proof with each request."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from assistants import Era, text
from dpop_parts import KeyHolder
from e2e_parts import open_house
from harness import House, Server


class Bound(httpx2.Auth):
    """Shows a bound token with a fresh proof for each request."""

    def __init__(self, holder: KeyHolder, token: str) -> None:
        self.holder, self.token = holder, token

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        url = str(request.url)
        request.headers["authorization"] = f"DPoP {self.token}"
        request.headers["dpop"] = self.holder.proof(request.method, url, token=self.token)
        yield request


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House, None]:
    async with open_house(tmp_path_factory.mktemp("bound")) as opened:
        yield opened
        await opened.alice.close()


@pytest_asyncio.fixture(loop_scope="session")
async def bound(house: House) -> Bound:
    """A machine client whose tokens are bound, and its first token."""
    server = house.server
    made = await server.operate(
        "clients.create",
        name="nightly",
        scopes=["mcp"],
        audiences=[f"{server.url}/mcp"],
        dpop=True,
    )
    holder = KeyHolder(lambda: datetime.now(UTC), issuer=server.url)
    auth = httpx2.BasicAuth(made["client_id"], made["client_secret"])
    form = {"grant_type": "client_credentials"}
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False, timeout=60) as http:
        bare = await http.post("/oauth2/token", data=form, auth=auth)
        assert bare.json()["error"] == "invalid_dpop_proof"
        answer = (await holder.token(http, form, auth=auth)).json()
    assert answer["token_type"] == "DPoP"
    return Bound(holder, answer["access_token"])


@asynccontextmanager
async def connected(server: Server, auth: Bound, era: Era) -> AsyncGenerator[Client, None]:
    http = httpx2.AsyncClient(auth=auth, timeout=60, trust_env=False)
    transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
    async with http, Client(transport, mode=era) as client:
        yield client


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_the_sdks_client_calls_tools_with_a_proof_for_each_request(
    house: House, bound: Bound, era: Era
) -> None:
    async with connected(house.server, bound, era) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert "transfer_funds" in tools
        result = await client.call_tool("call_status", {"call_id": "call_unknown"})
    assert "no call with this call_id" in text(result)


async def test_the_token_without_its_key_opens_nothing(house: House, bound: Bound) -> None:
    url = f"{house.server.url}/mcp"
    thief = KeyHolder(lambda: datetime.now(UTC), issuer=house.server.url)
    spent = bound.holder.proof("POST", url, token=bound.token)
    attempts: list[dict[str, Any]] = [
        {"authorization": f"Bearer {bound.token}"},
        {"authorization": f"DPoP {bound.token}"},
        {
            "authorization": f"DPoP {bound.token}",
            "dpop": thief.proof("POST", url, token=bound.token),
        },
        {
            "authorization": f"DPoP {bound.token}",
            "dpop": bound.holder.proof("GET", url, token=bound.token),
        },
        {"authorization": f"DPoP {bound.token}", "dpop": spent},
    ]
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    common = {"accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        first = await http.post(url, json=body, headers={**common, **attempts[-1]})
        assert first.status_code != 401, first.text
        for headers in attempts:
            answer = await http.post(url, json=body, headers={**common, **headers})
            assert answer.status_code == 401, headers
            assert "DPoP " in answer.headers["www-authenticate"]
