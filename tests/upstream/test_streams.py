"""Answers that are streams: what of them is told, and that they end."""

import asyncio
import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.catalog.wire import StreamKind
from signoff.upstream.response import LIMIT, shape
from signoff.upstream.sent import Answered, Sent, Unknown
from signoff.upstream.streams import EVENTS, EventReader, events_of, shown
from signoff.upstream.transport import Transports
from upstream_parts import frozen, references, tool, upstream
from wire import listening, then_closed

pytestmark = pytest.mark.usefixtures("each_client")

READ: list[tuple[StreamKind, str, list[Any]]] = [
    ("sse", 'data: {"a": 1}\n\ndata: 2\n\n', [{"a": 1}, 2]),
    ("sse", "data: one\ndata: two\n\n", ["one\ntwo"]),
    ("sse", "data:x\r\n\r\ndata:y\r\rdata: z\n\n", ["x", "y", "z"]),
    ("sse", "\ufeffdata: x\n\n", ["x"]),
    ("sse", "event: done\nid: 7\ndata: {}\n\n", [{"event": "done", "id": "7", "data": {}}]),
    ("sse", ": ping\n\nretry: 10\n\nevent: alone\n\n", []),
    ("sse", "data: [DONE]\n\ndata: half", ["[DONE]"]),
    ("sse", "data\n\n", [""]),
    ("json_lines", '{"a":1}\n\n[2]\r\nnot json\n', [{"a": 1}, [2], "not json\r"[:-1]]),
    ("json_lines", '{"a":1}\n{"b":2}', [{"a": 1}, {"b": 2}]),
    ("json_seq", '\x1e{"a":1}\n\x1e2\n', [{"a": 1}, 2]),
    ("json_seq", "junk\x1e1\n", [1]),
    ("json_lines", "", []),
]


@pytest.mark.parametrize(("kind", "text", "values"), READ)
def test_events_are_read(kind: StreamKind, text: str, values: list[Json]) -> None:
    events = events_of(text, kind, limit=LIMIT, cut=False)
    assert events.values == values
    assert not events.more


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("sse", 'data: 1\n\ndata: {"ha'),
        ("json_lines", '1\n{"ha'),
        ("json_seq", '\x1e1\n\x1e{"ha'),
    ],
)
def test_half_an_event_at_a_cut_is_left_out(kind: StreamKind, text: str) -> None:
    events = events_of(text, kind, limit=LIMIT, cut=True)
    assert events.values == [1]
    assert events.more


def test_a_stream_is_bounded_in_events_and_bytes() -> None:
    many = events_of("data: 1\n\n" * (EVENTS + 1), "sse", limit=LIMIT, cut=False)
    assert (len(many.values), many.more) == (EVENTS, True)
    large = events_of('"' + "x" * 90 + '"\n' + "1\n" * 99, "json_lines", limit=100, cut=False)
    assert len(large.values) < 10
    assert large.more


@given(st.text(), st.sampled_from(["sse", "json_lines", "json_seq"]), st.booleans())
def test_no_text_breaks_the_reader(text: str, kind: Any, cut: bool) -> None:
    events = events_of(text, kind, limit=1_000, cut=cut)
    assert len(json.dumps(events.values)) < 10_000


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers())))
def test_json_lines_read_back_what_was_written(values: list[dict[str, int]]) -> None:
    text = "".join(json.dumps(value) + "\n" for value in values)
    assert events_of(text, "json_lines", limit=LIMIT, cut=False).values == values


def test_a_stream_becomes_a_list_with_a_note_where_it_goes_on() -> None:
    headers = (("content-type", "text/event-stream; charset=utf-8"),)
    whole = shape(tool(), Answered(status=200, headers=headers, body=b"data: 1\n\n"))
    assert whole.structured == {"result": [1]}
    assert whole.meta == {}
    cut = shape(
        tool(), Answered(status=200, headers=headers, body=b"data: 1\n\nda", truncated=True)
    )
    assert cut.structured == {"result": [1]}
    assert cut.meta == {"truncated": True}
    assert "goes on" in str(cut.content[1]["text"])


