"""A spec for a program's own loop, a wire that answers it, and what a person says."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Unpack

import pytest

from signoff.canonical import Json
from signoff.catalog.standalone import Options
from signoff.handler.answers import CallError
from signoff.handler.asking import Approve, Approved, Ask, Denied
from signoff.handler.openapi import OpenApiHandler, openapi_handler
from signoff.upstream.guard import Resolve
from wire import Wire, answer, listening

TOKEN = "t0p-s3cret-token/+"

_ID: dict[str, Json] = {
    "name": "id", "in": "path", "required": True, "schema": {"type": "integer"},
}  # fmt: skip
_SHIP: Json = {
    "type": "object",
    "required": ["to"],
    "properties": {"to": {"type": "string"}, "pin": {"type": "string", "format": "password"}},
}
SHOP: dict[str, Json] = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "description": "Sells **things**.", "version": "1"},
    "servers": [{"url": "https://spec.example/v1"}],
    "paths": {
        "/orders": {
            "get": {
                "operationId": "list_orders",
                "summary": "List orders",
                "parameters": [
                    {"name": "state", "in": "query", "schema": {"type": "string"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "Authorization", "in": "header", "schema": {"type": "string"}},
                    {"name": "X-Tenant", "in": "header", "schema": {"type": "string"}},
                ],
                "responses": {},
            },
        },
        "/orders/{id}": {
            "parameters": [_ID],
            "get": {"operationId": "get_order", "responses": {}},
            "delete": {"operationId": "drop_order", "responses": {}},
        },
        "/orders/{id}/ship": {
            "parameters": [_ID],
            "post": {
                "operationId": "ship_order",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _SHIP}},
                },
                "responses": {},
            },
        },
    },
}
"""Two reads go by themselves; `drop_order` and `ship_order` ask."""


@dataclass
class Person:
    """Who decides: `says` is asked with each question, all of which are kept."""

    says: Approve
    asked: list[Ask] = field(default_factory=list[Ask])

    async def __call__(self, ask: Ask) -> Approved | Denied:
        self.asked.append(ask)
        return await self.says(ask)


async def yes(ask: Ask) -> Approved:
    return ask.approved(by="alice")


async def no(ask: Ask) -> Denied:
    return ask.denied(by="alice", reason="not today")


async def keys(_: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def shop(
    *answers: bytes,
    spec: dict[str, Json] | None = None,
    approve: Approve | None = yes,
    resolve: Resolve | None = None,
    closes: bool = False,
    **options: Unpack[Options],
) -> AsyncGenerator[tuple[OpenApiHandler, Wire]]:
    """Serve the answers one after the other, the last one for good, and call it by a handler."""
    left = list(answers or (answer(),))

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        if closes:
            writer.close()

    async with listening(script) as wire:
        given: Options = {"base_url": f"{wire.url}/v1", "resolve_headers": keys}
        made = openapi_handler(
            spec or SHOP, approve=approve, resolve=resolve, **{**given, **options}
        )
        async with made as call:
            yield call, wire


async def refused(
    call: Any, name: str, arguments: dict[str, Json], context: Any = None
) -> CallError:
    with pytest.raises(CallError) as caught:
        await call(name, arguments, context)
    assert TOKEN not in str(caught.value)
    return caught.value
