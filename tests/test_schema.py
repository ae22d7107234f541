"""JSON Schema: nothing is fetched, nothing takes exponential time, violations are worded."""

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from signoff.canonical import Json
from signoff.schema import SchemaError, Validator, Violation


class Listener(http.server.ThreadingHTTPServer):
    """A server that answers every GET with a schema, and counts."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listener.hits.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("place", ["$ref", "$dynamicRef"])
def test_a_remote_reference_is_refused_and_never_fetched(listener: Listener, place: str) -> None:
    with pytest.raises(SchemaError):
        Validator({"properties": {"a": {place: f"{listener.url}/s.json"}}})
    assert listener.hits == []


def test_a_dialect_from_elsewhere_is_not_fetched_and_loosens_nothing(listener: Listener) -> None:
    validator = Validator({"$schema": f"{listener.url}/dialect.json", "type": "integer"})
    assert len(validator.violations("x")) == 1
    assert listener.hits == []


def test_a_remote_base_does_not_make_a_reference_fetch(listener: Listener) -> None:
    with pytest.raises(SchemaError):
        Validator({"$id": f"{listener.url}/root.json", "properties": {"a": {"$ref": "other.json"}}})
    assert listener.hits == []


def test_a_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text("{}")
    for reference in (path.as_uri(), str(path)):
        with pytest.raises(SchemaError):
            Validator({"$ref": reference})


def test_the_error_of_a_remote_reference_says_so() -> None:
    with pytest.raises(SchemaError, match=r"evil\.example"):
        Validator({"$ref": "http://evil.example/s.json"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"type": 5},
        {"pattern": "("},
        {"minimum": "1"},
        {"required": "a"},
        {"properties": []},
        {"$ref": "#/$defs/missing"},
        {"enum": "x"},
    ],
)
def test_a_schema_that_is_none_is_refused(schema: dict[str, Json]) -> None:
    with pytest.raises(SchemaError):
        Validator(schema)


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(a|a)*$", r"^(a|aa)+$", r"(.*a){25}"])
def test_a_hostile_pattern_takes_linear_time(pattern: str) -> None:
    validator = Validator({"type": "string", "pattern": pattern})

    def seconds(length: int) -> float:
        text = "a" * length + "!"
        started = time.process_time()
        for _ in range(20):
            validator.violations(text)
        return time.process_time() - started

    seconds(1_000)
    # Backtracking would not end in the age of the universe; a ratio needs no fixed bound.
    assert seconds(20_000) < 200 * max(seconds(1_000), 0.001)


@pytest.mark.parametrize("pattern", [r"(?=a)", r"(?<=a)b", r"(a)\1"])
def test_a_pattern_that_needs_backtracking_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaError):
        Validator({"pattern": pattern})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {
            "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
            "properties": {"x": {"$ref": "#/$defs/a"}},
        },
        {"allOf": [{"$ref": "#"}]},
    ],
)
def test_a_schema_that_refers_to_itself_ends(schema: dict[str, Json]) -> None:
    try:
        validator = Validator(schema)
    except SchemaError:
        return
    validator.violations({"x": {"x": {}}})


def test_a_schema_that_describes_a_tree_checks_trees() -> None:
    validator = Validator({
        "type": "object",
        "properties": {"child": {"$ref": "#"}, "name": {"type": "string"}},
        "required": ["name"],
    })
    assert validator.violations({"name": "a", "child": {"name": "b"}}) == []
    (found,) = validator.violations({"name": "a", "child": {"name": "b", "child": {}}})
    assert (found.path, found.rule) == ("child.child", "required")


def test_a_deep_value_ends() -> None:
    value: Json = {}
    for _ in range(60):
        value = {"child": value}
    validator = Validator({"properties": {"child": {"$ref": "#"}}})
    assert validator.violations(value) == []


@pytest.mark.parametrize(
    ("schema", "value", "path", "rule"),
    [
        ({"properties": {"a": {"type": "integer"}}}, {"a": "x"}, "a", "type"),
        ({"properties": {"a": {"items": {"minimum": 3}}}}, {"a": [5, 1]}, "a.1", "minimum"),
        ({"required": ["b"]}, {}, "", "required"),
        ({"additionalProperties": False}, {"z": 1}, "", "additionalProperties"),
        ({"properties": {"a": {"enum": ["x"]}}}, {"a": "y"}, "a", "enum"),
        ({"properties": {"a": {"maxLength": 1}}}, {"a": "xyz"}, "a", "maxLength"),
        ({"properties": {"a": {"type": "integer"}}}, {"a": True}, "a", "type"),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1.5}, "a", "type"),
    ],
)
def test_a_violation_names_field_and_rule(
    schema: dict[str, Json], value: Json, path: str, rule: str
) -> None:
    (found,) = Validator(schema).violations(value)
    assert (found.path, found.rule) == (path, rule)


def test_a_violation_reads_as_one_line() -> None:
    violation = Violation(path="amount", rule="minimum", message="0 is less than 1")
    assert str(violation) == "amount: 0 is less than 1 (minimum)"
    assert str(Violation(path="", rule="required", message="x")) == "arguments: x (required)"
    (found,) = Validator({"properties": {"a": {"maxLength": 1}}}).violations({"a": "y\n" * 9_000})
    assert "\n" not in str(found)
    assert len(str(found)) < 400


def test_only_the_first_violations_are_worded() -> None:
    validator = Validator({"items": {"type": "integer"}})
    wrong: list[Json] = ["x"] * 1_000
    assert len(validator.violations(wrong)) == 10
    assert len(validator.violations(wrong, limit=3)) == 3


def test_the_same_validator_serves_many_threads() -> None:
    validator = Validator({"type": "integer"})
    found: list[int] = []

    def check() -> None:
        found.extend(len(validator.violations(value)) for value in (1, "x") * 50)

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 200
