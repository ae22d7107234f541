"""A message means one thing to every parser, or it is refused before the SDK sees it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.assistant.strict import MAX_BODY_BYTES, StrictJson, read_message, refusal
from signoff.canonical import JsonError, canonical_bytes, parse
from signoff.origin import Message, Receive, Scope, Send

REFUSED = [
    pytest.param(b'{"a":1,"a":2}', id="duplicate key"),
    pytest.param(b'{"a":{"b":1,"b":1}}', id="duplicate key with one value"),
    pytest.param(b'{"a":1,"\\u0061":2}', id="duplicate key by escape"),
    pytest.param(b'{"a":NaN}', id="NaN"),
    pytest.param(b'{"a":Infinity}', id="Infinity"),
    pytest.param(b'{"a":-Infinity}', id="-Infinity"),
    pytest.param(b'{"a":1e400}', id="1e400"),
    pytest.param(b'{"a":-1e400}', id="-1e400"),
    pytest.param(b'{"a":"\\ud800"}', id="lone high surrogate"),
    pytest.param(b'{"a":"\\udc00x"}', id="lone low surrogate"),
    pytest.param(b'{"\\ud83d":1}', id="lone surrogate in a key"),
    pytest.param(b'{"a":' + b"1" * 5000 + b"}", id="a number of 5000 digits"),
    pytest.param(b"[" * 5000 + b"]" * 5000, id="nested 5000 deep"),
    pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
    pytest.param(b'{"a":"\xed\xa0\x80"}', id="a surrogate encoded in UTF-8"),
    pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
    pytest.param('{"a":1}'.encode("utf-32"), id="UTF-32"),
    pytest.param(b'\xef\xbb\xbf{"a":1}', id="a byte order mark"),
    pytest.param(b"{'a':1}", id="single quotes"),
    pytest.param(b'{"a":1,}', id="a trailing comma"),
    pytest.param(b'{"a":1}{}', id="two documents"),
    pytest.param(b'{"a":01}', id="a leading zero"),
    pytest.param(b'{"a":"\x01"}', id="a raw control character"),
    pytest.param(b"", id="nothing"),
]


async def exchange(
    body: bytes | Sequence[bytes],
    *,
    method: str = "POST",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> tuple[int, dict[str, Any], list[bytes]]:
    """Send `body` through the wrapper; return status, answer and what the inner application saw."""
    seen: list[bytes] = []
    sent: list[Message] = []
    parts = [body] if isinstance(body, bytes) else list(body)
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": index + 1 < len(parts)}
        for index, part in enumerate(parts)
    ]

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        message = await receive()
        seen.append(message.get("body", b""))
        assert (await receive())["type"] == "http.disconnect", "what follows the body is passed on"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    scope: Scope = {"type": "http", "method": method, "headers": list(headers)}
    await StrictJson(inner)(scope, receive, send)
    if not sent:
        return 0, {}, seen
    return sent[0]["status"], json.loads(sent[1]["body"]), seen


@pytest.mark.parametrize("value", REFUSED)
async def test_ambiguous_json_is_refused_with_the_request_s_id(value: bytes) -> None:
    body = b'{"jsonrpc":"2.0","id":7,"params":' + value + b"}"
    status, answer, seen = await exchange(body)
    assert (status, answer["error"]["code"]) == (400, -32700)
    assert answer["id"] in (7, None)
    assert seen == []


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        (b'{"id":7,"a":NaN}', 7),
        (b'{"a":{"id":9},"id":"x","b":1e400}', "x"),
        (b'{"id":{"id":3},"a":NaN}', None),
        (b'{"id":7,"id":8}', None),
        (b'{"id":true,"a":NaN}', None),
        (b'{"id":1.5,"a":NaN}', None),
        (b'{"id":"\\ud800"}', None),
        (b'[{"id":7,"a":NaN}]', None),
        (b'{"id":7', None),
        (b"\xff", None),
    ],
)
def test_the_error_carries_an_id_only_when_there_is_one(body: bytes, request_id: object) -> None:
    assert json.loads(refusal(body, "because"))["id"] == request_id


async def test_strict_json_passes_byte_for_byte_in_one_piece() -> None:
    body = ' {"jsonrpc": "2.0", "id": 1, "z": [1, 2.50, "é", "\\ud83d\\ude00"]}\n'.encode()
    assert await exchange(body) == (200, {}, [body])
    assert await exchange([body[:9], b"", body[9:]]) == (200, {}, [body])


async def test_a_body_over_the_cap_is_refused_by_its_length_and_by_its_bytes() -> None:
    declared = [(b"content-length", str(MAX_BODY_BYTES + 1).encode())]
    status, answer, seen = await exchange(b"{}", headers=declared)
    assert (status, answer["error"]["code"], seen) == (413, -32600, [])
    chunk = b'"' + b"x" * (MAX_BODY_BYTES // 2)
    status, _, seen = await exchange([chunk, chunk, chunk])
    assert (status, seen) == (413, [])


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_asked_nothing() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"id":', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def unreachable(*_: object) -> None:
        raise AssertionError

    await StrictJson(unreachable)(
        {"type": "http", "method": "POST", "headers": []}, receive, unreachable
    )


async def test_other_methods_are_left_alone() -> None:
    status, _, seen = await exchange(b"not json", method="DELETE")
    assert (status, seen) == (200, [b"not json"])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2**53) + 1, 2**53 - 1)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_what_is_accepted_has_one_canonical_form(value: Any) -> None:
    try:
        read = read_message(json.dumps(value, ensure_ascii=False).encode())
    except (JsonError, UnicodeEncodeError):
        return
    assert read == value
    assert canonical_bytes(parse(canonical_bytes(read))) == canonical_bytes(read)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_or_its_refusal(content: bytes) -> None:
    with suppress(JsonError):
        read_message(content)
    assert json.loads(refusal(content, "because"))["error"]["code"] == -32700
