"""Every row of the mapping as one request on loopback: the raw bytes an upstream receives.

A row is the plan of a call, its arguments, and the request line, header or body that must arrive.
The ids are those under which the rows were measured in other compilers. Below them stand the rows
that must never leave, and answers as they came off the wire. One table, and so one long file.
"""

import base64
import email.message
import email.policy
from collections.abc import Mapping
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import Body, Encoding, Server, XmlHint
from signoff.upstream.request import RequestError
from signoff.upstream.response import ToolResult, result_of
from signoff.upstream.transport import Transports
from upstream_parts import frozen, parameter, references, tool, upstream
from wire import Wire, answer, listening, plain

pytestmark = pytest.mark.usefixtures("each_client")

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


async def sent(
    spec: ToolSpec,
    arguments: Mapping[str, Json],
    tmp_path: Path,
    *,
    content: bytes | None = None,
    prefix: str = "/v1",
    **more: Any,
) -> tuple[Wire, ToolResult]:
    """Make one call over a socket; return what arrived and what the assistant is told."""
    async with listening(plain(content or answer())) as wire:
        to = upstream(wire.url + prefix, **more)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            came = await transports.send(frozen(spec, arguments, to=to), to, fresh=False)
            result = result_of(spec, came)
    return wire, result


def query(**more: Any) -> ToolSpec:
    return tool("/x", parameters=[parameter("q", "query", **more)])


def path(**more: Any) -> ToolSpec:
    return tool("/p/{q}/x", parameters=[parameter("q", "path", **more)])


JSON_TEXT = "application/json"
DEEP: Any = {"style": "deepObject"}
LIST: Json = ["a", "b c"]
OBJECT: Json = {"x": 1, "y": "b c"}

TARGETS: list[tuple[str, ToolSpec, Json, str]] = [
    ("q_scalar", query(), "a b&admin=1", "/x?q=a%20b%26admin%3D1"),
    ("q_bool", query(), True, "/x?q=true"),
    ("q_int64", query(), 9007199254740993, "/x?q=9007199254740993"),
    ("q_null", query(), None, "/x"),
    ("q_empty", query(), "", "/x?q="),
    ("q_form", query(), LIST, "/x?q=a&q=b%20c"),
    ("q_empty_list", query(), [], "/x"),
    ("q_csv", query(explode=False), LIST, "/x?q=a,b%20c"),
    ("q_csv_comma", query(explode=False), ["a,b", "c"], "/x?q=a%2Cb,c"),
    ("q_space", query(style="spaceDelimited", explode=False), LIST, "/x?q=a%20b%20c"),
    ("q_pipe", query(style="pipeDelimited", explode=False), LIST, "/x?q=a%7Cb%20c"),
    ("q_tab", query(style="tabDelimited", explode=False), ["a", "b"], "/x?q=a%09b"),
    ("q_space_explode", query(style="spaceDelimited"), LIST, "/x?q=a&q=b%20c"),
    ("q_form_object", query(), OBJECT, "/x?x=1&y=b%20c"),
    ("q_csv_object", query(explode=False), OBJECT, "/x?q=x,1,y,b%20c"),
    ("q_deep", query(**DEEP), {"a": 1}, "/x?q%5Ba%5D=1"),
    ("q_deep_nested", query(**DEEP), {"a": {"b": {"c": 1}}}, "/x?q%5Ba%5D%5Bb%5D%5Bc%5D=1"),
    ("q_deep_array", query(**DEEP), {"a": [1, 2]}, "/x?q%5Ba%5D%5B%5D=1&q%5Ba%5D%5B%5D=2"),
    ("q_deep_indexed", query(**DEEP, indexed=True), {"a": [1]}, "/x?q%5Ba%5D%5B0%5D=1"),
    ("q_deep_objects", query(**DEEP), {"a": [{"b": 1}]}, "/x?q%5Ba%5D%5B0%5D%5Bb%5D=1"),
    ("q_content_json", query(content_type=JSON_TEXT), {"a": [1]}, "/x?q=%7B%22a%22%3A%5B1%5D%7D"),
    ("q_reserved", query(allow_reserved=True), "a/b?c=d&e", "/x?q=a/b?c=d%26e"),
    ("q_alias", query(name="$filter"), "x eq 1", "/x?%24filter=x%20eq%201"),
    ("q_brackets", query(name="include[]"), LIST, "/x?include%5B%5D=a&include%5B%5D=b%20c"),
    ("q_unicode", query(), "ä😀", "/x?q=%C3%A4%F0%9F%98%80"),
    ("p_scalar", path(), "a b", "/p/a%20b/x"),
    ("p_array", path(), LIST, "/p/a,b%20c/x"),
    ("p_object", path(), {"x": 1, "y": 2}, "/p/x,1,y,2/x"),
    ("p_object_explode", path(explode=True), {"x": 1, "y": 2}, "/p/x=1,y=2/x"),
    ("p_label", path(style="label"), "v", "/p/.v/x"),
    ("p_label_array", path(style="label", explode=True), ["a", "b"], "/p/.a.b/x"),
    ("p_matrix", path(style="matrix"), "v", "/p/;q=v/x"),
    ("p_matrix_array", path(style="matrix"), ["a", "b"], "/p/;q=a,b/x"),
    ("p_matrix_explode", path(style="matrix", explode=True), ["a", "b"], "/p/;q=a;q=b/x"),
    ("p_matrix_object", path(style="matrix", explode=True), {"x": 1}, "/p/;x=1/x"),
    ("p_int64", path(), 2**63, "/p/9223372036854775808/x"),
    ("s_querystring_form",
     tool("/x", parameters=[parameter("q", "querystring", style="form", explode=True,
                                      content_type=FORM)]),
     {"a": 1, "b": [1, 2], "c": {"d": "e f"}}, "/x?a=1&b=1&b=2&c%5Bd%5D=e%20f"),
    ("s_querystring_json",
     tool("/x", parameters=[parameter("q", "querystring", style="form", explode=True,
                                      content_type=JSON_TEXT)]), [1], "/x?%5B1%5D"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "value", "target"), [pytest.param(*row[1:], id=row[0]) for row in TARGETS]
)
async def test_an_argument_stands_in_the_target(
    spec: ToolSpec, value: Json, target: str, tmp_path: Path
) -> None:
    wire, result = await sent(spec, {"q": value}, tmp_path)
    assert wire.head()[0] == f"GET /v1{target} HTTP/1.1"
    assert not result.is_error


