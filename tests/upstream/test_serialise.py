"""Styles, the one encoder, and values that try to leave their place."""

from typing import Any, cast
from urllib.parse import unquote

import pytest

from signoff.canonical import Json
from signoff.catalog.wire import Place, Style
from signoff.upstream.path_values import check_segments, path_text
from signoff.upstream.serialise import (
    UnserialisableError,
    cookie_pairs,
    form_body,
    header_text,
    joined,
    query_pairs,
    scalar,
)
from upstream_parts import parameter, shaped

LIST: Json = ["blue", "black", "brown"]
OBJECT: Json = {"R": 100, "G": 200}


@pytest.mark.parametrize(
    ("style", "explode", "value", "expected"),
    [
        ("simple", False, "blue", "blue"),
        ("simple", False, LIST, "blue,black,brown"),
        ("simple", True, LIST, "blue,black,brown"),
        ("simple", False, OBJECT, "R,100,G,200"),
        ("simple", True, OBJECT, "R=100,G=200"),
        ("label", False, "blue", ".blue"),
        ("label", False, LIST, ".blue,black,brown"),
        ("label", True, LIST, ".blue.black.brown"),
        ("label", False, OBJECT, ".R,100,G,200"),
        ("label", True, OBJECT, ".R=100.G=200"),
        ("matrix", False, "blue", ";color=blue"),
        ("matrix", False, LIST, ";color=blue,black,brown"),
        ("matrix", True, LIST, ";color=blue;color=black;color=brown"),
        ("matrix", False, OBJECT, ";color=R,100,G,200"),
        ("matrix", True, OBJECT, ";R=100;G=200"),
    ],
)
def test_a_path_value_follows_its_style(
    style: Style, explode: bool, value: Json, expected: str
) -> None:
    assert path_text(shaped("path", style, explode=explode), value) == expected


@pytest.mark.parametrize(
    ("style", "explode", "value", "expected"),
    [
        ("form", True, "blue", "color=blue"),
        ("form", False, LIST, "color=blue,black,brown"),
        ("form", True, LIST, "color=blue&color=black&color=brown"),
        ("form", False, OBJECT, "color=R,100,G,200"),
        ("form", True, OBJECT, "R=100&G=200"),
        ("spaceDelimited", False, LIST, "color=blue%20black%20brown"),
        ("spaceDelimited", False, OBJECT, "color=R%20100%20G%20200"),
        ("spaceDelimited", True, LIST, "color=blue&color=black&color=brown"),
        ("pipeDelimited", False, LIST, "color=blue%7Cblack%7Cbrown"),
        ("pipeDelimited", False, OBJECT, "color=R%7C100%7CG%7C200"),
        ("deepObject", True, OBJECT, "color%5BR%5D=100&color%5BG%5D=200"),
        ("deepObject", True, {"a": {"b": {"c": 1}}}, "color%5Ba%5D%5Bb%5D%5Bc%5D=1"),
        ("deepObject", True, {"a": ["x", "y"]}, "color%5Ba%5D%5B%5D=x&color%5Ba%5D%5B%5D=y"),
        (
            "deepObject",
            True,
            {"a": [{"k": 1}, {"k": 2}]},
            "color%5Ba%5D%5B0%5D%5Bk%5D=1&color%5Ba%5D%5B1%5D%5Bk%5D=2",
        ),
        ("deepObject", True, {"a": None, "b": True}, "color%5Bb%5D=true"),
        ("form", True, [], ""),
        ("form", False, [], ""),
        ("form", True, "", "color="),
        ("form", True, [None, "x", None], "color=x"),
    ],
)
def test_a_query_value_follows_its_style(
    style: Style, explode: bool, value: Json, expected: str
) -> None:
    assert joined(query_pairs(shaped("query", style, explode=explode), value)) == expected


