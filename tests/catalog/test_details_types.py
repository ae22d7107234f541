"""Types of authorization details in the catalogue: what is read, and each mistake at its place."""

from textwrap import dedent

import pytest

from signoff.catalog.loader import Broken, Loaded, parse
from signoff.catalog.model import DetailsType

HEAD = "signoff: 1\nusers: [{id: alice}]\n"
FILES = {
    "payment.json": b'{"type": "object",\n "properties": {"amount": {"type": "integer"}}}',
    "payment.yaml": b"type: object\nproperties:\n  amount: {type: integer}\n",
    "wrong.json": b'{"type": "object",\n "properties": {\n  "amount": {"type": "whole"}}}',
    "twice.json": b'{"type": "object",\n "type": "object"}',
    "broken.json": b'{"type": "object",\n "properties": ]}',
    "list.json": b"[]",
}


def read(name: str) -> tuple[str, bytes]:
    if name not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return f"schemas/{name}", FILES[name]


def load(text: str) -> Loaded | Broken:
    return parse((HEAD + dedent(text)).encode(), file="c.yaml", read_spec=read)


def types(text: str) -> dict[str, DetailsType]:
    loaded = load(text)
    assert isinstance(loaded, Loaded), loaded
    return dict(loaded.catalogue.details_types)


def test_a_type_has_a_schema_and_the_operators_words() -> None:
    found = types("""\
        authorization_details_types:
          payment:
            title: Payment
            description: Moves money out of an account.
            schema: {type: object, properties: {type: {}, amount: {type: integer}}}
    """)
    assert found == {
        "payment": DetailsType(
            name="payment",
            title="Payment",
            description="Moves money out of an account.",
            schema={
                "type": "object",
                "properties": {"type": {}, "amount": {"type": "integer"}},
            },
        )
    }


@pytest.mark.parametrize("file", ["payment.json", "payment.yaml"])
def test_a_schema_may_stand_in_a_file(file: str) -> None:
    found = types(f"authorization_details_types: {{payment: {{schema: {file}}}}}\n")
    assert found["payment"].schema["properties"]["amount"] == {"type": "integer"}  # pyright: ignore — JSON


def test_without_the_key_there_is_no_type() -> None:
    assert types("") == {}


def test_a_type_is_part_of_the_catalogues_digest() -> None:
    one = load("authorization_details_types: {a: {schema: {type: object}}}\n")
    other = load("authorization_details_types: {b: {schema: {type: object}}}\n")
    assert isinstance(one, Loaded)
    assert isinstance(other, Loaded)
    assert one.catalogue.digest != other.catalogue.digest


UNUSABLE = "is not a usable JSON Schema: "
CLOSED = "{type: object, additionalProperties: false, properties: {a: {}}}"
REMOTE = '{type: object, properties: {a: {$ref: "https://evil.example/s"}}}'
LOST = '{type: object, properties: {a: {$ref: "#/$defs/none"}}}'
BACKTRACKING = '{type: object, properties: {a: {pattern: "(?<=x)y"}}}'
WHOLE = "{type: object, properties: {amount: {type: whole}}}"


@pytest.mark.parametrize(
    ("entry", "place", "words"),
    [
        ("tool_call: {schema: {type: object}}", "c.yaml:4:3", ": tool_call is signoff's own type"),
        ('"a b": {schema: {type: object}}', "c.yaml:4:3", ": a type is 1 to 200 printable"),
        ("pay: {title: Payment}", "c.yaml:4:3", ".pay.schema: is needed: a JSON Schema, or the"),
        ("pay: 5", "c.yaml:4:8", ".pay: must be a mapping, not the number 5"),
        ("pay: {shema: {type: object}}", "c.yaml:4:9", 'unknown key, did you mean "schema"?'),
        ("pay: {schema: {type: object}, title: 5}", "c.yaml:4:40", "must be text, not the number"),
        ('pay: {schema: {type: object}, title: "a\\nb"}', "c.yaml:4:40", "one line of at most 80"),
        ("pay: {schema: {type: string}}", "c.yaml:4:17", 'a JSON Schema with "type: object"'),
        (f"pay: {{schema: {WHOLE}}}", "c.yaml:4:54", f'{UNUSABLE}"whole" is not valid'),
        (
            f"pay: {{schema: {BACKTRACKING}}}",
            "c.yaml:4:49",
            f'{UNUSABLE}"(?<=x)y" is not a "regex"',
        ),
        (f"pay: {{schema: {REMOTE}}}", "c.yaml:4:49", UNUSABLE),
        (f"pay: {{schema: {LOST}}}", "c.yaml:4:49", UNUSABLE),
        (f"pay: {{schema: {CLOSED}}}", "c.yaml:4:17", 'nothing fits it: name "type" among its'),
        ("pay: {schema: none.json}", "c.yaml:4:17", '"none.json" cannot be read: No such file'),
        ("pay: {schema: wrong.json}", "schemas/wrong.json:3:14", f'{UNUSABLE}"whole" is not valid'),
        ("pay: {schema: twice.json}", "schemas/twice.json:2:2", 'the key "type" is written twice'),
        ("pay: {schema: broken.json}", "schemas/broken.json:2:16", ".pay.schema: "),
        ("pay: {schema: list.json}", "schemas/list.json:1:1", 'JSON Schema with "type: object"'),
    ],
)
def test_a_mistake_is_named_with_its_file_line_and_column(
    entry: str, place: str, words: str
) -> None:
    broken = load(f"authorization_details_types:\n  {entry}\n")
    assert isinstance(broken, Broken), entry
    found = [str(one) for one in broken.problems]
    assert [
        one
        for one in found
        if one.startswith(f"{place}: authorization_details_types.") and words in one
    ], found


def test_every_mistake_is_named_at_once() -> None:
    broken = load("""\
        authorization_details_types:
          a: {schema: {type: string}}
          b: {schema: none.json}
          c: {title: C}
    """)
    assert isinstance(broken, Broken)
    assert [one.line for one in broken.problems] == [4, 5, 6]
