"""What an assistant is told of an answer, and what a status means for the call."""

import json
from hashlib import sha256

import pytest

from signoff.canonical import Json
from signoff.upstream.redact import host_of
from signoff.upstream.response import (
    LIMIT,
    Classified,
    Failed,
    OutcomeUnknown,
    Succeeded,
    ToolResult,
    classify,
    result_of,
    shape,
)
from signoff.upstream.sent import Changed, NotSent, Sent, Unknown
from told_answers import JSON, answered, shown, texts
from upstream_parts import tool


@pytest.mark.parametrize(
    ("body", "structured"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"[1, 2]", {"result": [1, 2]}),
        (b'"x"', {"result": "x"}),
        (b"0", {"result": 0}),
        (b"null", {"result": None}),
        (b"true", {"result": True}),
        (b'{"result": 1}', {"result": 1}),
        (b'{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
    ],
)
def test_json_comes_as_it_was_written_and_as_structure(body: bytes, structured: Json) -> None:
    result = shown(body)
    assert result == ToolResult(
        content=({"type": "text", "text": body.decode()},),
        structured=structured,  # pyright: ignore[reportArgumentType]
    )


@pytest.mark.parametrize(
    "media_type", ["application/hal+json; charset=utf-8", "text/json", "", None]
)
def test_json_is_known_by_its_relatives_and_without_a_label(media_type: str | None) -> None:
    assert shown(b'{"a":1}', media_type).structured == {"a": 1}


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":1',
        b'{"a":"\\ud800"}',
        b"{'a':1}",
        b"[" * 100 + b"]" * 100,
        b'{"a":1} trailing',
    ],
)
def test_what_is_no_strict_json_comes_as_text_and_is_not_hidden(body: bytes) -> None:
    assert shown(body) == ToolResult(content=({"type": "text", "text": body.decode()},))


def test_an_answer_that_drifts_from_its_schema_is_shown_all_the_same() -> None:
    spec = tool(output_schema={"type": "object", "required": ["b"], "additionalProperties": False})
    result = shape(spec, answered(b'{"a":1}'))
    assert (result.structured, texts(result), result.is_error) == ({"a": 1}, ['{"a":1}'], False)


@pytest.mark.parametrize("status", [200, 201, 204, 205])
def test_an_empty_answer_is_told_by_its_status(status: int) -> None:
    assert shown(status=status) == ToolResult(content=({"type": "text", "text": f"HTTP {status}"},))


@pytest.mark.parametrize(
    ("body", "media_type", "expected"),
    [
        (b" a\n\tb ", "text/plain", " a\n\tb "),
        ("é".encode("latin1"), "text/plain; charset=ISO-8859-1", "é"),
        (b"a;b\n", "text/csv", "a;b\n"),
        (b"<a/>", "application/xml", "<a/>"),
        (b"a: 1", "application/yaml", "a: 1"),
        ("ä".encode(), "text/plain; charset=no-such-codec", "ä"),
        (b"eJw=", "text/plain; charset=zlib", "eJw="),
        (b"\\u0041", "text/plain; charset=unicode_escape", "\\u0041"),
    ],
)
def test_text_comes_verbatim(body: bytes, media_type: str, expected: str) -> None:
    assert texts(shown(body, media_type)) == [expected]


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_an_image_comes_as_an_image(media_type: str) -> None:
    assert shown(b"\x89PNG", media_type).content == (
        {"type": "image", "data": "iVBORw==", "mimeType": media_type},
    )


@pytest.mark.parametrize(
    ("body", "media_type", "expected"),
    [
        (b"\xff\xfe\x00", "text/plain", "(text/plain, 3 bytes) and is not shown."),
        (b"<svg onload=x>", "image/svg+xml", "(image/svg+xml, 14 bytes) and is not shown."),
        (b"\x00", None, "(no media type, 1 bytes) and is not shown."),
        (b"\x00", "message/rfc822", "(message/rfc822, 1 bytes) and is not shown."),
        (b"x" * (LIMIT + 1), "image/png", "(image/png, 262,145 bytes) and too large to show."),
        (b"x" * (LIMIT + 1), "audio/ogg", "(audio/ogg, 262,145 bytes) and too large to show."),
        (b"\x00" * (LIMIT + 1), "video/mp4", "(video/mp4, 262,145 bytes) and too large to show."),
    ],
)
def test_what_cannot_be_shown_is_described(
    body: bytes, media_type: str | None, expected: str
) -> None:
    result = shown(body, media_type)
    assert texts(result) == [f"HTTP 200 OK. The answer is binary {expected}"]
    assert result.structured is None


def test_other_binary_answers_are_embedded_under_the_name_of_their_content() -> None:
    result = shown(b"%PDF-1.7", "application/pdf")
    assert result.content == (
        {"type": "text", "text": "HTTP 200 OK. The answer is binary (application/pdf, 8 bytes)."},
        {
            "type": "resource",
            "resource": {
                "uri": f"urn:sha256:{sha256(b'%PDF-1.7').hexdigest()}",
                "mimeType": "application/pdf",
                "blob": "JVBERi0xLjc=",
            },
        },
    )


@pytest.mark.parametrize("media_type", ["audio/wav", "audio/mpeg", "audio/ogg"])
def test_sound_is_given_as_sound(media_type: str) -> None:
    assert shown(b"RIFF", media_type).content == (
        {"type": "audio", "data": "UklGRg==", "mimeType": media_type},
    )


@pytest.mark.parametrize("name", ["x-request-id", "request-id", "x-correlation-id"])
def test_an_error_names_the_request_for_whoever_asks_the_upstream(name: str) -> None:
    result = shown(b"", None, 500, headers={name: "req_1"})
    assert result.structured == {"status": 500, "request_id": "req_1"}
    assert "Request id: req_1" in texts(result)[0]


