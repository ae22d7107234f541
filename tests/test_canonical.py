"""Strict JSON in, one canonical form out."""

import json
import math
from typing import cast

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import (
    MAX_DEPTH,
    Json,
    JsonError,
    canonical_bytes,
    digest,
    parse,
    sha256_hex,
)

SAFE = 2**53 - 1
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


def read_canonical(form: bytes) -> Json:
    """The value whose canonical form is `form`: that one exists shows that no two share a form."""
    return _unfolded(parse(form))


def _unfolded(value: Json) -> Json:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > SAFE:
        return float(value)  # a big integer would stand as `$bigint`
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, member),) = value.items()
            if key == "$bigint" and isinstance(member, str):
                return int(member)
            if key.startswith("$$") and key.lstrip("$") == "bigint":
                return {key[1:]: _unfolded(member)}
        return {key: _unfolded(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_unfolded(member) for member in value]
    return value


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'{"a":1,"a":2}', "duplicate key 'a'"),
        (b'{"a":{"b":1,"b":1}}', "duplicate key 'b'"),
        (b'[{"a":1,"\\u0061":2}]', "duplicate key 'a'"),
        (b"NaN", "NaN is not JSON"),
        (b"[Infinity]", "Infinity is not JSON"),
        (b'{"a":-Infinity}', "-Infinity is not JSON"),
        (b"1e400", "out of range"),
        (b"[-1e400]", "out of range"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\udfff":1}', "lone surrogate"),
        (b'["\\ud800\\ud800"]', "lone surrogate"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xc0\xaf"', "not UTF-8"),
        (b"", "Expecting value"),
        (b" ", "Expecting value"),
        (b"{}x", "Extra data"),
        (b"{} {}", "Extra data"),
        (b"{'a':1}", ""),
        (b'{"a":1,}', ""),
        (b"[1,]", ""),
        (b"01", ""),
        (b"+1", ""),
        (b"1.", ""),
        (b".5", ""),
        (b"0x10", ""),
        (b'"a\nb"', "control character"),
        (b'"\\x41"', "escape"),
        (b"// no\n1", ""),
        (b"nul", ""),
        (b"True", ""),
    ],
)
def test_what_parsers_disagree_on_is_refused(text: bytes, fault: str) -> None:
    with pytest.raises(JsonError) as refused:
        parse(text)
    assert fault in str(refused.value)


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "NaN", '"\\ud800"', '"\ud800"', "1e999"])
def test_text_is_read_as_strictly_as_bytes(text: str) -> None:
    with pytest.raises(JsonError):
        parse(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_only_utf_8_is_json(encoding: str) -> None:
    # RFC 8259 §8.1: no other encoding, and no byte order mark.
    with pytest.raises(JsonError):
        parse('{"a":1}'.encode(encoding))


@pytest.mark.parametrize("open_and_close", [("[", "]"), ('{"a":', "}")])
def test_nesting_is_bounded(open_and_close: tuple[str, str]) -> None:
    before, after = open_and_close
    assert parse(before * (MAX_DEPTH - 1) + "[]" + after * (MAX_DEPTH - 1)) is not None
    for depth in (MAX_DEPTH + 1, 1_000, 200_000):
        with pytest.raises(JsonError, match="nested too deeply"):
            parse(before * depth + "1" + after * depth)


def test_a_huge_integer_is_refused_not_computed() -> None:
    with pytest.raises(JsonError):
        parse("9" * 100_000)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":[1,2.5,"x",null,true]}', {"a": [1, 2.5, "x", None, True]}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b" \t\r\n0 ", 0),
        (b"-0", 0),
        (b"1E2", 100.0),
        (b'""', ""),
        (str(2**70).encode(), 2**70),
    ],
)
def test_json_is_read(text: bytes, value: Json) -> None:
    assert parse(text) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_and_nothing_else(text: bytes) -> None:
    try:
        value = parse(text)
    except JsonError:
        return
    assert parse(canonical_bytes(value)) == json.loads(canonical_bytes(value))


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_every_value_has_the_form_of_the_specification(value: Json) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(cast("dict[str, object]", value))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "text",
    [*map(chr, range(0x21)), '"', "\\", "/", "\x7f", "\x80", "\u2028", "\ufffe", "\U0001f600"],
)
def test_a_text_is_escaped_as_the_specification_says(text: str) -> None:
    assert canonical_bytes(text) == rfc8785.dumps(text)
    assert canonical_bytes({"a": [text]}) == rfc8785.dumps({"a": [text]})


