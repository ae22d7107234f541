"""Bodies by themselves: what is written can be read back, and what is masked stays masked."""

import base64
import json
import re
import xml.etree.ElementTree as ET
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json, sha256_hex
from signoff.catalog.wire import Body, BodyFormat, Encoding, XmlHint
from signoff.upstream.multipart import Part, decoded_base64, free_boundary, parts_of, written
from signoff.upstream.serialise import UnserialisableError, form_body
from signoff.upstream.xml_body import document
from upstream_parts import frozen, tool

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
KEY = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="[]"), min_size=1)

# Forms


def _tree(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Read `a[b][0]=c` pairs as Rails, PHP and Stripe do."""
    root: dict[str, Any] = {}
    for name, text in pairs:
        first, *rest = re.split(r"\[|\]\[|\]$", name)
        steps = [first, *(rest[:-1] if name.endswith("]") else [])]
        node = root
        for step in steps[:-1]:
            node = node.setdefault(step, {})
        if steps[-1] == "":
            node.setdefault("", []).append(text)
        else:
            node[steps[-1]] = text
    return root


def _expected(value: Json) -> Any:
    """Return what such a reader makes of a value whose lists are numbered."""
    if isinstance(value, dict):
        return {key: _expected(member) for key, member in value.items()}
    if isinstance(value, list):
        return {str(position): _expected(member) for position, member in enumerate(value)}
    return value


NESTED: st.SearchStrategy[Any] = st.recursive(
    TEXT,
    lambda inner: st.one_of(
        st.dictionaries(KEY, inner, min_size=1, max_size=3),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


@given(st.dictionaries(KEY, NESTED, min_size=1, max_size=3))
def test_a_nested_form_reads_back_as_what_was_given(value: dict[str, Any]) -> None:
    indexed = {key: Encoding(indexed=True) for key in value}
    body = form_body(value, indexed)
    assert body.isascii()
    assert _tree(parse_qsl(body, keep_blank_values=True, strict_parsing=True)) == _expected(value)


@given(st.dictionaries(KEY, st.lists(TEXT, max_size=3), max_size=4))
def test_a_flat_form_keeps_every_pair(value: dict[str, list[str]]) -> None:
    pairs = [(key, text) for key, texts in value.items() for text in texts]
    members: dict[str, Json] = {key: list[Json](texts) for key, texts in value.items()}
    assert parse_qsl(form_body(members, {}), keep_blank_values=True) == pairs


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        ({"a": {"b": 1}}, Encoding(style="form", explode=False)),
        ({"a": [[1]]}, Encoding(style="form")),
        ({"a]": 1}, Encoding(style="deepObject")),
        ({"": 1}, Encoding(style="deepObject")),
        ({"a": "\ud800"}, Encoding(style="deepObject")),
        (float("nan"), Encoding()),
        ({"a": 1}, Encoding(content_type="text/plain")),
    ],
)
def test_a_value_that_a_form_cannot_hold_is_refused(value: Any, encoding: Encoding) -> None:
    with pytest.raises(UnserialisableError):
        form_body({"k": value}, {"k": encoding})


def test_a_form_nested_without_end_is_refused() -> None:
    value: Json = "x"
    for _ in range(40):
        value = {"a": value}
    with pytest.raises(UnserialisableError, match="deeply"):
        form_body({"k": value}, {})


# Multipart


def _read(content: bytes, boundary: str) -> list[tuple[str, bytes]]:
    head = f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + content)
    found: list[tuple[str, bytes]] = []
    for part in message.iter_parts():
        assert isinstance(part, EmailMessage)
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found.append((str(part.get_param("name", header="content-disposition")), payload))
    return found


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z0-9_\[\]-]{1,10}", fullmatch=True),
            st.binary(max_size=60) | st.sampled_from([b"\r\n--B--\r\n", b"--B", b"\r\n--B\r\n"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_parts_read_back_as_what_was_given(given_parts: list[tuple[str, bytes]]) -> None:
    parts = [
        Part(name=name, content=content, media_type="application/octet-stream", filename="f")
        for name, content in given_parts
    ]
    boundary = free_boundary(parts, (f"B{'x' * count}" for count in range(10)))
    content = written(parts, boundary)
    assert _read(content, boundary) == given_parts


@pytest.mark.parametrize("name", ['a"b', 'x"; filename="evil', "a\r\nX: y", 'a"\r\n\r\nbody'])
def test_a_name_never_ends_its_own_header(name: str) -> None:
    content = written(parts_of(name, "v", None), "B")
    head, _, rest = content.partition(b"\r\n\r\n")
    assert head.count(b"\r\n") == 1
    assert head.count(b'"') == 2
    assert rest == b"v\r\n--B--\r\n"


@given(st.binary(max_size=50))
def test_base64_is_read_in_either_alphabet_with_or_without_its_end(content: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(content).decode()
        assert decoded_base64(text) == content
        assert decoded_base64(text.rstrip("=")) == content
    assert decoded_base64(base64.encodebytes(content).decode()) == content


@pytest.mark.parametrize("text", ["a", "ab!d", "äöü=", "YQ==YQ==", 1, None, ["YQ=="], {"data": ""}])
def test_what_is_no_base64_is_refused(text: Json) -> None:
    with pytest.raises(UnserialisableError):
        decoded_base64(text)


# XML

XML_TEXT = st.text(
    st.characters(
        exclude_categories=("Cs", "Cc"),
        exclude_characters="\ufffe\uffff",
        include_characters="\t\n\r",
    ),
    max_size=30,
)


@given(XML_TEXT, XML_TEXT)
def test_xml_reads_back_as_what_was_given(text: str, quoted: str) -> None:
    hint = XmlHint(
        name="r", members={"q": XmlHint(name="q", attribute=True), "t": XmlHint(name="t")}
    )
    root = ET.fromstring(document({"q": quoted, "t": text}, hint))  # noqa: S314 — our own text
    assert root.attrib == {"q": quoted}
    assert [child.text or "" for child in root] == [text]


def test_xml_follows_its_hints() -> None:
    hint = XmlHint(
        name="Order",
        namespace="urn:o?a=1&b",
        prefix="o",
        members={
            "lang": XmlHint(name="lang", attribute=True, namespace="urn:x", prefix="x"),
            "size": XmlHint(name="size", attribute=True, namespace="urn:x", prefix="x"),
            "text": XmlHint(name="text", text=True),
            "lines": XmlHint(name="ignored", items=XmlHint(name="Line")),
            "tags": XmlHint(name="Tags", wrapped=True),
        },
    )
    value: Json = {
        "lang": "de",
        "size": 2**60,
        "text": "t<",
        "lines": [{"id": 1}, None, "two"],
        "tags": [True, 1.5],
        "gone": None,
        "empty": {},
    }
    assert document(value, hint) == (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<o:Order xmlns:o="urn:o?a=1&amp;b" xmlns:x="urn:x" x:lang="de" '
        'x:size="1152921504606846976">t&lt;<Line><id>1</id></Line><Line>two</Line>'
        "<Tags><Tags>true</Tags><Tags>1.5</Tags></Tags><empty/></o:Order>"
    )


@pytest.mark.parametrize(
    "value",
    [
        {"a": "\x00"},
        {"a": "\x1b"},
        {"a": "\ufffe"},
        {"a": "\ud800"},
        {"a b": 1},
        {"1a": 1},
        {"": 1},
        {"a:b": 1},
        {"a/": 1},
        {"q": {"x": 1}},
        {"q": [1]},
        [1],
    ],
)
def test_what_has_no_form_in_xml_is_refused(value: Json) -> None:
    hint = XmlHint(name="r", members={"q": XmlHint(name="q", attribute=True)})
    with pytest.raises(UnserialisableError):
        document(value, hint)


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE x>", "<!doctype x>", '<x><!ENTITY e SYSTEM "file:///etc/passwd"></x>']
)
def test_xml_given_as_text_declares_nothing(text: str) -> None:
    with pytest.raises(UnserialisableError, match="document type"):
        document(text, None)


# Masked values


FORMATS: list[tuple[BodyFormat, str]] = [
    ("json", "application/json"),
    ("form", "application/x-www-form-urlencoded"),
    ("xml", "application/xml"),
    ("multipart", "multipart/form-data"),
]


@pytest.mark.parametrize(("how", "content_type"), FORMATS)
def test_a_masked_member_is_sent_and_never_shown(how: BodyFormat, content_type: str) -> None:
    body = Body(
        kind="members",
        format=how,
        content_type=content_type,
        members={"pin": "pin", "card": "card", "note": "note"},
        secrets=frozenset({("pin",), ("card", "number")}),
        xml=XmlHint(name="r"),
    )
    arguments: dict[str, Json] = {
        "pin": "9137",
        "card": {"number": "4242424242424242", "name": "Alice"},
        "note": "hello",
    }
    request = frozen(tool("/x", method="POST", body=body), arguments, call_id="call_1")
    shown = json.dumps(request.details(), ensure_ascii=False)
    for secret in ("9137", "4242424242424242"):
        assert secret.encode() in (request.body or b"")
        assert secret not in shown
        assert sha256_hex(secret.encode()) not in shown
    assert '"sha-256:' not in shown
    assert "hello" in shown
    assert "Alice" in shown


@pytest.mark.parametrize(("how", "content_type"), [*FORMATS, ("text", "text/plain")])
def test_a_body_that_is_masked_altogether_is_never_shown(
    how: BodyFormat, content_type: str
) -> None:
    body = Body(
        kind="whole", format=how, content_type=content_type, secrets=frozenset({()}),
        xml=XmlHint(name="r"),
    )  # fmt: skip
    spec = tool("/x", method="POST", body=body, secret_arguments=frozenset({"body"}))
    value: Json = "SECRETPIN" if how == "text" else {"pin": "SECRETPIN"}
    request = frozen(spec, {"body": value}, call_id="call_1")
    assert b"SECRETPIN" in (request.body or b"")
    assert "SECRETPIN" not in json.dumps(request.details())


def test_a_masked_file_is_described_without_a_hash_that_can_be_guessed() -> None:
    body = Body(
        kind="members",
        format="multipart",
        content_type="multipart/form-data",
        members={"f": "f"},
        secrets=frozenset({("f",)}),
        encodings={"f": Encoding(is_file=True)},
    )
    spec = tool("/x", method="POST", body=body)
    details = frozen(spec, {"f": "OTEzNw=="}, call_id="call_1").details()
    parts: Any = details["parts"]
    assert parts[0]["text"] == "•••• (8 characters)"
    assert parts[0]["sha256"].startswith("hmac-sha-256:")
    assert sha256_hex(b"9137") not in json.dumps(details)


def test_a_boundary_tells_nothing_of_what_is_masked() -> None:
    body = Body(
        kind="members", format="multipart", content_type="multipart/form-data",
        members={"pin": "pin"}, secrets=frozenset({("pin",)}),
    )  # fmt: skip
    spec = tool("/x", method="POST", body=body)
    types = {
        str(frozen(spec, {"pin": pin}, call_id="call_1").details()["body_media_type"])
        for pin in ("1111", "2222")
    }
    assert len(types) == 1


def test_a_large_part_is_described_and_small_ones_stand_inline() -> None:
    body = Body(
        kind="members", format="multipart", content_type="multipart/form-data",
        members={"a": "a", "b": "b", "c": "c"},
    )  # fmt: skip
    spec = tool("/x", method="POST", body=body)
    details = frozen(spec, {"a": "x" * 60_000, "b": "y" * 6_000, "c": "z"}).details()
    parts: Any = details["parts"]
    assert [part["text"] and len(part["text"]) for part in parts] == [60_000, None, 1]
    assert parts[1]["bytes"] == 6_000
    assert parts[1]["sha256"] == sha256_hex(b"y" * 6_000)
