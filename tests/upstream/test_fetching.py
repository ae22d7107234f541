"""Documents that the operator listed, fetched over real sockets: what comes, what never does."""

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority
from signoff.catalog.loader import Loaded, load
from signoff.catalog.openapi.remote import FetchError
from signoff.upstream.fetching import MAX_BYTES, Fetcher
from wire import Wire, answer, listening, plain, then_closed

LOOPBACK = ("127.0.0.1",)


async def fetched(url: str, fetcher: Fetcher, private: tuple[str, ...] = LOOPBACK) -> bytes | str:
    """Fetch beside the loop that serves; return what came, or why nothing did."""
    try:
        return await asyncio.to_thread(fetcher, url, private)
    except FetchError as error:
        return str(error)


def at(wire: Wire, path: str = "/a.json", scheme: str = "http", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{wire.port}{path}"


async def test_a_document_comes_as_it_is() -> None:
    async with listening(plain(answer(body=b'{"a": 1}'))) as wire:
        assert await fetched(at(wire, "/a.json?v=1"), Fetcher()) == b'{"a": 1}'
    first, headers = wire.head()
    assert first == "GET /a.json?v=1 HTTP/1.1"
    assert dict(headers)["Host"] == f"127.0.0.1:{wire.port}"
    assert {name for name, _ in headers} == {"Host", "Accept", "Accept-Encoding", "Connection"}


async def test_a_document_is_asked_for_once_in_a_load() -> None:
    async with listening(then_closed(answer("404 Not Found"))) as wire:
        fetcher = Fetcher()
        for _ in range(3):
            assert await fetched(at(wire), fetcher) == "the answer is HTTP 404"
    assert len(wire.requests) == 1


async def test_loopback_is_not_reached_unless_it_is_listed() -> None:
    async with listening(plain(answer())) as wire:
        for host in ("127.0.0.1", "localhost", "127.1", "0x7f000001", "[::ffff:127.0.0.1]"):
            found = await fetched(at(wire, host=host), Fetcher(), ())
            assert isinstance(found, str), host
        assert wire.connections == 0


async def test_a_name_that_leads_to_a_private_address_is_not_reached() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        assert (host, port) == ("schemas.example", 80)
        return ["203.0.113.9", "169.254.169.254"]

    found = await fetched("http://schemas.example/a.json", Fetcher(resolve=resolve), ())
    assert found == ("its host is private or local; list it in allow_private if that is meant")


async def test_a_name_is_resolved_once_and_connected_to_where_it_was_checked() -> None:
    asked: list[str] = []

    async def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with listening(plain(answer())) as wire:
        found = await fetched(at(wire, host="schemas.example"), Fetcher(resolve=resolve))
        assert found == b"{}"
    assert asked == ["schemas.example"]
    assert dict(wire.head()[1])["Host"] == f"schemas.example:{wire.port}"


ANSWERS: list[tuple[str, bytes, str]] = [
    ("moved", answer("302 Found", b"", "text/plain", "Location: http://127.0.0.1/"),
     "the answer is HTTP 302; redirects are not followed"),
    ("gone", answer("410 Gone"), "the answer is HTTP 410"),
    ("no content", answer("204 No Content", b""), "the answer is HTTP 204"),
    ("compressed", answer("200 OK", gzip.compress(b"{}"), "x/y", "Content-Encoding: gzip"),
     "the answer is compressed, which was not asked for"),
    ("too large", answer(body=b" " * (MAX_BYTES + 1)), f"it is larger than {MAX_BYTES} bytes"),
    ("half", answer(body=b"{}" * 50)[:-10], "was closed"),
    ("nothing", b"", "was closed"),
    ("no HTTP", b"hello\r\n\r\n", "breaks HTTP's rules"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "why"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS]
)
async def test_anything_but_a_whole_plain_200_is_refused(content: bytes, why: str) -> None:
    async with listening(then_closed(content)) as wire:
        found = await fetched(at(wire), Fetcher())
    assert isinstance(found, str)
    assert why in found


async def test_a_server_that_never_answers_costs_its_time_and_no_more() -> None:
    async def silent(_: asyncio.StreamWriter) -> None:
        await wire.over.wait()

    async with listening(silent) as wire:
        fetcher = Fetcher(one_s=0.2)
        assert await fetched(at(wire), fetcher) == "it did not come within 0.2 s"


async def test_the_time_for_all_documents_is_bounded() -> None:
    ticks = iter([0.0, 6.0, 6.0, 12.0])
    async with listening(plain(answer())) as wire:
        fetcher = Fetcher(all_s=10, clock_s=lambda: next(ticks))
        assert await fetched(at(wire, "/1"), fetcher) == b"{}"
        assert await fetched(at(wire, "/2"), fetcher) == b"{}"
        assert await fetched(at(wire, "/3"), fetcher) == "the time for fetching documents is over"


async def test_a_certificate_must_be_of_the_name_and_of_a_trusted_authority(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "stranger")

    async def resolve(_: str, __: int) -> list[str]:
        return ["127.0.0.1"]

    async with listening(plain(answer()), tls=ours.server("schemas.example")) as wire:
        url = at(wire, scheme="https", host="schemas.example")
        assert await fetched(url, Fetcher(tls=ours.trusted(), resolve=resolve)) == b"{}"
        wrong = at(wire, scheme="https", host="other.example")
        for fetcher, place in (
            (Fetcher(tls=theirs.trusted(), resolve=resolve), url),
            (Fetcher(resolve=resolve), url),
            (Fetcher(tls=ours.trusted(), resolve=resolve), wrong),
        ):
            found = await fetched(place, fetcher)
            assert isinstance(found, str)
            assert "certificate" in found
    assert len(wire.requests) == 1


async def test_documents_can_be_fetched_inside_a_running_loop() -> None:
    loop_of_test, seen = threading.get_ident(), list[int]()

    async def resolve(_: str, __: int) -> list[str]:
        seen.append(threading.get_ident())
        return []

    with pytest.raises(FetchError, match="the connection was not made"):
        Fetcher(resolve=resolve)("http://schemas.example/", ())
    assert seen
    assert loop_of_test not in seen


SPEC: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "paths": {
        "/a": {"get": {"operationId": "whole", "responses": {}}},
    },
}