def test_names_are_ordered_by_utf_16_and_not_by_code_point() -> None:
    assert canonical_bytes({"\ufffe": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufffe":1}'.encode()


def test_names_are_ordered_at_every_depth() -> None:
    assert canonical_bytes({"b": {"d": 1, "c": [{"f": 1, "e": 2}]}, "a": None, "B": True}) == (
        b'{"B":true,"a":null,"b":{"c":[{"e":2,"f":1}],"d":1}}'
    )


@pytest.mark.parametrize("value", ["\ud800", {"a": "\udfff"}, {"\ud800": 1}, ["x", ["\udc00"]]])
def test_a_lone_surrogate_has_no_canonical_form(value: Json) -> None:
    with pytest.raises(JsonError):
        canonical_bytes(value)


@given(VALUES)
def test_the_canonical_form_reads_back_to_the_same_value(value: Json) -> None:
    form = canonical_bytes(value)
    assert read_canonical(form) == value
    assert canonical_bytes(read_canonical(form)) == form


@pytest.mark.parametrize(
    "value",
    [
        2**70,
        -(2**70),
        1e17,
        -1.2708099254218826e16,
        [1e300, 2**53, {"a": 2**64}],
        {"$bigint": "1"},
        {"$$bigint": {"$bigint": 2**64}},
        {"$bigint": "x", "other": 1},
        {"$": 1},
        {"$bigints": 2**64},
        True,
    ],
)
def test_big_numbers_and_their_disguises_read_back_as_they_were(value: Json) -> None:
    read = read_canonical(canonical_bytes(value))
    assert (read, type(read)) == (value, type(value))


@given(VALUES, st.randoms())
def test_the_order_of_members_does_not_matter(value: Json, chance: object) -> None:
    del chance
    assert canonical_bytes(_reversed(value)) == canonical_bytes(value)


@given(VALUES, VALUES)
def test_two_values_that_differ_have_two_digests(one: Json, other: Json) -> None:
    assert (digest(one) == digest(other)) == (_exact(one) == _exact(other))


@given(st.integers(), st.integers())
def test_integers_of_any_size_have_a_form_of_their_own(one: int, other: int) -> None:
    assert (canonical_bytes(one) == canonical_bytes(other)) == (one == other)


@pytest.mark.parametrize("number", [SAFE + 1, -SAFE - 1, 2**64, 10**30])
def test_a_big_integer_is_none_of_its_neighbours_or_disguises(number: int) -> None:
    alike: list[Json] = [
        number,
        number + 1,
        str(number),
        float(number),
        {"$bigint": str(number)},
        {"$$bigint": str(number)},
        {"$bigint": number},
        [number],
    ]
    assert len({canonical_bytes(value) for value in alike}) == len(alike)


def test_the_form_is_that_of_rfc_8785() -> None:
    value: Json = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '\u20ac$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    # RFC 8785 §3.2.3, the example.
    assert canonical_bytes(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    # §3.2.3: members are sorted by UTF-16 code units, not by code points.
    assert canonical_bytes({"\U0001f600": 1, "\ufb33": 2}) == '{"\U0001f600":1,"\ufb33":2}'.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "\ud800", {"\ud800": 1}])
def test_what_has_no_canonical_form_is_refused(value: Json) -> None:
    with pytest.raises(JsonError):
        canonical_bytes([value])


def test_a_digest_names_its_algorithm() -> None:
    assert digest({}) == sha256_hex(b"{}")
    assert digest({}) == (
        "sha-256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )


def _reversed(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [_reversed(member) for member in value]
    return value


def _exact(value: Json) -> object:
    """A form under which 1, 1.0 and True differ as JSON does: 1 and 1.0 are one number."""
    if isinstance(value, dict):
        return ("object", frozenset((key, _exact(member)) for key, member in value.items()))
    if isinstance(value, list):
        return ("array", tuple(_exact(member) for member in value))
    if isinstance(value, bool) or value is None:
        return ("literal", value)
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, int) and abs(value) > SAFE:
        return ("big", value)
    return ("number", float(value))
