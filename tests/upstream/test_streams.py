"""Answers that are streams: what of them is told, and that they end."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.catalog.wire import StreamKind
from signoff.upstream.response import LIMIT, shape
from signoff.upstream.sent import Answered, Unknown
from signoff.upstream.streams import EVENTS, events_of
from signoff.upstream.transport import Transports
from upstream_parts import frozen, references, tool, upstream
from wire import listening

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


async def test_an_endless_stream_is_cut_before_the_deadline_and_told(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    sent = await _send_to_endless(head + b"data: 1\n\ndata: 2\n\n", tmp_path)
    assert isinstance(sent, Answered)
    assert sent.truncated
    assert shape(tool(), sent).structured == {"result": [1, 2]}


async def test_an_endless_answer_that_is_no_stream_has_no_known_outcome(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    assert isinstance(await _send_to_endless(head + b"[1,", tmp_path), Unknown)