@pytest.mark.parametrize(
    ("explode", "value", "expected"),
    [
        (False, "blue", "blue"),
        (False, LIST, "blue,black,brown"),
        (True, LIST, "blue,black,brown"),
        (False, OBJECT, "R,100,G,200"),
        (True, OBJECT, "R=100,G=200"),
        (False, [], None),
        (True, {}, None),
    ],
)
def test_a_header_value_follows_style_simple(
    explode: bool, value: Json, expected: str | None
) -> None:
    assert header_text(shaped("header", "simple", explode=explode), value) == expected


@pytest.mark.parametrize(
    ("explode", "value", "expected"),
    [
        (True, "blue", "color=blue"),
        (False, LIST, "color=blue,black,brown"),
        (True, LIST, "color=blue; color=black; color=brown"),
        (False, OBJECT, "color=R,100,G,200"),
        (True, OBJECT, "R=100; G=200"),
        (True, "a; admin=1", "color=a%3B%20admin%3D1"),
    ],
)
def test_a_cookie_value_follows_style_form(explode: bool, value: Json, expected: str) -> None:
    pairs = cookie_pairs(shaped("cookie", "form", explode=explode), value)
    assert joined(pairs, "; ") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (2**63, "9223372036854775808"),
        (-(10**40), "-1" + "0" * 40),
        (1.5, "1.5"),
        (1e22, "1e+22"),
        ("", ""),
        ("null", "null"),
    ],
)
def test_a_scalar_is_written_exactly(value: Json, expected: str) -> None:
    assert scalar(value) == expected


@pytest.mark.parametrize("value", [None, [], {}, float("inf"), float("nan")])
def test_what_is_no_scalar_is_refused(value: Json) -> None:
    with pytest.raises(UnserialisableError):
        scalar(value)


def test_a_content_parameter_is_one_json_value() -> None:
    query = parameter("filter", "query", content_type="application/json")
    assert query_pairs(query, {"a": [1, None, "&x=1"]}) == [
        ("filter", "%7B%22a%22%3A%5B1%2Cnull%2C%22%26x%3D1%22%5D%7D")
    ]
    header = parameter("filter", "header", content_type="application/json")
    assert header_text(header, {"a": "plain"}) == '{"a":"plain"}'
    cookie = parameter("filter", "cookie", content_type="application/json")
    assert cookie_pairs(cookie, {"a": 1}) == [("filter", "%7B%22a%22%3A1%7D")]


def test_reserved_characters_stay_where_the_parameter_allows_them_but_never_split() -> None:
    allowed = parameter("q", "query", allow_reserved=True)
    assert query_pairs(allowed, "a/b?c=d&e=f#g+h;i[j]%20") == [
        ("q", "a/b?c=d%26e=f%23g%2Bh%3Bi%5Bj%5D%2520")
    ]


@pytest.mark.parametrize("text", ["a&admin=1", "a=b", "a#b", "a+b", "a;b=c", "%26", "ä€😀", "a b"])
def test_a_query_value_stays_one_value(text: str) -> None:
    [(name, value)] = query_pairs(parameter("q", "query"), text)
    assert name == "q"
    assert not set(value) & set("&=#+; ")
    assert unquote(value, errors="strict") == text


@pytest.mark.parametrize(
    "value",
    [["a", ["b"]], {"a": {"b": 1}}, [{"a": 1}]],
)
@pytest.mark.parametrize("place", ["query", "cookie", "header", "path"])
def test_nesting_is_refused_where_no_style_defines_it(place: Place, value: Json) -> None:
    serialise: Any = {
        "query": query_pairs,
        "cookie": cookie_pairs,
        "header": header_text,
        "path": path_text,
    }[place]
    with pytest.raises(UnserialisableError):
        serialise(parameter("x", place), value)


@pytest.mark.parametrize("key", ["a][b", "[", "]", ""])
def test_a_deep_key_with_brackets_is_refused(key: str) -> None:
    with pytest.raises(UnserialisableError):
        query_pairs(shaped("query", "deepObject", explode=True), {key: 1})


@pytest.mark.parametrize("value", [["a,b"], {"k": "a,b"}, {"a,b": "v"}])
def test_a_comma_inside_a_header_list_is_refused(value: Json) -> None:
    with pytest.raises(UnserialisableError):
        header_text(shaped("header", "simple", explode=False), value)