def test_what_was_documented_counts_where_the_answer_does_not_say() -> None:
    spec = tool(stream="json_lines")
    assert shape(spec, Answered(status=200, headers=(), body=b"1\n2\n")).structured == {
        "result": [1, 2]
    }


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("id: 1\ndata: a\n\ndata: b\n\n", [{"id": "1", "data": "a"}, "b"]),
        ("retry: 3000\ndata: a\n\n", ["a"]),
        ("retry: -1\nretry: x\ndata: a\n\n", ["a"]),
        (":\n:ping\n: \n\n:\n\n", []),
        ("unknown: 1\ndata: a\n\n", ["a"]),
        ("DATA: a\n\n", []),
        (" data: a\n\n", []),
        ("data:  a\n\n", ["  a"[1:]]),
        ("data: a\n\n\n\n\ndata: b\n\n", ["a", "b"]),
        ("\n\n\n", []),
        ("data: \ufeff\n\n", ["\ufeff"]),
        ("data: a\x00b\n\n", ["a\x00b"]),
        ("data: a\u2028b\x85c\n\n", ["a\u2028b\x85c"]),
        ('data: {"a":\ndata: 1}\n\n', [{"a": 1}]),
        ('data: {"a":1,"a":2}\n\n', ['{"a":1,"a":2}']),
    ],
)
def test_server_sent_events_are_read_as_html_says(text: str, values: list[Json]) -> None:
    assert events_of(text, "sse", limit=LIMIT, cut=False).values == values


PIECES = st.lists(
    st.sampled_from([
        "data: x",
        "data",
        ":",
        "id: 1",
        "\r",
        "\n",
        "\r\n",
        "{",
        "1",
        "\x1e",
        "é",
        "\ufeff",
    ])
)


@given(PIECES, st.lists(st.integers(0, 40)), st.sampled_from(["sse", "json_lines", "json_seq"]))
def test_events_are_the_same_in_whatever_pieces_they_come(
    parts: list[str], cuts: list[int], kind: Any
) -> None:
    text = "".join(parts)
    whole = EventReader(kind)
    expected = [*whole.feed(text), *whole.end()]
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    reader = EventReader(kind)
    found = [value for start, end in pairwise(places) for value in reader.feed(text[start:end])]
    assert [*found, *reader.end()] == expected


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


async def followed(
    content: bytes, folder: Path, *, secret: str | None = None, fresh: bool = False
) -> tuple[Sent, list[str]]:
    """Send to what answers with `content` and then closes."""
    told: list[str] = []

    def tell(number: int, shown: str) -> None:
        told.append(f"{number} {shown}")

    async with listening(then_closed(content)) as wire:
        headers = {} if secret is None else {"Authorization": "Bearer ${env:BANK_TOKEN}"}
        to = upstream(wire.url, headers)
        known = references(None if secret is None else {"BANK_TOKEN": secret})
        async with Transports([to], data_dir=folder, references=known) as transports:
            request = frozen(tool(), to=to, using=known)
            sent = await transports.send(request, to, fresh=fresh, tell=tell)
    return sent, told


async def test_events_are_told_as_they_come(tmp_path: Path) -> None:
    events = [b"data: 1\n", b"\ndata: ", b'{"a":', b"2}\r", b"\n\r\n: ping\n\n", b""]
    sent, told = await followed(CHUNKED + b"".join(map(chunk, events)), tmp_path)
    assert told == ["1 1", '2 {"a":2}']
    assert isinstance(sent, Answered)
    assert not sent.truncated


async def test_a_stream_that_breaks_off_is_what_came_until_then(tmp_path: Path) -> None:
    sent, told = await followed(CHUNKED + chunk(b"data: 1\n\ndata: 2\n\ndata: 3"), tmp_path)
    assert told == ["1 1", "2 2"]
    assert isinstance(sent, Answered)
    assert (sent.truncated, sent.cut_by) == (True, "closed")
    result = shape(tool(), sent)
    assert result.structured == {"result": [1, 2]}
    assert result.meta == {"truncated": True}
    assert result.content[1]["text"] == (
        "The connection was closed before the stream ended. Here is what came before: 2 events."
    )


async def test_a_gated_call_whose_stream_breaks_off_has_no_known_outcome(tmp_path: Path) -> None:
    sent, told = await followed(CHUNKED + chunk(b"data: 1\n\n"), tmp_path, fresh=True)
    assert isinstance(sent, Unknown)
    assert told == ["1 1"]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        CHUNKED.replace(b"200 OK", b"500 Oops"),
    ],
    ids=["no stream", "500"],
)
async def test_what_breaks_off_and_is_no_stream_has_no_known_outcome(
    head: bytes, tmp_path: Path
) -> None:
    sent, told = await followed(head + chunk(b"data: 1\n\n"), tmp_path)
    assert isinstance(sent, Unknown)
    assert told == []


async def test_a_compressed_stream_is_read_at_its_end(tmp_path: Path) -> None:
    body = gzip.compress(b"data: 1\n\n")
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    sent, told = await followed(head + body, tmp_path)
    assert told == []
    assert isinstance(sent, Answered)
    assert shape(tool(), sent).structured == {"result": [1]}


