"""Tools are compiled when they are asked for; a catalogue's digest knows them before that."""

from pathlib import Path

import pytest

from signoff.catalog.loader import Broken, Loaded, load
from signoff.catalog.model import Capability, Skipped, ToolSpec
from signoff.catalog.offered import Entry, Offered
from signoff.catalog.registry import Registry
from signoff.identity import Caller

CALLER = Caller(kind="local", issuer="local", client_id="local:1", sub="alice")
GOOD = ToolSpec(
    name="good", title="good", upstream="u", method="GET", path="/", description="", input_schema={}
)
BAD = Skipped(source="spec", operation="bad", reason="its body is odd")


class Builds:
    """Counts what is compiled."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def entry(self, name: str, result: ToolSpec | Skipped) -> Entry:
        def build() -> ToolSpec | Skipped:
            self.made.append(name)
            return result

        card = Capability(name=name, title=name, upstream="u", method="GET", path="/")
        return Entry(card=card, build=build)


@pytest.fixture
def builds() -> Builds:
    return Builds()


@pytest.fixture
def offered(builds: Builds) -> Offered:
    return Offered(
        [builds.entry("good", GOOD), builds.entry("bad", BAD)],
        skipped=[Skipped(source="spec", operation="known", reason="x")],
    )


def test_cards_are_there_without_compiling(builds: Builds, offered: Offered) -> None:
    assert [card.name for card in offered.cards] == ["good", "bad"]
    assert builds.made == []


def test_a_tool_is_compiled_once_and_alone(builds: Builds, offered: Offered) -> None:
    assert offered.find("good") is GOOD
    assert offered.find("good") is GOOD
    assert offered.find("nobody") is None
    assert builds.made == ["good"]


def test_going_through_all_leaves_out_what_cannot_be_compiled(
    builds: Builds, offered: Offered
) -> None:
    assert list(offered) == [GOOD]
    assert (len(offered), offered[0]) == (1, GOOD)
    assert [one.operation for one in offered.skipped] == ["known", "bad"]
    assert sorted(builds.made) == ["bad", "good"]


SPEC = """\
openapi: 3.0.0
info: {title: t, version: "1"}
paths:
  /a: {get: {operationId: a, responses: {}, servers: [
    {url: "/{region}", variables: {region: {default: eu}}}, {url: "https://other.example"}]}}
  /b: {get: {operationId: b, parameters: [{$ref: "#/nowhere"}], responses: {}}}
  /c: {post: {operationId: c, responses: {}, requestBody: {content: {application/json: {schema:
    {type: object, properties: {x: {type: string}}}}}}}}
"""
CATALOGUE = """\
signoff: 1
upstreams: {up: {openapi: spec.yaml, base_url: "https://api.example"%s}}
users: [{id: alice}]
"""


def loaded(folder: Path, more: str = "", spec: str = SPEC) -> Loaded | Broken:
    (folder / "capabilities.yaml").write_text(CATALOGUE % more)
    (folder / "spec.yaml").write_text(spec)
    return load(folder / "capabilities.yaml")


def digest(folder: Path, more: str = "", spec: str = SPEC) -> str:
    result = loaded(folder, more, spec)
    assert isinstance(result, Loaded)
    return result.catalogue.digest


def test_what_cannot_be_compiled_is_seen_but_not_found(tmp_path: Path) -> None:
    result = loaded(tmp_path)
    assert isinstance(result, Loaded)
    registry = Registry(result.catalogue)

    assert [card.name for card in registry.visible(CALLER)] == ["a", "b", "c"]
    assert registry.find(CALLER, "b") is None
    assert registry.reason(CALLER, "b") == 'the $ref "#/nowhere" points at nothing'
    assert registry.reason(CALLER, "a") is None
    assert registry.reason(CALLER, "nobody") is None
    assert [one.operation for one in result.catalogue.skipped] == ["b"]


def test_a_broken_operation_that_the_operator_names_is_a_problem_at_once(tmp_path: Path) -> None:
    result = loaded(tmp_path, ", operations: {b: {risk: high}}")

    assert isinstance(result, Broken)
    assert "b: cannot become a tool" in str(result.problems[0])


def test_the_digest_covers_what_was_not_compiled(tmp_path: Path) -> None:
    before = digest(tmp_path)

    assert digest(tmp_path) == before
    assert digest(tmp_path, spec=SPEC.replace("type: string", "type: integer")) != before
    assert digest(tmp_path, spec=SPEC.replace("/a:", "/z:")) != before
    for more in (
        ", variables: {region: us}",
        ", allow_servers: ['https://other.example']",
        ", lists: numbered",
        ", deprecated: true",
        ", expose: [{methods: [GET]}]",
        ", operations: {a: {risk: high}}",
        ", operations: {a: {name: z}}",
        ", credentials: {k: {in: header, name: X-Key, value: '${env:K}'}}",
        ", headers: {X-Trace: a}",
    ):
        assert digest(tmp_path, more) != before, more


def test_the_digest_does_not_depend_on_what_was_compiled_meanwhile(tmp_path: Path) -> None:
    first = loaded(tmp_path)
    assert isinstance(first, Loaded)
    list(first.catalogue.tools)

    assert digest(tmp_path) == first.catalogue.digest


def test_the_digest_does_not_depend_on_where_the_files_stand(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()

    assert digest(tmp_path / "here") == digest(tmp_path / "there")
