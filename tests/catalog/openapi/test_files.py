"""References into other files, below the spec's folder; and the cache of parsed text."""

import json
import stat
from pathlib import Path

import pytest

from signoff.canonical import Json
from signoff.catalog.loader import Loaded, check_spec, load
from signoff.catalog.openapi import sources
from signoff.catalog.openapi.documents import Document, DocumentError, MappingError
from signoff.catalog.openapi.files import below
from signoff.catalog.openapi.sources import ParsedCache, parse
from small_specs import properties_of

ROOT = """\
openapi: 3.1.0
info: {title: Pets, version: "1"}
paths:
  /pets: {$ref: paths/pets.yaml}
components:
  schemas:
    Home:
      type: object
      properties: {street: {type: string}, of: {$ref: "#/components/schemas/Home"}}
"""
PETS = """\
post:
  operationId: addPet
  requestBody:
    required: true
    content: {application/json: {schema: {$ref: ../schemas/pet.yaml}}}
  responses: {200: {description: ok}}
"""
PET = """\
type: object
required: [name]
properties:
  name: {$ref: "common.yaml#/Name"}
  home: {$ref: "../openapi.yaml#/components/schemas/Home"}
  parent: {$ref: "#"}
"""
COMMON = "Name: {type: string, minLength: 2}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spec = tmp_path / "spec"
    for name, text in {
        "openapi.yaml": ROOT,
        "paths/pets.yaml": PETS,
        "schemas/pet.yaml": PET,
        "schemas/common.yaml": COMMON,
    }.items():
        path = spec / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return spec


def test_a_spec_of_several_files_becomes_tools(folder: Path) -> None:
    report = check_spec(folder / "openapi.yaml")

    assert report.skipped == ()
    [tool] = report.tools
    assert properties_of(tool)["name"] == {"type": "string", "minLength": 2}
    assert set(properties_of(tool)) == {"name", "home", "parent"}
    assert json.dumps(tool.input_schema).count("Home") > 0


def test_a_file_outside_the_folder_is_not_read(folder: Path) -> None:
    (folder.parent / "secret.yaml").write_text("type: string\n")
    document = Document(ROOT.encode(), name="openapi.yaml", read=below(folder))

    for ref in ("../secret.yaml", "schemas/../../secret.yaml", str(folder.parent / "secret.yaml")):
        with pytest.raises(MappingError, match="leaves the folder of the spec"):
            document.resolve(ref)


def test_a_link_that_leads_outside_is_not_followed(folder: Path) -> None:
    (folder.parent / "secret.yaml").write_text("type: string\n")
    (folder / "link.yaml").symlink_to(folder.parent / "secret.yaml")
    (folder / "inside.yaml").symlink_to(folder / "schemas" / "common.yaml")
    document = Document(ROOT.encode(), name="openapi.yaml", read=below(folder))

    with pytest.raises(MappingError, match="outside the spec's folder"):
        document.resolve("link.yaml")
    assert document.resolve("inside.yaml#/Name") == {"type": "string", "minLength": 2}


def test_a_reference_that_leaves_from_within_a_file_is_refused_too(folder: Path) -> None:
    (folder.parent / "secret.yaml").write_text("type: string\n")
    (folder / "schemas" / "common.yaml").write_text("Name: {$ref: ../../secret.yaml}\n")

    [skipped] = check_spec(folder / "openapi.yaml").skipped

    assert "leaves the folder of the spec" in skipped.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "is broken: schemas/pet.yaml:2:1"),
        ("a: 1\na: 2\n", "is broken: schemas/pet.yaml:2:1: the key 'a' is written twice"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_broken_file_costs_only_what_needs_it(
    folder: Path, text: str | None, reason: str
) -> None:
    path = folder / "schemas" / "pet.yaml"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    root = (folder / "openapi.yaml").read_text()
    root = root.replace(
        "components:", "  /fine: {get: {operationId: fine, responses: {}}}\ncomponents:"
    )
    (folder / "openapi.yaml").write_text(root)

    report = check_spec(folder / "openapi.yaml")

    assert [tool.name for tool in report.tools] == ["fine"]
    assert reason in report.skipped[0].reason


def test_a_change_in_any_file_changes_the_fingerprint(folder: Path) -> None:
    def fingerprint() -> str:
        text = (folder / "openapi.yaml").read_bytes()
        return Document(text, name="openapi.yaml", read=below(folder)).fingerprint()

    before = fingerprint()
    assert fingerprint() == before
    (folder / "schemas" / "common.yaml").write_text("Name: {type: string, minLength: 3}\n")
    assert fingerprint() != before


def test_parsed_specs_are_kept_for_this_user_only(tmp_path: Path) -> None:
    cache = ParsedCache(tmp_path / "cache")
    value = parse(ROOT.encode(), cache)

    [entry] = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert cache.load(ROOT.encode()) == value
    assert cache.load(ROOT.encode() + b" ") is None


def test_a_kept_spec_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ParsedCache(tmp_path)
    value = parse(ROOT.encode(), cache)

    def fail(*_: object) -> Json:
        raise AssertionError("parsed again")

    monkeypatch.setattr(sources, "read", fail)
    assert parse(ROOT.encode(), cache) == value


@pytest.mark.parametrize("damage", [b"", b"{}", b"signoff-spec-1 ", None])
def test_a_damaged_entry_is_parsed_anew(tmp_path: Path, damage: bytes | None) -> None:
    cache = ParsedCache(tmp_path)
    value = parse(ROOT.encode(), cache)
    [entry] = tmp_path.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole.replace(b"addPet", b"adPets") + b" " if damage is None else damage)

    assert cache.load(ROOT.encode()) is None
    assert parse(ROOT.encode(), cache) == value
    assert entry.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = ParsedCache(tmp_path / "file" / "cache")

    assert parse(b"{a: 1}", cache) == {"a": 1}


