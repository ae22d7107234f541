"""Documents elsewhere: which a spec may refer to, and that they are fetched while loading only."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from signoff.canonical import Json
from signoff.catalog.loader import Broken, Loaded, check_spec, load
from signoff.catalog.openapi.documents import Document, MappingError
from signoff.catalog.openapi.remote import AddressError, FetchError, Remote, address
from small_specs import properties_of

BASE = "https://schemas.example/v1/"


class Web:
    """What is elsewhere, and what was asked for."""

    def __init__(self, **documents: Any) -> None:
        self.documents: Mapping[str, Any] = {
            f"{BASE}{name}.json": value for name, value in documents.items()
        }
        self.asked: list[str] = []

    def __call__(self, url: str, allow_private: Sequence[str]) -> bytes:
        del allow_private
        self.asked.append(url)
        if url not in self.documents:
            raise FetchError("the answer is HTTP 404")
        found = self.documents[url]
        return found if isinstance(found, bytes) else json.dumps(found).encode()


def spec(**properties: Json) -> dict[str, Json]:
    def operation(name: str, schema: Json) -> Json:
        whole: Json = {"type": "object", "properties": {name: schema}}
        body: Json = {"content": {"application/json": {"schema": whole}}}
        return {"post": {"operationId": name, "requestBody": body, "responses": {}}}

    return {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "paths": {f"/{name}": operation(name, schema) for name, schema in properties.items()},
    }


def loaded(
    folder: Path,
    web: Web | None,
    document: Json,
    *,
    allow: Sequence[str] = (BASE,),
    more: str = "",
) -> Loaded | Broken:
    (folder / "spec.json").write_text(json.dumps(document))
    (folder / "capabilities.yaml").write_text(
        "signoff: 1\nupstreams:\n  api:\n    openapi: spec.json\n    base_url: https://api.example\n"
        f"    allow_refs: {json.dumps(list(allow))}\n{more}users: [{{id: alice}}]\n"
    )
    return load(folder / "capabilities.yaml", None, web)


def tools(found: Loaded | Broken) -> dict[str, Any]:
    assert isinstance(found, Loaded), found
    return {tool.name: tool for tool in found.catalogue.tools}


def reasons(found: Loaded | Broken) -> dict[str, str]:
    assert isinstance(found, Loaded), found
    return {one.operation: one.reason for one in found.catalogue.skipped}


def test_a_listed_document_is_part_of_the_spec(tmp_path: Path) -> None:
    web = Web(common={"Name": {"type": "string", "minLength": 2}})
    found = loaded(tmp_path, web, spec(a={"$ref": f"{BASE}common.json#/Name"}))
    assert properties_of(tools(found)["a"])["a"] == {"type": "string", "minLength": 2}
    assert web.asked == [f"{BASE}common.json"]


def test_documents_refer_to_one_another_in_a_circle(tmp_path: Path) -> None:
    node: Json = {
        "type": "object",
        "properties": {"next": {"$ref": "b.json#/Node"}, "name": {"$ref": "#/Name"}},
    }
    web = Web(
        a={"Node": node, "Name": {"type": "string"}},
        b={"Node": {"type": "object", "properties": {"back": {"$ref": "./a.json#/Node"}}}},
    )
    found = loaded(tmp_path, web, spec(a={"$ref": f"{BASE}a.json#/Node"}))
    text = json.dumps(tools(found)["a"].input_schema)
    assert '"next"' in text
    assert '"back"' in text
    assert sorted(web.asked) == [f"{BASE}a.json", f"{BASE}b.json"]


def test_a_file_of_the_spec_may_refer_elsewhere_and_never_the_other_way(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps({"A": {"$ref": f"{BASE}a.json#/A"}}))
    web = Web(a={"A": {"type": "integer"}, "B": {"$ref": "file:///etc/passwd"}})
    found = loaded(
        tmp_path,
        web,
        spec(good={"$ref": "mine.json#/A"}, bad={"$ref": f"{BASE}a.json#/B"}),
    )
    assert tools(found)["good"].input_schema["$defs"] == {"A": {"type": "integer"}}
    assert reasons(found) == {
        "bad": (
            'the $ref "file:///etc/passwd" is neither a file below the spec\'s folder nor an http '
            "or https address"
        )
    }


def test_a_reference_of_a_document_elsewhere_stays_there(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps({"A": {"type": "string"}}))
    web = Web(a={"A": {"$ref": "mine.json#/A"}})
    found = loaded(tmp_path, web, spec(a={"$ref": f"{BASE}a.json#/A"}))
    assert reasons(found) == {
        "a": f'the $ref "{BASE}mine.json#/A" cannot be fetched: the answer is HTTP 404'
    }


def test_what_cannot_be_fetched_costs_only_its_operations(tmp_path: Path) -> None:
    web = Web(a={"A": {"type": "string"}})
    found = loaded(
        tmp_path,
        web,
        spec(
            good={"$ref": f"{BASE}a.json#/A"},
            gone={"$ref": f"{BASE}gone.json#/A"},
            also={"$ref": f"{BASE}gone.json#/B"},
            hole={"$ref": f"{BASE}a.json#/C"},
        ),
    )
    assert set(tools(found)) == {"good"}
    assert reasons(found) == {
        "gone": f'the $ref "{BASE}gone.json#/A" cannot be fetched: the answer is HTTP 404',
        "also": f'the $ref "{BASE}gone.json#/B" cannot be fetched: the answer is HTTP 404',
        "hole": f'the $ref "{BASE}a.json#/C" points at nothing',
    }
    assert sorted(web.asked) == [f"{BASE}a.json", f"{BASE}gone.json"]


def test_an_operation_that_the_catalogue_names_must_have_its_documents(tmp_path: Path) -> None:
    document = spec(a={"$ref": f"{BASE}gone.json"})
    found = loaded(tmp_path, Web(), document, more="    operations: {a: {risk: high}}\n")
    assert isinstance(found, Broken)
    assert "cannot be fetched: the answer is HTTP 404" in found.problems[0].message


def test_nothing_is_fetched_after_loading(tmp_path: Path) -> None:
    web = Web(a={"A": {"type": "string"}})
    # Written so that only a JSON parser sees the reference: it is not found while loading.
    document = json.dumps(spec(a={"$ref": f"{BASE}a.json#/A"})).replace('"$ref"', '"\\u0024ref"')
    (tmp_path / "spec.json").write_text(document)
    (tmp_path / "capabilities.yaml").write_text(
        "signoff: 1\nupstreams:\n  api:\n    openapi: spec.json\n    base_url: https://api.example\n"
        f"    allow_refs: [{BASE}]\nusers: [{{id: alice}}]\n"
    )
    found = load(tmp_path / "capabilities.yaml", None, web)
    assert reasons(found) == {
        "a": (
            f'the $ref "{BASE}a.json#/A" cannot be fetched: documents are fetched only while the '
            "catalogue is loaded"
        )
    }
    assert web.asked == []


def test_the_digest_covers_what_was_fetched(tmp_path: Path) -> None:
    document = spec(a={"$ref": f"{BASE}a.json"})
    digests = set[str]()
    for schema in ({"type": "string"}, {"type": "integer"}):
        found = loaded(tmp_path, Web(a=schema), document)
        assert isinstance(found, Loaded)
        digests.add(found.catalogue.digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("allow", "ref"),
    [
        ((), f"{BASE}a.json"),
        ((f"{BASE}b.json",), f"{BASE}a.json"),
        ((f"{BASE}a",), f"{BASE}a.json"),
        (("https://schemas.example/v1",), f"{BASE}a.json"),
        ((f"{BASE}sub/",), f"{BASE}a.json"),
        ((BASE,), "http://schemas.example/v1/a.json"),
        ((BASE,), "https://schemas.example:8443/v1/a.json"),
        ((BASE,), "https://schemas.example.evil.example/v1/a.json"),
        ((BASE,), "https://schemas.example/v2/a.json"),
        ((BASE,), "https://schemas.example/V1/a.json"),
        (("https://schemas.example/",), "//schemas.example/v1/a.json"),
    ],
)
def test_what_is_not_listed_is_not_asked_for(
    allow: Sequence[str], ref: str, tmp_path: Path
) -> None:
    web = Web(a={"type": "string"})
    found = loaded(tmp_path, web, spec(a={"$ref": ref}), allow=allow)
    [reason] = reasons(found).values()
    assert reason.startswith(f'the $ref "{ref}" is ')
    if ref.startswith("http"):
        assert f"or list {ref} in the upstream's allow_refs" in reason
    assert web.asked == []


@pytest.mark.parametrize(
    "ref",
    [
        f"{BASE}../private/a.json",
        f"{BASE}%2e%2e/private/a.json",
        f"{BASE}%252e%252e/a.json",
        f"{BASE}x/..%2f..%2fa.json",
        f"{BASE}x%5c..%5ca.json",
        "https://user:pw@schemas.example/v1/a.json",
        "https://schemas.example@evil.example/v1/a.json",
        "https://schemas.example\\@evil.example/v1/a.json",
        "https://evil.example\\.schemas.example/v1/a.json",
        "https://[::1/v1/a.json",
        "https://schemas.example:0/v1/a.json",
        "https://schemas.example:99999/v1/a.json",
        "https:///v1/a.json",
        "ftp://schemas.example/v1/a.json",
        "file:///etc/passwd",
        "data:application/json,{}",
        "gopher://schemas.example/v1/",
        "https://schemas.example/v1/a b.json",
        "https://schemas.éxample/v1/a.json",
    ],
)
def test_an_address_that_could_lead_elsewhere_is_not_asked_for(ref: str, tmp_path: Path) -> None:
    web = Web(a={"type": "string"})
    allow = (BASE, "https://schemas.example/")
    found = loaded(tmp_path, web, spec(a={"$ref": ref}), allow=allow)
    # Dots that are resolved may stay below a listed address: then that is what is asked for.
    assert web.asked in ([], ["https://schemas.example/private/a.json"])
    assert len(reasons(found)) == 1


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("HTTPS://Schemas.Example:443/v1/a.json", f"{BASE}a.json"),
        ("http://x.example:80", "http://x.example/"),
        ("http://x.example:8080/a", "http://x.example:8080/a"),
        ("https://x.example/a?b=1", "https://x.example/a?b=1"),
        ("http://[::1]:80/a", "http://[::1]/a"),
        ("b.json", f"{BASE}b.json"),
        ("../b.json", "https://schemas.example/b.json"),
        ("/b.json", "https://schemas.example/b.json"),
        ("//other.example/b.json", "https://other.example/b.json"),
    ],
)
def test_an_address_has_one_form(written: str, url: str) -> None:
    assert address(written, f"{BASE}a.json") == url


def test_the_address_of_nothing_is_an_error() -> None:
    with pytest.raises(AddressError, match="is not an address"):
        address("", BASE)


def test_a_listed_origin_means_all_of_it() -> None:
    remote = Remote(["https://schemas.example"])
    assert remote.allows("https://schemas.example/v1/a.json")
    assert not remote.allows("https://schemas.example.evil/v1/a.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"<html>", 'the $ref "{}#/A" points at nothing'),
        (b'{"A": 1, "A": 2}', "is broken: {}:1:10: the key 'A' is written twice"),
        (b"\xff\xfe", "is broken: {}:1:1"),
        (b"", "points at nothing"),
        (b"&a [*a]", "is broken"),
    ],
    ids=["HTML", "twice", "binary", "empty", "bomb"],
)
def test_a_document_that_is_none_costs_only_its_operations(
    text: bytes, reason: str, tmp_path: Path
) -> None:
    found = loaded(tmp_path, Web(a=text), spec(a={"$ref": f"{BASE}a.json#/A"}, b={}))
    assert set(tools(found)) == {"b"}
    assert reason.format(f"{BASE}a.json") in reasons(found)["a"]


def test_a_spec_alone_has_no_list(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(spec(a={"$ref": f"{BASE}a.json"})))
    report = check_spec(tmp_path / "spec.json")
    assert [one.reason for one in report.skipped] == [
        (
            f'the $ref "{BASE}a.json" is not fetched: save the document beside this one and refer '
            f"to the file, or list {BASE}a.json in the upstream's allow_refs"
        )
    ]


def test_more_documents_than_any_spec_has_are_not_fetched() -> None:
    remote = Remote([BASE], lambda _, __: b"{}")
    for at in range(200):
        remote.read(f"{BASE}{at}.json")
    with pytest.raises(FetchError, match="one of more than 200"):
        remote.read(f"{BASE}x.json")


def test_without_something_that_fetches_nothing_is_fetched() -> None:
    document = Document(
        json.dumps(spec(a={})).encode(), name="spec.json", remote=Remote([BASE], None)
    )
    with pytest.raises(MappingError, match="only while the catalogue is loaded"):
        document.resolve(f"{BASE}a.json")


@pytest.mark.parametrize(
    "said", ["schemas/", "ftp://x/", "https://u:p@x/", "https://x/?a", "https://x/#a"]
)
def test_a_list_holds_addresses_only(said: str, tmp_path: Path) -> None:
    found = loaded(tmp_path, Web(), spec(a={}), allow=[said])
    assert isinstance(found, Broken)
    assert "upstreams.api.allow_refs: must be https://host/path" in found.problems[0].message
