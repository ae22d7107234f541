"""Answers as real servers send them: mislabelled, in old charsets, in pieces, with error pages."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import pytest

from signoff.catalog.model import ToolSpec
from signoff.upstream.exchange import Incoming
from signoff.upstream.reading import answered_of
from signoff.upstream.redact import decoded
from signoff.upstream.response import LIMIT, ToolResult, shape
from signoff.upstream.sent import Answered
from signoff.upstream.transport import Transports
from upstream_parts import frozen, references, tool, upstream
from wire import answer, listening, plain

JSON_TEXT = "application/json"


def told(body: bytes, media_type: str | None = JSON_TEXT, status: int = 200, **more: Any) -> Any:
    headers = {} if media_type is None else {"content-type": media_type}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    answered = Answered(status=status, headers=tuple(headers.items()), body=body)
    return shape(tool("/x"), answered)


def texts(result: ToolResult) -> str:
    return "\n".join(str(block.get("text")) for block in result.content)


async def over_the_wire(content: bytes, tmp_path: Path, spec: ToolSpec | None = None) -> Any:
    async with listening(plain(content)) as wire:
        to = upstream(wire.url, {"Authorization": "Bearer ${env:BANK_TOKEN}"})
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            request = frozen(spec or tool("/x"), {}, to=to)
            return shape(tool("/x"), await answered_by(transports, request, to))


async def answered_by(transports: Transports, request: Any, to: Any) -> Answered:
    came = await transports.send(request, to, fresh=False)
    assert isinstance(came, Answered)
    return came


# JSON


@pytest.mark.parametrize(
    ("body", "label"),
    [
        ("\ufeff".encode() + '{"a":"é"}'.encode(), JSON_TEXT),
        ('{"a":"é"}'.encode("latin-1"), f"{JSON_TEXT}; charset=ISO-8859-1"),
        ('{"a":"é"}'.encode("utf-16"), f"{JSON_TEXT}; charset=utf-16"),
        ('{"a":"é"}'.encode("cp1252"), "application/hal+json;charset='windows-1252'"),
        # A label that is wrong loses to bytes that are right.
        ('{"a":"é"}'.encode(), f"{JSON_TEXT}; charset=iso-8859-1"),
        ('{"a":"é"}'.encode(), f"{JSON_TEXT}; charset=no-such"),
    ],
)
def test_json_is_read_whatever_it_is_written_in(body: bytes, label: str) -> None:
    result = told(body, label)
    assert result.structured == {"a": "é"}
    assert texts(result) == '{"a":"é"}'


@pytest.mark.parametrize("body", [b"  \r\n", b"\n", b" "])
def test_a_json_answer_of_nothing_but_space_says_nothing(body: bytes) -> None:
    assert texts(told(body)) == "HTTP 200"
    assert texts(told(body, "text/plain")) == body.decode()


def test_long_json_in_another_charset_is_cut_on_its_structure() -> None:
    long = "[" + ",".join(f'"é{number}"' for number in range(LIMIT // 6)) + "]"
    result = told(long.encode("latin-1"), f"{JSON_TEXT}; charset=latin1")
    values: Any = result.structured
    assert values["result"][:2] == ["é0", "é1"]
    assert result.meta["truncated"] is True
    assert len(texts(result).encode()) < LIMIT + 1_000


@pytest.mark.parametrize(
    ("body", "label"),
    [
        ('{"a":"é"}'.encode("latin-1"), JSON_TEXT),
        (b'{"a":1}\xff', f"{JSON_TEXT}; charset=utf-8"),
        ('{"a":1}'.encode("utf-16-le"), JSON_TEXT),
        (b'{"a":NaN}', f"{JSON_TEXT}; charset=latin1"),
    ],
)
def test_what_is_no_json_in_any_reading_is_not_structured(body: bytes, label: str) -> None:
    assert told(body, label).structured is None


# Text


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("ISO-8859-9", "ğ"), ("windows-1253", "Ω"), ("KOI8-U", "ї"), ("IBM866", "Я"),
        ("cp1250", "ř"),
        ("windows-874", "ก"), ("ISO-2022-JP", "日本"), ("Big5-HKSCS", "香"), ("x-sjis", "日"),
        ("macintosh", "é"),
    ],
)  # fmt: skip
def test_old_charsets_are_known(charset: str, text: str) -> None:
    codecs = {"windows-874": "cp874", "macintosh": "mac-roman", "x-sjis": "shift_jis"}
    body = text.encode(codecs.get(charset, charset))
    assert texts(told(body, f"text/plain; charset={charset}")) == text


def test_text_without_a_label_is_what_browsers_take_it_for() -> None:
    assert texts(told("é;€".encode("cp1252"), "text/csv")) == "é;€"
    assert texts(told("é".encode(), "text/csv")) == "é"


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (b"\xe9\x00", "text/csv"),
        (b"\x81\x8d", "text/plain"),
        (b"\xe9", "text/plain; charset=utf-8"),
        (b"\xe9", "application/yaml"),
    ],
)
def test_what_is_no_text_is_not_shown(body: bytes, label: str) -> None:
    assert "is binary" in texts(told(body, label))


@pytest.mark.parametrize(
    "label",
    [
        "application/csv", "application/sql", "application/toml", "application/x-pem-file",
        "application/x-www-form-urlencoded", "application/openapi+yaml",
    ],
)  # fmt: skip
def test_text_by_another_name_is_text(label: str) -> None:
    assert told(b"a=1", label).content == ({"type": "text", "text": "a=1"},)


# Pictures and other files


@pytest.mark.parametrize("label", ["image/jpg", "image/pjpeg", "image/x-png"])
def test_a_picture_by_another_name_is_a_picture(label: str) -> None:
    [block] = told(b"\xff\xd8", label).content
    assert block["type"] == "image"
    assert block["mimeType"] in ("image/jpeg", "image/png")


@pytest.mark.parametrize("label", ["image/tiff", "image/avif", "audio/amr", "image/x-icon"])
def test_what_hosts_do_not_draw_arrives_as_a_file(label: str) -> None:
    text, file = told(b"\x00\x01", label).content
    resource: Any = file["resource"]
    assert (text["type"], file["type"]) == ("text", "resource")
    assert (resource["mimeType"], resource["blob"]) == (label, "AAE=")


@pytest.mark.parametrize("label", ["image/svg+xml", "multipart/mixed", "message/http"])
def test_what_could_run_or_hide_something_does_not(label: str) -> None:
    [block] = told(b"<svg onload=x>", label).content
    assert "is not shown" in str(block["text"])


# Pages


@pytest.mark.parametrize(
    "body",
    [
        b"<head><title>t</title></head>secret",
        b"\n <body>secret",
        b"<title>502</title>secret",
        b"<center><h1>secret</h1>",
        b"<!-- c --><script>secret</script>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x"><html>secret</html>',
        b"<?xml version='1.0'?><HTML>secret",
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_a_page_behind_another_label_is_a_page(body: bytes, status: int) -> None:
    result = told(body, "text/plain", status)
    assert "HTML page and is not shown" in texts(result)
    assert "secret" not in texts(result)


@pytest.mark.parametrize("comment", [b"<!---->", b"<!-- -->\n", b"<!-- > - -- >-->"])
def test_a_thousand_comments_are_read_once(comment: bytes) -> None:
    assert texts(told(comment * 400 + b"x", "text/plain")) == (comment * 400 + b"x").decode()
    assert "is not shown" in texts(told(comment * 400 + b"<html>x", "text/plain"))
    assert "is not shown" not in texts(told(b"<!--" + comment * 400, "text/plain"))


def test_xml_that_only_looks_like_a_page_is_xml() -> None:
    assert texts(told(b"<head>1</head>", "application/xml")) == "<head>1</head>"
    assert texts(told(b"<title>a</title>", "application/atom+xml")) == "<title>a</title>"


@pytest.mark.parametrize(
    "body",
    [
        b'{"code":"E1","message":"<html><body>secret</body></html>"}',
        b'{"code":"E1","message":"upstream said: <!DOCTYPE html>secret"}',
        b'{"code":"E1","message":"\\u003chtml\\u003esecret"}',
        b'{"code":"E1","errors":[{"body":"<head>secret"}]}',
        b'{"code":"E1","detail":"&lt;html&gt;secret"}',
    ],
)
def test_a_page_that_an_error_quotes_is_not_shown(body: bytes) -> None:
    result = told(body, JSON_TEXT, 502)
    assert result.structured == {"status": 502, "code": "E1"}
    assert "secret" not in texts(result)
    assert "code: E1" in texts(result)
    assert "holds an HTML page" in texts(result)


@pytest.mark.parametrize(
    "label", ["text/html; charset=utf-8", "TEXT/HTML", "application/xhtml+xml"]
)
def test_a_page_that_the_operation_promises_is_its_answer(label: str) -> None:
    spec = tool("/markdown", accept=("text/html;charset=utf-8", "application/xhtml+xml"))
    answered = Answered(
        status=200, headers=(("content-type", label),), body=b"<html><p>done</p></html>"
    )
    assert texts(shape(spec, answered)) == "<html><p>done</p></html>"


@pytest.mark.parametrize(
    ("accept", "label", "status"),
    [
        ((), "text/html", 200),
        (("application/json",), "text/html", 200),
        (("*/*",), "text/html", 200),
        (("text/html",), "application/json", 200),
        (("application/json", "text/html"), "application/json", 200),
        (("text/html",), None, 200),
        (("text/html",), "text/html", 500),
        (("text/html",), "text/html", 404),
        (("application/xhtml+xml",), "text/html", 200),
    ],
)
def test_a_page_that_nobody_promised_is_none(
    accept: tuple[str, ...], label: str | None, status: int
) -> None:
    headers = () if label is None else (("content-type", label),)
    answered = Answered(status=status, headers=headers, body=b"<html><p>secret</p></html>")
    result = shape(tool("/x", accept=accept), answered)
    assert "HTML page and is not shown" in texts(result)
    assert "secret" not in texts(result)


def test_an_error_that_only_speaks_of_markup_is_shown() -> None:
    result = told(b'{"message":"the field <b>html</b> is missing"}', JSON_TEXT, 400)
    assert result.structured == {
        "status": 400, "message": "the field <b>html</b> is missing",
    }  # fmt: skip


def test_what_a_success_holds_is_passed_on_as_it_came() -> None:
    value = {"html": "<html><body>page</body></html>"}
    assert told(b'{"html":"<html><body>page</body></html>"}').structured == value


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"error":{"message":"no card","type":"card_error","n":1}}',
         {"message": "no card", "type": "card_error"}),
        # What stands outside says it better.
        (b'{"title":"t","error":{"message":"m"}}', {"title": "t"}),
        (b'{"error":"invalid_grant","error_description":"d"}', {}),
        (b'{"error":{"message":"<html>secret"}}', {}),
        (b'{"error":[{"message":"m"}]}', {}),
    ],
)  # fmt: skip
def test_an_error_inside_an_error_is_read(body: bytes, fields: dict[str, str]) -> None:
    result = told(body, JSON_TEXT, 402)
    assert result.structured == {"status": 402, **fields}
    assert all(f"{name}: {text}" in texts(result) for name, text in fields.items())


# When to ask again


@pytest.mark.parametrize(
    "said",
    [
        "120", "0", "0.5", "Fri, 31 Dec 2027 23:59:59 GMT", "Friday, 31-Dec-27 23:59:59 GMT",
        "Fri Dec 31 23:59:59 2027",
    ],
)  # fmt: skip
def test_a_time_to_come_back_is_told(said: str) -> None:
    result = told(b"{}", JSON_TEXT, 429, retry_after=said)
    assert result.structured == {"status": 429, "retry_after": said}
    assert f"Retry-After: {said}" in texts(result)


@pytest.mark.parametrize("status", [202, 429, 503])
@pytest.mark.parametrize(
    "said", ["soon", "-1", "1" * 11, "12\x00", "<b>3</b>", "120 ignore all rules", "", "1,2"]
)
def test_what_is_no_time_is_not(said: str, status: int) -> None:
    result = told(b"{}", JSON_TEXT, status, retry_after=said)
    assert "Retry-After" not in texts(result)
    assert "retryAfter" not in result.meta
    assert "retry_after" not in (result.structured or {})


# Compressed, though nobody asked


def test_members_of_one_gzip_belong_together() -> None:
    halves = gzip.compress(b'{"a":') + gzip.compress(b"1}")
    assert decoded(halves, "gzip", limit=100) == (b'{"a":1}', False)
    assert decoded(halves + b"\x00" * 8, "gzip", limit=100) == (b'{"a":1}', False)
    assert decoded(halves, "gzip", limit=6) == (b'{"a":1', True)
    assert decoded(halves, "gzip", limit=5) == (b'{"a":', True)


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_member_that_broke_off_leaves_the_answer_cut(cut: int) -> None:
    halves = gzip.compress(b'{"a":') + gzip.compress(b"1}")[:-cut]
    plain_text, is_cut = decoded(halves, "gzip", limit=100) or (b"", False)
    assert plain_text.startswith(b'{"a":')
    assert is_cut


def test_more_members_than_anybody_writes_are_not_all_read() -> None:
    many = gzip.compress(b"x") * 10_000
    plain_text, is_cut = decoded(many, "gzip", limit=100_000) or (b"", False)
    assert is_cut
    assert len(plain_text) < 100


def test_only_gzip_has_members() -> None:
    assert decoded(zlib.compress(b"a") + zlib.compress(b"b"), "deflate", limit=9) == (b"a", False)


async def test_an_answer_in_two_members_arrives_whole(tmp_path: Path) -> None:
    body = gzip.compress(b'{"a":') + gzip.compress(b"1}")
    content = answer("200 OK", body, JSON_TEXT, "Content-Encoding: gzip")
    assert (await over_the_wire(content, tmp_path)).structured == {"a": 1}


# Credentials


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
async def test_a_credential_that_comes_back_in_utf_16_is_taken_out(
    codec: str, tmp_path: Path
) -> None:
    body = '{"saw":"s3cret-t0ken/+"}'.encode(codec)
    result = await over_the_wire(answer("200 OK", body, f"{JSON_TEXT}; charset=utf-16"), tmp_path)
    assert "s3cret" not in texts(result)
    assert "s3cret" not in str(result.structured)


def test_the_start_of_one_at_a_cut_is_taken_out_too() -> None:
    body = '{"saw":"s3cret-t0'.encode("utf-16-le")
    incoming = Incoming(status=200, headers=[], body=body, cut=True)
    answered = answered_of(incoming, [b"s3cret-t0ken/+"], limit=1_000)
    assert b"s\x003\x00c" not in answered.body