def test_what_json_cannot_keep_exactly_is_not_kept(tmp_path: Path) -> None:
    cache = ParsedCache(tmp_path)
    text = b'{"a": 18446744073709551617}'

    assert parse(text, cache) == {"a": 2**64 + 1}
    assert list(tmp_path.iterdir()) == []
    assert parse(text, cache) == {"a": 2**64 + 1}


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        (b'{\n "a": 1,\n "a": 2\n}', "the key 'a' is written twice", 3, 2),
        (b'{"x": {"b": 1, "b": 1}}', "the key 'b' is written twice", 1, 16),
        (b'{"a": NaN}', "not usable JSON: NaN is not a number that JSON can carry", 1, 1),
        (b'{"a": 1e999}', "not usable JSON: a number is out of range", 1, 1),
        (b'{"a": ' + b"9" * 500 + b"}", "not usable JSON: a number has too many digits", 1, 1),
        (b'{"a": ' + b"[" * 200_000, "not usable JSON: nested too deeply", 1, 1),
        (b'{"a": "\xff"}', "the file is not UTF-8", 1, 1),
        ('{\n"é": "é",\n"b": "'.encode() + b'\xc3"}', "the file is not UTF-8", 3, 1),
        ('{"é": 1,\n "\\u00e9": 2}'.encode(), "the key 'é' is written twice", 1, 2),
        ('{"é": 1,\n "é": 2}'.encode(), "the key 'é' is written twice", 2, 2),
        ('{"é": "\\é"}'.encode(), "not valid JSON: Invalid \\escape", 1, 8),
        ('{"é": é}'.encode() + b"]", "not valid JSON: Expecting value", 1, 7),
    ],
)
def test_json_is_held_to_the_same_rules_as_yaml(
    text: bytes, message: str, line: int, column: int
) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(text)

    assert caught.value.message == message
    assert (caught.value.spot.line, caught.value.spot.column) == (line, column)


@pytest.mark.parametrize(
    "text",
    ['{"é": "日本 \U0001f600", "b": "\\\\é \\" \\ud83d\\ude00"}', '\ufeff{"a": "\u2028\x7f\x80"}'],
)
def test_every_script_is_read_as_it_is_written(text: str) -> None:
    assert parse(text.encode()) == json.loads(text.removeprefix("\ufeff"))


@pytest.mark.usefixtures("folder")
def test_a_catalogue_keeps_its_specs_in_the_folder_it_is_given(tmp_path: Path) -> None:
    catalogue = tmp_path / "capabilities.yaml"
    catalogue.write_text(
        "signoff: 1\nupstreams: {pets: {openapi: spec/openapi.yaml, base_url: 'https://p'}}\n"
        "users: [{id: alice}]\n"
    )

    first = load(catalogue, tmp_path / "cache")
    again = load(catalogue, tmp_path / "cache")

    assert isinstance(first, Loaded)
    assert isinstance(again, Loaded)
    assert first.catalogue.digest == again.catalogue.digest
    assert list(first.catalogue.tools) == list(again.catalogue.tools)
    assert any((tmp_path / "cache").iterdir())