@asynccontextmanager
async def web(documents: dict[str, bytes]) -> AsyncGenerator[Wire]:
    async def script(writer: asyncio.StreamWriter) -> None:
        path = wire.requests[-1].split(b" ", 2)[1].decode()
        found = documents.get(path)
        writer.write(answer("404 No", b"") if found is None else answer(body=found))
        await writer.drain()

    async with listening(script) as wire:
        yield wire


async def test_a_catalogue_is_loaded_with_its_documents_from_elsewhere(tmp_path: Path) -> None:
    common = json.dumps({"Id": {"$ref": "more.json"}, "Lost": {"$ref": "lost.json"}}).encode()
    documents = {"/v1/common.json": common, "/v1/more.json": b'{"type": "integer"}'}
    async with web(documents) as wire:
        base = f"{wire.url}/v1/"
        spec = {**SPEC, "paths": dict(SPEC["paths"])}
        for name, part in (("good", "Id"), ("bad", "Lost")):
            schema = {"$ref": f"{base}common.json#/{part}"}
            parameter = {"name": "id", "in": "query", "schema": schema}
            operation: dict[str, Any] = {
                "operationId": name,
                "parameters": [parameter],
                "responses": {},
            }
            spec["paths"][f"/{name}"] = {"get": operation}
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        path = tmp_path / "capabilities.yaml"
        path.write_text(
            "signoff: 1\nupstreams:\n  api:\n    openapi: spec.json\n"
            f"    base_url: https://api.example\n    allow_refs: [{base}]\n"
            "    allow_private: [127.0.0.1]\nusers: [{id: alice}]\n"
        )
        found = await asyncio.to_thread(load, path, tmp_path / "cache", Fetcher())
        assert isinstance(found, Loaded)
        asked = len(wire.requests)
        tools = {tool.name: tool for tool in found.catalogue.tools}
        assert set(tools) == {"whole", "good"}
        assert tools["good"].input_schema["$defs"] == {"Id": {"type": "integer"}}
        [skipped] = found.catalogue.skipped
        assert skipped.operation == "bad"
        assert f"{base}lost.json" in skipped.reason
        assert "cannot be fetched: the answer is HTTP 404" in skipped.reason
    assert asked == len(wire.requests) == 3
