"""A gate in a process of its own, with a key, and what it hears of the authorization server."""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from as_parts import ISSUER, Monotonic, Provider, running_provider, tool_call
from memory_keys import MemoryKeys
from signoff.canonical import Json
from signoff.gate import ciba
from signoff.gate.ciba import CibaClient
from signoff.gate.credentials import SigningKeys
from signoff.gate.wire import Wire
from signoff.oauth.clients import CIBA
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.tokens.client_keys import ClientKeys

EDGE = "https://mcp.example/mcp"


class Recording(httpx2.AsyncBaseTransport):
    """A network that remembers what was sent, and may swallow an answer."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self.inner, self.sent, self.swallows = inner, list[httpx2.Request](), 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(request)
        response = await self.inner.handle_async_request(request)
        if self.swallows and request.url.path == "/oauth2/token":
            body = await response.aread()
            if b"access_token" in body:
                self.swallows -= 1
                raise httpx2.ReadError("the network is gone")
        return response


@dataclass
class Far:
    """A gate with a key of its own, and the network between it and the server."""

    id: str
    keys: ClientKeys
    network: Recording
    wire: Wire
    client: CibaClient

    async def ask(self, details: Mapping[str, Json] | None = None, **changed: Any) -> Any:
        options: dict[str, Any] = {
            "login_hint": "alice",
            "binding_message": "W4SCT",
            "requested_expiry_s": 900,
            "acr": "session",
            "resource": f"{ISSUER}/gate",
        }
        return await self.client.ask(details or tool_call(), **{**options, **changed})

    async def asked(self, details: Mapping[str, Json] | None = None) -> str:
        answer = await self.ask(details)
        assert isinstance(answer, ciba.Asked), answer
        return answer.auth_req_id.get_secret_value()


async def registered(provider: Provider, *, name: str = "Far", **changed: Any) -> Far:
    keys = ClientKeys(MemoryKeys(), now=provider.database.now)
    await keys.make()
    settings: dict[str, Any] = {"role": "gate", "grant_types": [CIBA], **changed}
    issued = await provider.clients.create(
        name=name, by="operator", jwks=json.dumps(keys.as_json()), **settings
    )
    network = Recording(httpx2.ASGITransport(Starlette(routes=provider.routes)))
    wire = Wire(
        issuer=ISSUER,
        credential=SigningKeys(
            issued.client.id,
            issuer=ISSUER,
            keys=lambda: keys.newest_first,
            now=provider.database.now,
        ),
        transport=network,
        now=provider.database.now,
    )
    return Far(issued.client.id, keys, network, wire, CibaClient(wire, client_id=issued.client.id))


@pytest.fixture
def watch() -> Monotonic:
    return Monotonic()


@pytest.fixture
async def provider(
    database: Database, sealer: Sealer, watch: Monotonic
) -> AsyncGenerator[Provider, None]:
    async with running_provider(
        database, sealer, monotonic=watch, resources=frozenset({EDGE}), hosts=False
    ) as running:
        yield running