HEADERS: list[tuple[str, Any, Json, tuple[str, str]]] = [
    ("h_scalar", {}, "v", ("X-Q", "v")),
    ("h_bool", {}, False, ("X-Q", "false")),
    ("h_array", {}, ["a", "b"], ("X-Q", "a,b")),
    ("h_obj", {}, {"x": 1, "y": "b"}, ("X-Q", "x,1,y,b")),
    ("h_obj_explode", {"explode": True}, {"x": 1, "y": "b"}, ("X-Q", "x=1,y=b")),
    ("h_content_json", {"content_type": JSON_TEXT}, {"a": "ä"}, ("X-Q", '{"a":"\\u00e4"}')),
    ("c_scalar", {"place": "cookie"}, "a b", ("Cookie", "X-Q=a%20b")),
    ("c_array", {"place": "cookie"}, ["a", "b"], ("Cookie", "X-Q=a; X-Q=b")),
    ("c_csv", {"place": "cookie", "explode": False}, ["a", "b"], ("Cookie", "X-Q=a,b")),
    ("c_separator", {"place": "cookie"}, "a; admin=1", ("Cookie", "X-Q=a%3B%20admin%3D1")),
]


@pytest.mark.parametrize(
    ("more", "value", "header"), [pytest.param(*row[1:], id=row[0]) for row in HEADERS]
)
async def test_an_argument_stands_in_a_header(
    more: Any, value: Json, header: tuple[str, str], tmp_path: Path
) -> None:
    said: dict[str, Any] = {"place": "header", "name": "X-Q", **more}
    spec = tool("/x", parameters=[parameter("q", **said)])
    wire, _ = await sent(spec, {"q": value}, tmp_path)
    assert [pair for pair in wire.head()[1] if pair[0] == header[0]] == [header]


def whole(format: Any, content_type: str, **more: Any) -> ToolSpec:  # noqa: A002 — Body's word
    return tool(
        "/x",
        method="POST",
        body=Body(kind="whole", format=format, content_type=content_type, **more),
    )


