"""Two credentials for one header, parameter or cookie: no request carries both."""

import json

import pytest

from signoff.canonical import Json
from signoff.catalog.loader import Broken, Loaded, parse
from signoff.catalog.standalone import from_openapi

SCHEMES: Json = {
    "one": {"type": "http", "scheme": "bearer"},
    "two": {"type": "oauth2", "flows": {}},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "same": {"type": "apiKey", "in": "header", "name": "x_key"},
    "query": {"type": "apiKey", "in": "query", "name": "X-Key"},
}
GIVEN = {name: f"${{env:{name.upper()}}}" for name in ("one", "two", "key", "same", "query")}
FIX = (
    "say where one of them goes, as in {in: header, name: …, value: …}, or change the operation's "
    "security in an overlay"
)


def spec(**securities: Json) -> bytes:
    paths = {
        f"/{name}": {"get": {"operationId": name, "security": security, "responses": {}}}
        for name, security in securities.items()
    }
    components = {"securitySchemes": SCHEMES}
    whole = {"openapi": "3.1.0", "paths": paths, "components": components}
    return json.dumps(whole).encode()


def result(document: bytes, credentials: Json, more: str = "") -> Loaded | Broken:
    text = (
        "signoff: 1\nupstreams:\n  up:\n    openapi: spec.json\n    base_url: https://up.example\n"
    )
    given = credentials if isinstance(credentials, dict) else {}
    lines = "".join(f"      {name}: {json.dumps(one)}\n" for name, one in given.items())
    text += f"    credentials:\n{lines}{more}users: [{{id: alice}}]\n"
    return parse(text.encode(), file="c.yaml", read_spec=lambda name: (name, document))


def given(*names: str) -> dict[str, Json]:
    return {name: GIVEN[name] for name in names}


def loaded(document: bytes, *names: str) -> Loaded:
    found = result(document, given(*names))
    assert isinstance(found, Loaded), [str(one) for one in found.problems]
    return found


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ("one", "two", "header Authorization"),
        ("two", "one", "header Authorization"),
        ("key", "same", "header x_key"),
    ],
)
def test_an_operation_that_needs_both_is_skipped_and_check_names_the_line_and_the_fix(
    first: str, second: str, place: str
) -> None:
    document = spec(
        both=[{first: [], second: []}], alone=[{first: []}], other=[{second: []}], open=[]
    )
    found = loaded(document, first, second)

    assert [tool.name for tool in found.catalogue.tools] == ["alone", "other", "open"]
    (skipped,) = found.catalogue.skipped
    assert skipped.operation == "both"
    assert skipped.reason == (
        f"it needs the credentials {first} and {second} in one call, and both are the {place}; "
        f"{FIX}"
    )
    (note,) = found.notes
    assert str(note) == (
        f"c.yaml:8:7: upstreams.up.credentials.{second}: is the {place}, as {first} is, and "
        f"1 operation needs both: {FIX}"
    )


def test_many_operations_make_one_note() -> None:
    both: Json = [{"one": [], "two": []}]
    found = loaded(spec(a=both, b=both, c=both), "one", "two")

    assert [note.message.split(": ")[1] for note in found.notes] == [
        "is the header Authorization, as one is, and 3 operations need both"
    ]
    assert len(found.catalogue.skipped) == 3


def test_what_is_not_exposed_is_not_spoken_of() -> None:
    document = spec(both=[{"one": [], "two": []}], alone=[{"one": []}], other=[{"two": []}])
    found = result(document, given("one", "two"), "    expose: [{operations: [alone, other]}]\n")

    assert isinstance(found, Loaded)
    assert found.notes == ()


def test_another_requirement_that_can_be_met_is_met_and_nothing_is_said() -> None:
    found = loaded(spec(a=[{"one": [], "two": []}, {"query": []}]), "one", "two", "query")

    assert found.catalogue.tools[0].security.credentials == ("query",)
    assert found.notes == ()


@pytest.mark.parametrize(
    "security",
    [
        [{"one": [], "key": []}],
        [{"key": [], "query": []}],  # a header and a parameter may have one name
        [{"one": []}, {"two": []}],
    ],
)
def test_what_stands_in_places_of_its_own_is_no_clash(security: Json) -> None:
    found = loaded(spec(a=security, rest=[{name: []} for name in GIVEN]), *GIVEN)

    assert not found.catalogue.skipped
    assert found.notes == ()


def test_a_credential_that_is_not_given_clashes_with_nothing() -> None:
    found = loaded(spec(a=[{"one": [], "two": []}]), "one")

    assert not found.catalogue.skipped
    assert found.catalogue.tools[0].security.missing[0].scheme == "two"


def test_what_the_operator_asks_for_by_name_fails_the_check_at_the_spec() -> None:
    document = spec(both=[{"one": [], "two": []}])
    found = result(document, given("one", "two"), "    expose: [{operations: [both]}]\n")

    assert isinstance(found, Broken)
    (problem,) = found.problems
    assert str(problem) == (
        "spec.json:1:65: both: cannot become a tool: it needs the credentials one and two in one "
        f"call, and both are the header Authorization; {FIX}"
    )


def test_the_fix_that_is_named_is_one() -> None:
    moved: Json = {"in": "header", "name": "X-Two", "value": "${env:TWO}"}
    found = result(spec(both=[{"one": [], "two": []}]), {**given("one"), "two": moved})

    assert isinstance(found, Loaded), [str(one) for one in found.problems]
    assert not found.catalogue.skipped
    assert found.notes == ()
    security = found.catalogue.tools[0].security
    assert (security.credentials, security.missing) == (("one", "two"), ())


@pytest.mark.parametrize(
    ("credentials", "name", "place", "other"),
    [
        (
            {"key": GIVEN["key"], "mine": {"in": "header", "name": "x-KEY", "value": "${env:M}"}},
            "mine", "header x-KEY", "key",
        ),
        (
            {"mine": {"in": "header", "name": "x_key", "value": "${env:M}"}, "key": GIVEN["key"]},
            "key", "header X-Key", "mine",
        ),
        (
            {
                "mine": {"in": "cookie", "name": "sid", "value": "${env:M}"},
                "ours": {"in": "cookie", "name": "SID", "value": "${env:M}"},
            },
            "ours", "cookie SID", "mine",
        ),
    ],
)  # fmt: skip
def test_a_credential_of_every_call_that_is_where_another_goes_does_not_check(
    credentials: Json, name: str, place: str, other: str
) -> None:
    found = result(spec(a=[{"key": []}]), credentials)

    assert isinstance(found, Broken)
    (problem,) = found.problems
    assert str(problem) == (
        f"c.yaml:8:7: upstreams.up.credentials.{name}: is the {place}, as "
        f"upstreams.up.credentials.{other} is, and one of them goes with every call; take one of "
        "them out"
    )


def test_a_program_hears_of_it_in_what_was_skipped() -> None:
    document = spec(both=[{"one": [], "two": []}], alone=[{"one": []}])
    compiled = from_openapi(
        document, base_url="https://up.example", credentials={"one": "a", "two": "b"}
    )

    (tool,) = compiled.tools
    assert (tool.name, tool.security.credentials) == ("alone", ("one",))
    assert [one.operation for one in compiled.skipped] == ["both"]
