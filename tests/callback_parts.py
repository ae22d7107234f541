"""A client that is called back: a real HTTP listener, and the outbox that calls it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from as_parts import USERS, Provider, basic
from signoff.oauth.callbacks import KIND, Callbacks
from signoff.oauth.clients import Issued
from signoff.oauth.delivery import Delivery, DeliveryMode
from signoff.oauth.exchange import Exchange
from signoff.oauth.outside import Outside
from signoff.storage.outbox import Outbox

TOKEN = "8d67dc78-7faa-4d41-aabd-67707b374255"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One request that arrived."""

    line: str
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class Listener:
    """Answers each request with the next status of `script`, then with 204."""

    port: int = 0
    script: list[str] = field(default_factory=list[str])
    heard: "asyncio.Queue[Heard]" = field(default_factory=asyncio.Queue[Heard])

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/ciba"

    async def next(self) -> Heard:
        async with asyncio.timeout(20):
            return await self.heard.get()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (each.partition(": ") for each in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        status = self.script.pop(0) if self.script else "204 No Content"
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()
        self.heard.put_nowait(Heard(line=line, headers=headers, body=json.loads(body)))


@asynccontextmanager
async def listening(*script: str) -> AsyncGenerator[Listener, None]:
    listener = Listener(script=list(script))
    server = await asyncio.start_server(listener.serve, "localhost", 0)
    async with server:
        listener.port = server.sockets[0].getsockname()[1]
        yield listener


@asynccontextmanager
async def telling(provider: Provider, *, loopback: bool = True) -> AsyncGenerator[Outbox, None]:
    """Deliver callbacks while the body runs; a failed one is tried again at once."""
    callbacks = Callbacks(
        provider.stores.callbacks,
        provider.approvals,
        provider.directory,
        Exchange(
            provider.profile,
            provider.approvals,
            provider.keyring,
            users=USERS,
            now=provider.database.now,
        ),
        post=Outside(loopback=loopback).post,
        now=provider.database.now,
    )
    outbox = Outbox(provider.database, backoff_s=lambda _: 0.0)
    drain = asyncio.create_task(outbox.drain(KIND, callbacks.deliver))
    try:
        yield outbox
    finally:
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)


async def until_quiet(provider: Provider) -> None:
    """Wait until the outbox holds no callback any more."""
    statement = "SELECT COUNT(*) AS left FROM outbox WHERE kind = :kind"
    async with asyncio.timeout(20):
        while True:
            row = await provider.database.fetch_one(statement, {"kind": KIND})
            assert row is not None
            if not row["left"]:
                return
            await asyncio.sleep(0.01)


async def called_back(provider: Provider, mode: DeliveryMode, url: str, **more: Any) -> Issued:
    """Register a client that is told at `url`."""
    delivery = Delivery(mode=mode, notification_endpoint=url)
    return await provider.other_client(delivery=delivery, **more)


async def asked(provider: Provider, client: Issued, **changed: Any) -> str:
    response = await ask(provider, client, **changed)
    assert response.status_code == 200, response.text
    return response.json()["auth_req_id"]


async def ask(provider: Provider, client: Issued, **changed: Any) -> httpx2.Response:
    form: dict[str, Any] = {
        "client_notification_token": TOKEN,
        "authorization_details": None,
        "resource": None,
    }
    return await provider.ask(auth=basic(client), **{**form, **changed})


async def poll(provider: Provider, client: Issued, auth_req_id: str) -> httpx2.Response:
    return await provider.poll(auth_req_id, auth=basic(client))