PAGES = [
    (b"<!DOCTYPE html><script>x</script>", "text/html"),
    (b"<html><body>secret</body></html>", JSON),
    (b"\n\n  <!doctype HTML>", "text/plain"),
    (b"\xef\xbb\xbf<HTML lang=en>", None),
    (b"<!-- a --><!-- b -->\n<html>", "application/xml"),
    (b"hello", "application/xhtml+xml"),
    (b"hello", "TEXT/HTML; charset=utf-8"),
]


@pytest.mark.parametrize(("body", "media_type"), PAGES)
@pytest.mark.parametrize("status", [200, 404, 500, 502])
def test_html_is_never_shown(body: bytes, media_type: str | None, status: int) -> None:
    result = shown(body, media_type, status)
    assert "HTML page" in texts(result)[0]
    assert str(status) in texts(result)[0]
    for word in ("<", "hello", "secret", "script"):
        assert word not in texts(result)[0]
    assert result.is_error is (status >= 400)


def test_a_compressed_answer_that_was_not_read_is_said_so() -> None:
    for status in (200, 500):
        result = shown(status=status, unread="it is compressed in a way that was not asked for")
        assert "was not read: it is compressed" in texts(result)[0]


def test_a_problem_document_is_told_by_its_fields() -> None:
    body = json.dumps({
        "type": "https://bank.example/low",
        "title": "Not enough",
        "detail": "Balance is 3",
        "status": 999,
        "instance": "/x",
    }).encode()
    result = shown(body, "application/problem+json", 409, headers={"retry-after": "30"})
    assert result.is_error
    assert result.structured == {
        "status": 409,
        "retry_after": "30",
        "title": "Not enough",
        "detail": "Balance is 3",
        "type": "https://bank.example/low",
        "instance": "/x",
    }
    assert texts(result) == [
        "HTTP 409 Conflict\nRetry-After: 30\ntitle: Not enough\ndetail: Balance is 3\n"
        "type: https://bank.example/low\ninstance: /x\n" + body.decode()
    ]


def test_an_error_body_is_cut_at_two_kilobytes() -> None:
    result = shown("ä".encode() * 5_000, "text/plain", 500)
    assert texts(result) == [
        "HTTP 500 Internal Server Error\n" + "ä" * 1_024 + "\n[cut; 10,000 bytes]"
    ]


def test_too_many_requests_says_when_to_come_back() -> None:
    result = shown(b"slow down", "text/plain", 429, headers={"retry-after": "7"})
    assert texts(result) == ["HTTP 429 Too Many Requests\nRetry-After: 7\nslow down"]


@pytest.mark.parametrize(
    "body", [b'{"title": 5, "detail": null}', b"[1]", b'"x"', b"{", b"", b"\x00"]
)
def test_an_error_with_an_odd_body_is_still_an_error(body: bytes) -> None:
    result = shown(body, JSON, 400)
    assert result.is_error
    assert result.structured == {"status": 400}
    assert texts(result)[0].startswith("HTTP 400 Bad Request")


def test_an_unknown_status_is_told_by_its_number() -> None:
    assert texts(shown(status=599)) == ["HTTP 599"]


def test_a_redirect_tells_the_host_and_no_more() -> None:
    host = host_of("https://user:pw@evil.example:8443/in?token=x#y")
    result = shown(b"<html>", "text/html", 302, headers={"location": host})
    assert texts(result) == [
        "HTTP 302 Found. It points to evil.example; redirects are not followed."
    ]
    assert result.structured == {"status": 302, "location_host": "evil.example"}
    assert result.is_error
    assert host_of("/login?next=x") == "the same host"
    assert host_of("http://[::1") == "the same host"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (answered(), Succeeded()),
        (answered(status=204), Succeeded()),
        (answered(status=302), Failed(reason="HTTP 302 Found")),
        (answered(status=304), Failed(reason="HTTP 304 Not Modified")),
        (answered(status=400), Failed(reason="HTTP 400 Bad Request")),
        (answered(status=429), Failed(reason="HTTP 429 Too Many Requests")),
        (answered(status=500), OutcomeUnknown(reason="HTTP 500 Internal Server Error")),
        (answered(status=502), OutcomeUnknown(reason="HTTP 502 Bad Gateway")),
        (answered(status=503), Failed(reason="HTTP 503 Service Unavailable")),
        (NotSent(reason="no route"), Failed(reason="no route")),
        (Changed(reason="rotated"), Failed(reason="rotated")),
        (Unknown(reason="broke off"), OutcomeUnknown(reason="broke off")),
    ],
)
def test_a_send_means_one_of_three_things(sent: Sent, expected: Classified) -> None:
    assert classify(tool(definite_statuses=frozenset({503})), sent) == expected


def test_an_allowed_call_is_answered_however_its_send_ended() -> None:
    reading, writing = tool(read_only=True), tool()
    assert result_of(reading, answered(b"{}")).structured == {}
    for sent, words in (
        (NotSent(reason="bank: refused"), "Nothing was sent: bank: refused."),
        (Changed(reason="rotated"), "Nothing was sent: rotated."),
    ):
        assert texts(result_of(writing, sent)) == [words]
    lost = Unknown(reason="bank: broke off")
    assert "Asking again is safe." in texts(result_of(reading, lost))[0]
    assert "It may have taken effect." in texts(result_of(writing, lost))[0]
    assert all(result_of(reading, sent).is_error for sent in (NotSent(reason=""), lost))


def test_a_result_reads_back_whole() -> None:
    for result in (
        shown(b'{"a":[1,null,"\xc3\xa4"]}'),
        shown(b"x", "image/png"),
        shown(status=500),
    ):
        assert ToolResult.from_record(result.to_record()) == result