@pytest.mark.parametrize("text", ["a\r\nb", "a\nb", "a\rb", "a\x00b", "\ud800"])
@pytest.mark.parametrize("place", ["query", "cookie", "path"])
def test_line_breaks_nul_and_surrogates_are_refused(place: Place, text: str) -> None:
    serialise: Any = {"query": query_pairs, "cookie": cookie_pairs, "path": path_text}[place]
    with pytest.raises(UnserialisableError):
        serialise(parameter("x", place), text)


# T52: what a path value may try. Each must be refused, in every style and inside lists.
PATH_ATTACKS = [
    ".",
    "..",
    "%2e",
    "%2E%2e",
    ".%2e",
    "%252e%252e",
    "%25252e%25252e",
    "%u002e%u002e",
    "../",
    "..\\",
    "..%2f",
    "..%5c",
    "..%252fadmin",
    "%2e%2e%2fadmin",
    "a/b",
    "/",
    "//evil.example",
    "a\\b",
    "a%2Fb",
    "a%5Cb",
    "a%255cb",
    "a;b",
    "a%3bb",
    "..;",
    "..;/",
    "a?b",
    "a%3fadmin=1",
    "a#b",
    "a%23b",
    "a\x00b",
    "a%00b",
    "a\r\nX: 1",
    "a%0d%0ab",
    "a\tb",
    "a\x7fb",
    "a\x85b",
    "",
    "%c0%ae%c0%ae",
    "%ff",
    "\uff0e\uff0e",
    "\u2025",
    "\u2024",
    "https://evil.example/",
    "%" + "25" * 12 + "2e",
    "\ud800",
]


@pytest.mark.parametrize("attack", PATH_ATTACKS, ids=repr)
@pytest.mark.parametrize("style", ["simple", "label", "matrix"])
def test_a_path_value_that_could_name_another_resource_is_refused(
    style: Style, attack: str
) -> None:
    for value in (attack, [attack], ["a", attack], {"k": attack}, {attack: "v"}):
        for explode in (True, False):
            with pytest.raises(UnserialisableError):
                path_text(shaped("path", style, explode=explode), cast("Json", value))


@pytest.mark.parametrize("value", [[], {}, [None], None])
def test_an_empty_path_value_is_refused(value: Json) -> None:
    with pytest.raises(UnserialisableError):
        path_text(parameter("id", "path"), value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a b", "a%20b"),
        ("100%", "100%25"),
        ("50%25", "50%2525"),
        ("a.b", "a.b"),
        ("...", "..."),
        ("a@b:c", "a%40b%3Ac"),
        ("a+b&c=d", "a%2Bb%26c%3Dd"),
        ("naïve😀", "na%C3%AFve%F0%9F%98%80"),
        ("~-_", "~-_"),
        (7, "7"),
        (True, "true"),
    ],
)
def test_a_harmless_path_value_is_encoded(value: Json, expected: str) -> None:
    assert path_text(parameter("id", "path"), value) == expected


def test_allow_reserved_lets_question_marks_through_encoded_but_no_separator() -> None:
    allowed = parameter("id", "path", allow_reserved=True)
    assert path_text(allowed, "a?b#c;d") == "a%3Fb%23c%3Bd"
    for attack in ("a/b", "a\\b", "..", "%2e%2e", "a%2fb"):
        with pytest.raises(UnserialisableError):
            path_text(allowed, attack)


@pytest.mark.parametrize("path", ["/a/../b", "/a/%2e%2e/b", "/a/./b", "/a%2fb", "/a%5cb", "/a%00"])
def test_a_whole_path_with_a_hidden_step_is_refused(path: str) -> None:
    with pytest.raises(UnserialisableError):
        check_segments(path)


def test_a_form_body_keeps_each_pair_and_may_span_lines() -> None:
    assert form_body({"a": "x&y=1", "b": [1, 2], "c": None, "d": "l1\r\nl2"}, {}) == (
        "a=x%26y%3D1&b=1&b=2&d=l1%0D%0Al2"
    )