def members(format: Any, content_type: str, *names: str, **more: Any) -> ToolSpec:  # noqa: A002
    keys = {name: name for name in names}
    return tool(
        "/x",
        method="POST",
        body=Body(kind="members", format=format, content_type=content_type, members=keys, **more),
    )


PET = XmlHint(
    name="pet",
    members={
        "id": XmlHint(name="id", attribute=True),
        "tags": XmlHint(name="tags", wrapped=True, items=XmlHint(name="tag")),
        "note": XmlHint(name="note", namespace="urn:n", prefix="n"),
    },
)
ACCOUNT: Json = {"name": "A&B", "address": {"line1": "x y"}, "ids": [1, 2], "gone": None}
STRIPE = {"ids": Encoding(style="deepObject"), "lines": Encoding(style="deepObject", indexed=True)}

BODIES: list[tuple[str, ToolSpec, Any, str, bytes]] = [
    ("b_obj", members("json", JSON_TEXT, "a"), {"a": 1}, JSON_TEXT, b'{"a":1}'),
    ("b_arr", whole("json", JSON_TEXT), [1, 2], JSON_TEXT, b"[1,2]"),
    ("b_prim", whole("json", JSON_TEXT), "x", JSON_TEXT, b'"x"'),
    ("b_null", members("json", JSON_TEXT, "note"), {"note": None}, JSON_TEXT, b'{"note":null}'),
    ("b_sole_null", whole("json", JSON_TEXT), None, JSON_TEXT, b"null"),
    ("b_empty", members("json", JSON_TEXT, "a", required=True), {}, JSON_TEXT, b"{}"),
    ("b_extra", members("json", JSON_TEXT, "a", open_members=True), {"a": 1, "z": 2}, JSON_TEXT,
     b'{"a":1,"z":2}'),
    ("b_int64", whole("json", JSON_TEXT), {"n": 2**70}, JSON_TEXT, b'{"n":1180591620717411303424}'),
    ("b_patch", whole("json", "application/merge-patch+json"), {"a": None},
     "application/merge-patch+json", b'{"a":null}'),
    ("b_problem", whole("json", "application/vnd.x+json"), {}, "application/vnd.x+json", b"{}"),
    ("b_form", members("form", FORM, "a", "b"), {"a": "x&y=1", "b": [1, 2]}, FORM,
     b"a=x%26y%3D1&b=1&b=2"),
    ("b_form_nested", members("form", FORM, *ACCOUNT, encodings=STRIPE), ACCOUNT, FORM,
     b"name=A%26B&address%5Bline1%5D=x%20y&ids%5B%5D=1&ids%5B%5D=2"),
    ("b_form_indexed", members("form", FORM, "lines", encodings=STRIPE), {"lines": [{"a": 1}, "b"]},
     FORM, b"lines%5B0%5D%5Ba%5D=1&lines%5B1%5D=b"),
    ("b_form_indexed_scalars", members("form", FORM, "lines", encodings=STRIPE), {"lines": [1, 2]},
     FORM, b"lines%5B0%5D=1&lines%5B1%5D=2"),
    ("b_form_three_deep", members("form", FORM, "a"), {"a": {"b": {"c": [{"d": 1}]}}}, FORM,
     b"a%5Bb%5D%5Bc%5D%5B0%5D%5Bd%5D=1"),
    ("b_form_csv", members("form", FORM, "a", encodings={"a": Encoding(style="form",
     explode=False)}), {"a": [1, 2]}, FORM, b"a=1,2"),
    ("b_form_json", members("form", FORM, "a", encodings={"a": Encoding(content_type=JSON_TEXT)}),
     {"a": {"b": 1}}, FORM, b"a=%7B%22b%22%3A1%7D"),
    ("b_text", whole("text", "text/plain"), "a\r\nä", "text/plain", "a\r\nä".encode()),
    ("b_octet", whole("binary", "application/octet-stream"), base64.b64encode(PNG).decode(),
     "application/octet-stream", PNG),
    ("b_octet_url_safe", whole("binary", "image/png"),
     base64.urlsafe_b64encode(b"\xfb\xff").decode().rstrip("="), "image/png", b"\xfb\xff"),
    ("b_octet_empty", whole("binary", "application/octet-stream"), "",
     "application/octet-stream", b""),
    ("b_xml", whole("xml", "application/xml"), "<a>1</a>", "application/xml", b"<a>1</a>"),
    ("b_xml_obj", whole("xml", "application/xml", xml=PET),
     {"id": 7, "tags": ["a<b", "c"], "note": "]]>&", "name": "Rex"}, "application/xml",
     (b'<?xml version="1.0" encoding="UTF-8"?><pet id="7"><tags>'
      b'<tag>a&lt;b</tag><tag>c</tag></tags>'
      b'<n:note xmlns:n="urn:n">]]&gt;&amp;</n:note><name>Rex</name></pet>')),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "value", "content_type", "body"), [pytest.param(*row[1:], id=row[0]) for row in BODIES]
)
async def test_a_body_arrives_byte_for_byte(
    spec: ToolSpec, value: Any, content_type: str, body: bytes, tmp_path: Path
) -> None:
    arguments = {"body": value} if spec.body.kind == "whole" else value
    wire, result = await sent(spec, arguments, tmp_path)
    head = dict(wire.head()[1])
    assert wire.body() == body
    assert head["Content-Type"] == content_type
    assert head["Content-Length"] == str(len(body))
    assert not result.is_error


