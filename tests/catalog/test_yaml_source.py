"""The YAML dialect: 1.2 core schema, nothing executed, nothing expanded without end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.catalog.yaml_source import SPEC_LIMITS, Limits, YamlError, locate, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("True", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1e3", 1000.0),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("=", "="),
        ("-", [None]),
    ],
)
@pytest.mark.seed("T13")
def test_a_plain_value_means_what_yaml_1_2_says(text: str, value: Json) -> None:
    assert read(text.encode(), SPEC_LIMITS) == value


def test_keys_are_text_as_written() -> None:
    text = b"200: a\non: b\nnull: c\n1.10: d\n'': e\n"

    assert read(text, SPEC_LIMITS) == {"200": "a", "on": "b", "null": "c", "1.10": "d", "": "e"}


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a: 1\na: 2", "the key 'a' is written twice", 2, 1),
        ("a: .inf", ".inf is not a number that JSON can carry", 1, 4),
        ("a: 1e999", "the number is out of range", 1, 4),
        ("a: " + "9" * 500, "the number has too many digits", 1, 4),
        ("? [a]\n: b", "a key must be plain text", 1, 3),
        ("&a k: v", "a key may not carry an anchor", 1, 1),
        ("a: !!set {b}", "the tag 'tag:yaml.org,2002:set' is not allowed", 1, 4),
        ("a: !custom b", "the tag '!custom' is not allowed", 1, 4),
    ],
)
def test_what_json_cannot_hold_is_refused(text: str, message: str, line: int, column: int) -> None:
    with pytest.raises(YamlError) as caught:
        read(text.encode(), SPEC_LIMITS)

    assert (caught.value.message, caught.value.line, caught.value.column) == (message, line, column)


def test_merge_keys_are_applied_in_specs_and_never_override() -> None:
    text = b"base: &b {a: 1, c: 2}\nmine: {<<: *b, a: 3}\n"

    assert read(text, SPEC_LIMITS) == {"base": {"a": 1, "c": 2}, "mine": {"a": 3, "c": 2}}


@pytest.mark.seed("T63")
def test_an_alias_bomb_is_stopped_by_its_expanded_size() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    with pytest.raises(YamlError, match="aliases expand to more than 100000 values"):
        locate("\n".join(lines).encode(), Limits())


@pytest.mark.seed("T63")
def test_a_merge_key_chain_is_stopped_too() -> None:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]

    with pytest.raises(YamlError, match="aliases"):
        read("\n".join(lines).encode(), Limits(aliases=1_000))


def test_deep_nesting_is_an_error_and_never_a_crash() -> None:
    for text in (b"[" * 100_000, b"{a: " * 100_000, b"- " * 100_000, b"[" * 900):
        with pytest.raises(YamlError):
            read(text, SPEC_LIMITS)


def is_read_or_refused(text: bytes) -> bool:
    """Whether nothing but a located refusal comes out."""
    for reader in (lambda: locate(text, Limits()), lambda: read(text, SPEC_LIMITS)):
        try:
            reader()
        except YamlError as error:
            if error.line < 1 or error.column < 1:
                return False
    return True


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    assert is_read_or_refused(text)


@given(st.text(alphabet="ab:{}[],-?&*!|>'\"%@#\n \t012.~<", max_size=60))
def test_any_yaml_like_text_is_read_or_refused(text: str) -> None:
    assert is_read_or_refused(text.encode())