async def test_a_credential_is_not_told_in_whatever_pieces_it_comes(tmp_path: Path) -> None:
    secret = "canary-5ecret-value"
    echoed = f"data: you sent {secret}!\n\n".encode()
    pieces = [echoed[at : at + 3] for at in range(0, len(echoed), 3)]
    content = CHUNKED + b"".join(map(chunk, [*pieces, b""]))
    sent, told = await followed(content, tmp_path, secret=secret)
    assert told == ['1 "you sent [redacted]!"']
    assert isinstance(sent, Answered)
    assert b"canary" not in sent.body


async def test_an_event_that_is_not_utf_8_is_told_and_kept_with_marks(tmp_path: Path) -> None:
    content = CHUNKED + chunk(b"data: a\xff\xe2\x82\n\ndata: b\n\n") + b"0\r\n\r\n"
    sent, told = await followed(content, tmp_path)
    assert told == ['1 "a\ufffd\ufffd"', '2 "b"']
    assert isinstance(sent, Answered)
    assert shape(tool(), sent).structured == {"result": ["a\ufffd\ufffd", "b"]}


async def test_a_giant_event_is_cut_and_what_came_before_it_kept(tmp_path: Path) -> None:
    giant = b"data: 1\n\ndata: " + b"x" * 2_000_000
    sent, told = await followed(CHUNKED + chunk(giant) + b"0\r\n\r\n", tmp_path)
    assert told == ["1 1"]
    assert isinstance(sent, Answered)
    assert (sent.truncated, sent.cut_by) == (True, "size")
    assert shape(tool(), sent).structured == {"result": [1]}


async def test_an_event_larger_than_a_result_is_left_out_and_said(tmp_path: Path) -> None:
    giant = b"data: 1\n\ndata: " + b"x" * (LIMIT + 1) + b"\n\n"
    sent, told = await followed(CHUNKED + chunk(giant) + b"0\r\n\r\n", tmp_path)
    assert len(told) == 2
    assert len(told[1]) <= 142
    assert isinstance(sent, Answered)
    result = shape(tool(), sent)
    assert result.structured == {"result": [1]}
    assert result.meta == {"truncated": True}


async def test_no_more_events_are_told_than_a_result_holds(tmp_path: Path) -> None:
    content = CHUNKED + chunk(b"data: 1\n\n" * (EVENTS + 50)) + b"0\r\n\r\n"
    _, told = await followed(content, tmp_path)
    assert len(told) == EVENTS


@pytest.mark.parametrize(
    "text",
    ["a\u202eb", "a\x1b[2Jb", "a\u200bb", "a\x85b", "a\u2028b", "a\nb", "a\ue000b", "a\u2066b"],
    ids=[
        "override",
        "escape",
        "zero width",
        "next line",
        "separator",
        "line",
        "private",
        "isolate",
    ],
)
def test_a_line_of_progress_hides_nothing_and_turns_nothing_around(text: str) -> None:
    assert shown(text) in ("a\ufffdb", "a\ufffd[2Jb")


def test_a_line_of_progress_is_short() -> None:
    assert shown("x" * 140) == "x" * 140
    assert shown("x" * 5_000) == "x" * 139 + "…"


async def _send_to_endless(first: bytes, tmp_path: Path) -> Any:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await writer.drain()
        await wire.over.wait()

    async with listening(endless) as wire:
        to = upstream(wire.url, timeout_s=0.5)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            sent = await transports.send(frozen(tool(), to=to), to, fresh=False)
            wire.over.set()
    return sent


async def test_a_stream_of_keep_alives_alone_ends_without_an_event(tmp_path: Path) -> None:
    sent = await _send_to_endless(HEAD + b"\r\n" + b": ping\n\n" * 20, tmp_path)
    assert isinstance(sent, Answered)
    assert (sent.truncated, sent.cut_by) == (True, "time")
    result = shape(tool(), sent)
    assert result.structured == {"result": []}
    assert result.content[1]["text"] == (
        "The stream did not end in time. Here is what came before: 0 events."
    )


async def test_an_endless_stream_is_cut_before_the_deadline_and_told(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    sent = await _send_to_endless(head + b"data: 1\n\ndata: 2\n\n", tmp_path)
    assert isinstance(sent, Answered)
    assert sent.truncated
    assert shape(tool(), sent).structured == {"result": [1, 2]}


async def test_an_endless_answer_that_is_no_stream_has_no_known_outcome(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    assert isinstance(await _send_to_endless(head + b"[1,", tmp_path), Unknown)
