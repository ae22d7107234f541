"""What real APIs ask for and few specs show: Box, Microsoft Graph, WordPress."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.upstream.request import RequestError
from small_specs import fault, only_tool, properties_of
from upstream_parts import frozen, parameter, tool

TEXT: Json = {"type": "string"}
FILE: Json = {"type": "string", "format": "binary"}
ID: Json = {"name": "q", "in": "path", "required": True, "schema": TEXT}


def uploading(members: dict[str, Json], **more: Json) -> Any:
    schema: Json = {"type": "object", "properties": members, **more}
    content: Json = {"multipart/form-data": {"schema": schema}}
    return only_tool({"requestBody": {"required": True, "content": content}})


def names(spec: Any, arguments: dict[str, Json]) -> list[str]:
    """Return the names of the parts, in the order they are sent and shown."""
    request = frozen(spec, arguments)
    shown = [str(part["name"]) for part in request.parts]
    sent = [
        line.split(b'"')[1].decode() for line in (request.body or b"").split(b"form-data; ")[1:]
    ]
    assert sent == shown
    return sent


# Parts of a form: Box reads what describes a file before the file


def test_parts_go_as_the_spec_lists_them_whatever_order_the_assistant_chose() -> None:
    spec = uploading({"b": TEXT, "a": TEXT, "c": TEXT})

    assert names(spec, {"c": "1", "a": "2", "b": "3"}) == ["b", "a", "c"]
    assert names(spec, {"a": "2", "b": "3"}) == ["b", "a"]


def test_a_file_follows_what_describes_it() -> None:
    spec = uploading({"attributes": {"type": "object"}, "files": {"type": "array", "items": FILE}})

    both: dict[str, Json] = {"files": ["eA==", "eA=="], "attributes": {"name": "a"}}
    assert names(spec, both) == ["attributes", "files", "files"]


def test_a_member_that_goes_by_an_alias_keeps_its_place() -> None:
    spec = uploading({"x-amz[1]": TEXT, "file": FILE, "$a": TEXT})
    [first, _, last] = properties_of(spec)

    assert names(spec, {last: "1", "file": "eA==", first: "2"}) == ["x-amz[1]", "file", "$a"]


def test_what_the_spec_does_not_list_comes_last() -> None:
    spec = uploading({"key": TEXT, "file": FILE}, additionalProperties=TEXT)

    found = names(spec, {"z": "1", "file": "eA==", "key": "2", "y": "3"})
    assert found == ["key", "file", "z", "y"]


def test_a_body_that_is_one_argument_keeps_its_order() -> None:
    branches: Json = [{"type": "object", "properties": {"file": FILE, "b": TEXT, "a": TEXT}}]
    content: Json = {"multipart/form-data": {"schema": {"anyOf": branches}}}
    spec = only_tool({"requestBody": {"required": True, "content": content}})

    body: Json = {"file": "eA==", "b": "1", "a": "2"}
    assert names(spec, {"body": body}) == ["file", "b", "a"]


# Files that only additionalProperties describes, and bodies that are nothing but files


def files(schema: Json, version: str = "3.0.3") -> Any:
    content: Json = {"multipart/form-data": {"schema": schema}}
    body: Json = {"required": True, "content": content}
    return only_tool({"requestBody": body}, version=version)


PICTURES: Json = {"type": "array", "items": FILE}


def test_a_file_under_any_name_goes_as_its_bytes() -> None:
    rows: list[tuple[Json, Json, int]] = [(FILE, "AAEC", 1), (PICTURES, ["AAEC", "AAEC"], 2)]
    for rest, value, count in rows:
        body = frozen(
            files({"type": "object", "additionalProperties": rest}), {"body": {"x": value}}
        ).body
        assert (body or b"").count(b"\r\n\r\n\0\1\2\r\n") == count
        assert (body or b"").count(b'name="x"; filename="x"') == count


def test_a_text_beside_such_files_stays_a_text() -> None:
    members: Json = {"note": TEXT, "meta": {"type": "object"}}
    spec = files({"type": "object", "properties": members, "additionalProperties": FILE})

    body = frozen(spec, {"note": "AAEC", "meta": {}, "x": "AAEC"}).body or b""

    assert b'name="note"\r\n\r\nAAEC\r\n' in body
    assert b'name="meta"\r\nContent-Type: application/json\r\n\r\n{}\r\n' in body
    assert b"\r\n\r\n\0\1\2\r\n" in body
    with pytest.raises(RequestError, match="the file's data is not base64"):
        frozen(spec, {"note": "AAEC", "x": "plain text!"})


@pytest.mark.parametrize("rest", [True, {}, TEXT, {"type": "object"}])
@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_what_may_be_anything_is_no_file(rest: Json, version: str) -> None:
    spec = files({"properties": {"a": TEXT}, "additionalProperties": rest}, version)

    assert b'name="x"\r\n\r\nAAEC\r\n' in (frozen(spec, {"a": "1", "x": "AAEC"}).body or b"")


def test_a_body_that_is_several_files_is_one_argument() -> None:
    spec = files(PICTURES)

    body = frozen(spec, {"file": ["AAEC", {"data": "AAEC", "filename": "b.png"}]}).body or b""
    assert body.count(b'name="file"; filename="file"') == 1
    assert body.count(b'name="file"; filename="b.png"') == 1


@pytest.mark.parametrize("items", [TEXT, {}, {"type": "object"}, {"type": "array", "items": TEXT}])
def test_a_list_of_anything_else_has_no_name_for_its_parts(items: Json) -> None:
    content: Json = {"multipart/form-data": {"schema": {"type": "array", "items": items}}}
    reason = fault({"requestBody": {"required": True, "content": content}})

    assert reason == "its multipart body is not an object"


# Headers that describe a body: Box's upload sessions, WordPress's media


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-range", "bytes 0-1/2"),
        ("Content-MD5", "Q2hlY2sgSW50ZWdyaXR5IQ=="),
        ("Content-Disposition", 'attachment; filename="a.png"'),
        ("Content-Language", "de"),
        ("Content-Digest", "sha-256=:eA==:"),
    ],
)
def test_a_header_that_describes_the_body_is_an_argument(name: str, value: str) -> None:
    spec = only_tool({
        "parameters": [{"name": name, "in": "header", "required": True, "schema": TEXT}],
        "requestBody": {"content": {"application/octet-stream": {"schema": FILE}}},
    })

    request = frozen(spec, {name: value, "body": "eA=="})

    assert [one.value for one in request.headers if one.name == name] == [value]
    assert request.body == b"x"


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length", "Content-Type", "Content-Encoding", "content_type", "Content-Encoding ",
        "Content-Transfer-Encoding", "Content-Location", "Content-Security-Policy", "Content-",
    ],
)  # fmt: skip
def test_a_header_that_says_how_a_body_is_read_is_none(name: str) -> None:
    spec = only_tool({"parameters": [{"name": name, "in": "header", "schema": TEXT}]})
    if name.strip() == name:
        assert properties_of(spec) == {}

    with pytest.raises(RequestError, match=r"^h: "):
        frozen(tool("/x", parameters=[parameter("h", "header", name=name)]), {"h": "x"})


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0", "ä", " a"])
def test_such_a_header_holds_no_more_than_any_other(value: str) -> None:
    spec = only_tool({"parameters": [{"name": "Content-Range", "in": "header", "schema": TEXT}]})

    with pytest.raises(RequestError, match=r"^Content-Range: "):
        frozen(spec, {"Content-Range": value})


# Texts in quotes: Microsoft Graph and every other OData


def search(path: str) -> Any:
    return only_tool({"parameters": [ID]}, path=path, method="get")


@pytest.mark.parametrize(
    ("path", "value", "sent"),
    [
        ("/search(q='{q}')", "Bob's file", "/search(q='Bob%27%27s%20file')"),
        ("/search(q='{q}')", "') or ('a", "/search(q='%27%27)%20or%20(%27%27a')"),
        ("/docs('{q}')", "''", "/docs('%27%27%27%27')"),
        ("/docs('{q}')/x", "a%27b", "/docs('a%2527b')/x"),
        ("/docs('{q}')", "plain", "/docs('plain')"),
        ("/docs({q})", "it's", "/docs(it%27s)"),
        ("/docs/{q}", "it's", "/docs/it%27s"),
        ("/docs('{q}", "it's", "/docs('it%27s"),
        ("/docs/{q}'s", "it's", "/docs/it%27s's"),
    ],
)
def test_a_quote_never_ends_the_text_it_stands_in(path: str, value: str, sent: str) -> None:
    url = frozen(search(path), {"q": value}).url.replace("%28", "(").replace("%29", ")")

    assert url.removeprefix("https://bank.example/api") == sent


@given(st.text(st.characters(codec="ascii", exclude_characters="/\\;?#\0"), min_size=1))
def test_a_quoted_text_has_as_many_quotes_twice(value: str) -> None:
    try:
        url = frozen(search("/docs('{q}')"), {"q": value}).url
    except RequestError:
        return
    inside = url.removeprefix("https://bank.example/api/docs('").removesuffix("')")
    assert "'" not in inside
    assert inside.count("%27") == 2 * value.count("'")
    assert inside.replace("%27%27", "").count("%27") == 0
