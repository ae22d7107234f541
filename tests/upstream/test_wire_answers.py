"""Answers as they came off a socket, and what an assistant is told of each.

The ids are those under which the rows were measured in other compilers.
"""

import base64
import gzip
import zlib
from pathlib import Path
from typing import Any

import pytest

from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import Pagination
from signoff.upstream.response import LIMIT, ToolResult, result_of
from signoff.upstream.transport import Transports
from upstream_parts import frozen, references, tool, upstream
from wire import Wire, answer, listening, plain

pytestmark = pytest.mark.usefixtures("each_client")

JSON_TEXT = "application/json"
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


async def told(
    content: bytes, tmp_path: Path, spec: ToolSpec | None = None, **more: Any
) -> tuple[Wire, ToolResult]:
    """Make one call that is answered with `content`; return what the assistant is told."""
    spec = spec or tool("/x")
    async with listening(plain(content)) as wire:
        to = upstream(wire.url, **more)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            came = await transports.send(frozen(spec, {}, to=to), to, fresh=False)
    return wire, result_of(spec, came)


def text_of(result: ToolResult) -> str:
    return "\n".join(str(block.get("text", "")) for block in result.content)


ANSWERS: list[tuple[str, bytes, Any]] = [
    ("r_json", answer(body=b'{"n":9007199254740993}'), {"n": 9007199254740993}),
    ("r_array", answer(body=b"[1]"), {"result": [1]}),
    ("r_204", b"HTTP/1.1 204 No Content\r\n\r\n", None),
    ("r_200_empty", answer(body=b""), None),
    ("r_text", answer(body=b"hi", media_type="text/plain"), None),
    ("r_bad_json", answer(body=b"{nope"), None),
    ("r_chunked",
     (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
      b"2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n"), {}),
    ("r_interim",
     (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
      b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), {}),
    ("r_sse", answer(body=b"data: 1\n\n", media_type="text/event-stream"), {"result": [1]}),
    ("r_gzip", answer("200 OK", gzip.compress(b"{}", mtime=0), JSON_TEXT,
     "Content-Encoding: gzip"), {}),
    ("r_deflate", answer("200 OK", zlib.compress(b"{}"), JSON_TEXT, "Content-Encoding: deflate"),
     {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "structured"), [pytest.param(*row[1:], id=row[0]) for row in ANSWERS]
)
async def test_an_answer_is_told_as_it_came(
    content: bytes, structured: Any, tmp_path: Path
) -> None:
    _, result = await told(content, tmp_path)
    assert not result.is_error
    assert result.structured == structured


DRIFTED = [
    ("r_extra", b'{"id":1,"new":true}'),
    ("r_mismatch", b'{"id":"one"}'),
    ("r_null_optional", b'{"id":null}'),
    ("r_missing", b"{}"),
    ("r_not_an_object", b"[1]"),
]


@pytest.mark.parametrize("content", [pytest.param(row[1], id=row[0]) for row in DRIFTED])
async def test_an_answer_that_drifted_from_its_schema_still_arrives(
    content: bytes, tmp_path: Path
) -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"id": {"type": "integer"}},
        "required": ["id"],
        "additionalProperties": False,
    }
    spec = tool("/x", output_schema=schema)
    _, result = await told(answer(body=content), tmp_path, spec)
    assert not result.is_error
    assert text_of(result) == content.decode()


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "audio/mpeg"])
async def test_r_png_pictures_and_sound_arrive_whole(media_type: str, tmp_path: Path) -> None:
    content = answer(body=PNG, media_type=media_type)
    _, result = await told(content, tmp_path)
    (block,) = result.content
    assert block["type"] == media_type.partition("/")[0]
    assert base64.b64decode(str(block["data"])) == PNG


async def test_r_pdf_other_files_are_embedded(tmp_path: Path) -> None:
    content = answer(body=b"%PDF-1.7\xff", media_type="application/pdf")
    _, result = await told(content, tmp_path)
    resource: Any = result.content[1]["resource"]
    assert base64.b64decode(resource["blob"]) == b"%PDF-1.7\xff"


async def test_r_bigtext_a_large_answer_is_cut_on_its_structure(tmp_path: Path) -> None:
    body = b"[" + b",".join(b'{"id":%d,"t":"x,]}"}' % n for n in range(50_000)) + b"]"
    paged = Pagination(kind="page", argument="page", limit="per_page")
    _, result = await told(answer(body=body), tmp_path, tool("/x", pagination=paged))
    assert result.structured is not None
    items: Any = result.structured["result"]
    assert items == [{"id": n, "t": "x,]}"} for n in range(len(items))]
    assert 5_000 < len(items) < 50_000
    assert len(str(result.content[0]["text"])) <= LIMIT
    assert result.meta == {"truncated": True}
    assert "`per_page`" in text_of(result)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
async def test_r_errors_are_errors_with_their_fields(status: int, tmp_path: Path) -> None:
    body = b'{"type":"/low","title":"Low","detail":"Too low","code":"x1"}'
    content = answer(f"{status} No", body, "application/problem+json", "X-Request-Id: r1")
    _, result = await told(content, tmp_path)
    assert result.is_error
    assert result.structured == {
        "status": status,
        "request_id": "r1",
        "type": "/low",
        "title": "Low",
        "detail": "Too low",
        "code": "x1",
    }


async def test_r_429_is_told_with_its_retry_after(tmp_path: Path) -> None:
    content = answer("429 Too Many", b'{"m":"slow"}', JSON_TEXT, "Retry-After: 3600")
    wire, result = await told(content, tmp_path)
    assert result.is_error
    assert result.structured == {"status": 429, "retry_after": "3600"}
    assert "Retry-After: 3600" in text_of(result)
    assert len(wire.requests) == 1  # an hour is more than the deadline has


async def test_r_html_is_never_shown(tmp_path: Path) -> None:
    content = answer("502 Bad Gateway", b"<html><b>nginx</b>", "text/html")
    _, result = await told(content, tmp_path, tool("/x", method="POST"))
    assert "nginx" not in text_of(result)
    assert result.is_error


@pytest.mark.parametrize(
    "headers",
    [
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: xchunked"],
    ],
)
async def test_lengths_that_servers_read_differently_are_refused(
    headers: list[str], tmp_path: Path
) -> None:
    head = "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()
    _, result = await told(head + b"2\r\n{}\r\n0\r\n\r\n", tmp_path, tool("/x", method="POST"))
    assert result.is_error
    assert "HTTP's rules" in text_of(result)


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "gzip\r\nContent-Encoding: gzip"])
async def test_bombs_and_unknown_compressions_are_not_opened(encoding: str, tmp_path: Path) -> None:
    bomb = gzip.compress(gzip.compress(b"\x00" * 50_000_000))
    content = answer("200 OK", bomb, JSON_TEXT, f"Content-Encoding: {encoding}")
    _, result = await told(content, tmp_path)
    assert "was not read" in text_of(result)


async def test_a_single_bomb_is_read_up_to_its_limit_only(tmp_path: Path) -> None:
    bomb = gzip.compress(b'"' + b"x" * 50_000_000 + b'"')
    content = answer("200 OK", bomb, JSON_TEXT, "Content-Encoding: gzip")
    _, result = await told(content, tmp_path, max_response_bytes=100_000)
    assert len(text_of(result)) < 110_000