def received_parts(wire: Wire) -> list[tuple[str, str | None, str, bytes]]:
    """Read a multipart request with the standard library's parser."""
    content_type = dict(wire.head()[1])["Content-Type"]
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=email.policy.HTTP).parsebytes(head + wire.body())
    found: list[tuple[str, str | None, str, bytes]] = []
    for part in message.iter_parts():
        assert isinstance(part, email.message.EmailMessage)
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append((name, part.get_filename(), part.get_content_type(), content))
    return found


FILE = Encoding(is_file=True)
B64 = base64.b64encode(PNG).decode()
PARTS: list[tuple[str, dict[str, Encoding], Any, list[tuple[str, str | None, str, bytes]]]] = [
    ("b_multipart_text", {}, {"a": "x", "n": 1, "t": True},
     [("a", None, "text/plain", b"x"), ("n", None, "text/plain", b"1"),
      ("t", None, "text/plain", b"true")]),
    ("b_multipart", {"f": FILE}, {"f": B64, "a": "x"},
     [("f", "f", "application/octet-stream", PNG), ("a", None, "text/plain", b"x")]),
    ("b_multipart_named", {"f": FILE},
     {"f": {"data": B64, "filename": "a.png", "content_type": "image/png"}},
     [("f", "a.png", "image/png", PNG)]),
    ("b_multipart_files", {"f": FILE}, {"f": [B64, {"data": "", "filename": "e"}]},
     [("f", "f", "application/octet-stream", PNG), ("f", "e", "application/octet-stream", b"")]),
    ("b_multipart_typed", {"f": Encoding(is_file=True, content_type="image/*, image/png")},
     {"f": B64}, [("f", "f", "image/png", PNG)]),
    ("b_multipart_object", {}, {"meta": {"a": [1]}},
     [("meta", None, "application/json", b'{"a":[1]}')]),
    ("b_multipart_objects", {}, {"m": [{"a": 1}]}, [("m", None, "application/json", b'[{"a":1}]')]),
    ("b_multipart_list", {}, {"m": [1, "b", None]},
     [("m", None, "text/plain", b"1"), ("m", None, "text/plain", b"b")]),
    ("b_multipart_null", {}, {"m": None, "a": ""}, [("a", None, "text/plain", b"")]),
    ("b_multipart_deep", {"m": Encoding(style="deepObject")}, {"m": {"a": {"b": "c d"}}},
     [("m[a][b]", None, "text/plain", b"c d")]),
    ("b_multipart_json", {"m": Encoding(content_type="application/json")}, {"m": "x"},
     [("m", None, "application/json", b'"x"')]),
    ("b_multipart_csv", {"m": Encoding(content_type="text/csv")}, {"m": "a,b\r\n"},
     [("m", None, "text/csv", b"a,b\r\n")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("encodings", "value", "expected"), [pytest.param(*row[1:], id=row[0]) for row in PARTS]
)
async def test_parts_arrive_as_their_encoding_says(
    encodings: Any, value: Any, expected: Any, tmp_path: Path
) -> None:
    spec = members("multipart", MULTIPART, *value, encodings=encodings)
    wire, _ = await sent(spec, value, tmp_path)
    assert received_parts(wire) == expected


def test_a_multipart_body_is_the_same_each_time_and_describes_itself() -> None:
    spec = members("multipart", MULTIPART, "f", "a", encodings={"f": FILE})
    arguments: dict[str, Json] = {"f": {"data": B64, "filename": 'q".png'}, "a": "x"}
    one, two = (frozen(spec, arguments, call_id="call_1") for _ in range(2))
    assert one == two
    boundary = str(one.details()["body_media_type"]).partition("boundary=")[2]
    assert one.body == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="q%22.png"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + PNG + (
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
        f"--{boundary}--\r\n"
    ).encode()  # fmt: skip
    details = one.details()
    assert details["body"] is None
    parts: Any = details["parts"]
    assert [(part["name"], part["filename"], part["bytes"], part["text"]) for part in parts] == [
        ("f", 'q".png', len(PNG), None),
        ("a", None, 1, "x"),
    ]
    assert all(part["sha256"].startswith("sha-256:") for part in parts)


# Collisions and servers


async def test_arguments_that_share_a_name_all_arrive(tmp_path: Path) -> None:
    """x_path_body, x_query_header, x_param_named_body: each place keeps its own value."""
    spec = tool(
        "/p/{id}",
        method="POST",
        parameters=[
            parameter("id_path", "path", name="id"),
            parameter("id_query", "query", name="id"),
            parameter("id_header", "header", name="id"),
            parameter("body", "query"),
        ],
        body=Body(kind="members", members={"id_body": "id", "body_body": "body"}),
    )
    wire, _ = await sent(
        spec,
        {"id_path": "P", "id_query": "Q", "id_header": "H", "id_body": "B", "body": 1,
         "body_body": 2},
        tmp_path,
    )  # fmt: skip
    line, headers = wire.head()
    assert line == "POST /v1/p/P?id=Q&body=1 HTTP/1.1"
    assert ("id", "H") in headers
    assert wire.body() == b'{"id":"B","body":2}'


@pytest.mark.parametrize(
    ("url", "line"),
    [("/v2", "/v2/x"), ("/", "/x"), ("/a/b/", "/a/b/x")],
)
async def test_an_operation_goes_to_its_own_server_path(
    url: str, line: str, tmp_path: Path
) -> None:
    wire, _ = await sent(tool("/x", server=Server(url=url)), {}, tmp_path)
    assert wire.head()[0] == f"GET {line} HTTP/1.1"


@pytest.mark.parametrize("credentials", [True, False])
async def test_an_operation_goes_to_its_own_host_with_credentials_only_where_listed(
    credentials: bool, tmp_path: Path
) -> None:
    """s_opserver: Box uploads go to upload.box.com; the key of api.box.com does not."""
    async with listening(plain(answer())) as upload, listening(plain(answer())) as api:
        to = upstream(
            api.url,
            headers={"Authorization": "Bearer ${env:BANK_TOKEN}"},
            allow_private=(upload.url,),
        )
        server = Server(url=upload.url + "/up", credentials=credentials)
        spec = tool("/x", server=server)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            result = result_of(
                spec, await transports.send(frozen(spec, {}, to=to), to, fresh=False)
            )
    assert api.requests == []
    line, headers = upload.head()
    assert line == "GET /up/x HTTP/1.1"
    assert ("Host", f"127.0.0.1:{upload.port}") in headers
    assert ("Authorization" in dict(headers)) is credentials
    assert not result.is_error


async def test_an_operation_without_a_body_sends_none(tmp_path: Path) -> None:
    wire, _ = await sent(tool("/x", method="DELETE"), {}, tmp_path)
    assert wire.body() == b""
    assert "Content-Length" not in dict(wire.head()[1])
    assert "Content-Type" not in dict(wire.head()[1])


@pytest.mark.parametrize(
    ("accept", "header"),
    [
        ((), "application/json, */*;q=0.1"),
        (("application/json", "text/csv"), "application/json, */*;q=0.1"),
        (("application/pdf",), "application/pdf, */*;q=0.1"),
        (("text/csv", "application/xml"), "text/csv, application/xml;q=0.9, */*;q=0.1"),
        (("text/x\r\nX: y",), "application/json, */*;q=0.1"),
    ],
)
async def test_the_answer_is_asked_for_as_documented(
    accept: tuple[str, ...], header: str, tmp_path: Path
) -> None:
    wire, _ = await sent(tool("/x", accept=accept), {}, tmp_path)
    assert dict(wire.head()[1])["Accept"] == header


# What never leaves

FILES = members("multipart", MULTIPART, "f", encodings={"f": FILE})
IMAGES = members(
    "multipart", MULTIPART, "f", encodings={"f": Encoding(is_file=True, content_type="image/*")}
)
REFUSED: list[tuple[str, ToolSpec, Any]] = [
    ("p_dotdot", path(), ".."),
    ("p_dot", path(), "."),
    ("p_encoded", path(), "%2e%2e"),
    ("p_twice_encoded", path(), "%252e%252e"),
    ("p_backslash", path(), "..\\"),
    ("p_fullwidth", path(), "\uff0e\uff0e"),
    ("p_slash", path(), "a/b"),
    ("p_traverse", path(), "../admin"),
    ("p_semicolon", path(), "a;b=c"),
    ("p_question", path(), "a?admin=1"),
    ("p_fragment", path(), "a#b"),
    ("p_empty", path(), ""),
    ("p_null", path(), None),
    ("p_crlf", path(), "a\r\nX: y"),
    ("p_nul", path(), "a\x00"),
    ("p_in_list", path(), ["a", ".."]),
    ("q_crlf", query(), "a\r\nX: y"),
    ("q_nested_form", query(), {"a": {"b": 1}}),
    ("q_deep_bracket", query(**DEEP), {"a][admin": 1}),
    ("h_crlf", tool("/x", parameters=[parameter("q", "header", name="X-Q")]), "a\r\nX: y"),
    ("h_host", tool("/x", parameters=[parameter("q", "header", name="Host")]), "evil"),
    ("h_authorization", tool("/x", parameters=[parameter("q", "header", name="Authorization")]),
     "Bearer x"),
    ("h_underscored", tool("/x", parameters=[parameter("q", "header", name="X_Forwarded_For")]),
     "1.2.3.4"),
    ("b_octet_text", whole("binary", "image/png"), "not base64!"),
    ("b_octet_object", whole("binary", "image/png"), {"data": "AA=="}),
    ("b_file_text", FILES, "%%%"),
    ("b_file_number", FILES, 1),
    ("b_file_without_data", FILES, {"filename": "x"}),
    ("b_file_unknown_key", FILES, {"data": "", "path": "/etc/passwd"}),
    ("b_file_name_crlf", FILES, {"data": "", "filename": "a\r\nX: y"}),
    ("b_file_name_empty", FILES, {"data": "", "filename": ""}),
    ("b_file_type_crlf", FILES, {"data": "", "content_type": "image/png\r\nX: y"}),
    ("b_file_type_none", FILES, {"data": "", "content_type": "png"}),
    ("b_file_type_other", IMAGES, {"data": "", "content_type": "text/html"}),
    ("b_form_deep_bracket", members("form", FORM, "f"), {"a]": 1}),
    ("b_xml_entity", whole("xml", "application/xml"), '<!DOCTYPE x [<!ENTITY e "x">]><x>&e;</x>'),
    ("b_xml_control", whole("xml", "application/xml", xml=PET), {"name": "a\x08"}),
    ("b_xml_key", whole("xml", "application/xml", xml=PET), {"a><b": "x"}),
    ("b_xml_colon", whole("xml", "application/xml", xml=PET), {"xmlns:x": "y"}),
    ("b_xml_list_root", whole("xml", "application/xml", xml=PET), [1]),
    ("b_xml_no_hint", whole("xml", "application/xml"), {"a": 1}),
    ("b_text_object", whole("text", "text/plain"), {"a": 1}),
    ("b_surrogate", whole("json", JSON_TEXT), "\ud800"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "value"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_what_would_leave_its_place_is_never_sent(spec: ToolSpec, value: Any) -> None:
    name = "q" if spec.parameters else "body" if spec.body.kind == "whole" else "f"
    with pytest.raises(RequestError, match=f"^{name}: "):
        frozen(spec, {name: value})
