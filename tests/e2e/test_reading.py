"""What an API owner writes for reads, at work: pages, streams, documents and certificates."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio

from certificates import Authority
from harness import Launch, Server, signoff
from ports import free_port
from signoff.client.session import ClientError, call_tool
from wire import Wire, answer, listening

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def spec(shared: str) -> dict[str, Any]:
    page = {"$ref": f"{shared}common.json#/Page"}
    listed: dict[str, Any] = {"operationId": "list_things", "parameters": [page], "responses": {}}
    lost = {"$ref": f"{shared}lost.json#/Page"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "paths": {
            "/things": {"get": listed},
            "/events": {"get": {"operationId": "watch", "responses": {}}},
            "/hidden": {"get": {"operationId": "hidden", "responses": {}}},
            "/lost": {"get": {"operationId": "lost", "parameters": [lost], "responses": {}}},
        },
    }


def answered(wire: Wire) -> bytes:
    """Return what the API answers to the last request."""
    target = urlsplit(wire.requests[-1].split(b" ", 2)[1].decode())
    if target.path == "/shared/common.json":
        page = {"name": "page", "in": "query", "schema": {"type": "integer"}}
        return answer(body=json.dumps({"Page": page}).encode())
    if target.path == "/things":
        number = int(dict(parse_qsl(target.query)).get("page", "1"))
        link = f'Link: <{wire.url}/things?page={number + 1}>; rel="next"'
        more = (link,) if number < 4 else ()
        return answer("200 OK", json.dumps([number]).encode(), "application/json", *more)
    if target.path == "/events":
        return HEAD + b"".join(b"data: %d\n\n" % at for at in range(3))
    return answer("404 Not Found")


@pytest_asyncio.fixture(loop_scope="session")
async def api(tmp_path: Path) -> AsyncGenerator[tuple[Wire, Path]]:
    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(answered(wire))
        await writer.drain()
        writer.close()

    async with listening(script) as wire:
        path = tmp_path / "spec.json"
        path.write_text(json.dumps(spec(f"{wire.url}/shared/")))
        yield wire, path


def catalogue(wire: Wire, path: Path, port: int) -> dict[str, Any]:
    return {
        "signoff": 1,
        "server": {"public_url": f"http://localhost:{port}"},
        "upstreams": {
            "api": {
                "openapi": str(path),
                "base_url": wire.url,
                "allow_refs": [f"{wire.url}/shared/"],
                "allow_private": ["127.0.0.1"],
                "operations": {
                    "list_things": {
                        "pagination": {"kind": "link", "fetch_all": True, "max_pages": 3}
                    },
                    "hidden": {"visible_to": ["bob"]},
                },
            }
        },
        "auth": {"local_user": "alice"},
        "users": [{"id": "alice"}, {"id": "bob"}],
    }


async def called(server: Server, tool: str, **arguments: Any) -> tuple[Any, list[str]]:
    """Call as an assistant; return the answer and what was said meanwhile."""
    said: list[str] = []
    found = await call_tool(
        f"{server.url}/mcp", server.token, tool, arguments, said.append, token_from="test"
    )
    return found.structured, said


async def test_an_api_is_read_as_its_catalogue_says(launch: Launch, api: tuple[Wire, Path]) -> None:
    wire, path = api
    port = free_port()
    server = await launch(catalogue(wire, path, port), port=port)
    fetched = [one.split(b" ", 2)[1] for one in wire.requests]
    assert sorted(fetched) == [b"/shared/common.json", b"/shared/lost.json"]

    code, out, err = await server.run("call", "list_things")
    assert code == 0
    assert json.loads(out) == {"result": [1, 2, 3]}
    assert err.splitlines() == [
        "1 page read, 1 item so far",
        "2 pages read, 2 items so far",
        (
            "3 pages were read, 3 items, then reading stopped: one call reads 3 pages at most. "
            'To go on, make the same call with {"page":4}.'
        ),
    ]
    assert await called(server, "list_things", page=4) == ({"result": [4]}, [])
    events = [f"Event {at + 1} from api: {at}" for at in range(3)]
    assert await called(server, "watch") == ({"result": [0, 1, 2]}, events)
    for name in ("hidden", "lost", "no_such"):
        with pytest.raises(ClientError, match=f"the server has no tool {name}"):
            await called(server, name)
    assert len([one for one in wire.requests if b"/shared/" in one]) == 2


async def test_check_fetches_the_same_and_names_what_did_not_come(
    launch: Launch, api: tuple[Wire, Path]
) -> None:
    wire, path = api
    server = await launch(catalogue(wire, path, free_port()), up=False)
    code, out, _ = await signoff("check", "--config", str(server.config))
    assert code == 0
    lost = f"{wire.url}/shared/lost.json#/Page"
    assert f'lost: the $ref "{lost}" cannot be fetched: the answer is HTTP 404' in out


async def test_an_upstream_that_wants_a_certificate_is_called_with_it(
    launch: Launch, tmp_path: Path
) -> None:
    bank = Authority(tmp_path, "bank")
    mine = bank.signed("me")

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b'{"ok": true}'))
        await writer.drain()

    async with listening(script, tls=bank.server("localhost", asks=bank)) as wire:
        port = free_port()
        document: dict[str, Any] = {
            "signoff": 1,
            "server": {"public_url": f"http://localhost:{port}"},
            "upstreams": {
                "bank": {
                    "base_url": f"https://localhost:{wire.port}",
                    "client_certificate": {
                        "cert": f"${{file:{mine.cert}}}",
                        "key": f"${{file:{mine.key}}}",
                        "ca": f"${{file:{bank.path}}}",
                    },
                }
            },
            "capabilities": [
                {
                    "name": "look",
                    "description": "Looks.",
                    "upstream": "bank",
                    "request": {"method": "GET", "path": "/"},
                    "input": {"type": "object", "properties": {}},
                }
            ],
            "users": [{"id": "alice"}],
        }
        server = await launch(document, port=port)
        assert await called(server, "look") == ({"ok": True}, [])

        mine.key.unlink()
        again = await launch(document, name="two", up=False)
        code, _, err = await signoff(
            "serve", "--config", str(again.config), "--data-dir", str(again.data_dir),
            "--port", str(again.port),
        )  # fmt: skip
        assert code == 3
        assert "upstreams.bank.client_certificate.key: ${file:" in err
        assert "cannot be read: No such file or directory" in err
