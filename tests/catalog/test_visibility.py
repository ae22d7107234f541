"""`visible_to` and `scopes`: for whom a capability exists, and what a token needs to call it."""

import json
from typing import Any

import pytest

from signoff.catalog.loader import Broken, Loaded, parse
from signoff.catalog.model import Visibility
from signoff.catalog.registry import Registry
from signoff.identity import Caller

SPEC: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "paths": {
        f"/{name}": {"get": {"operationId": name, "responses": {}, **more}}
        for name, more in {
            "plain": {},
            "wanted": {"x-mcp": {"scopes": ["spec:read"], "visible_to": ["alice"]}},
        }.items()
    },
}
PEOPLE = (
    "auth: {local_user: alice}\nusers:\n"
    "  - {id: alice, groups: [finance]}\n  - {id: bob, groups: [finance, ops]}\n  - {id: carol}\n"
)


def caller(sub: str | None = None, client: str = "desk", *scopes: str) -> Caller:
    held = frozenset(("mcp", *scopes))
    return Caller(kind="oauth", issuer="https://i", client_id=client, sub=sub, scopes=held)


def catalogue(operations: str = "", upstream: str = "") -> Loaded | Broken:
    text = (
        "signoff: 1\nupstreams:\n  api:\n    openapi: spec.json\n    base_url: https://a.example\n"
        f"{upstream}{operations}{PEOPLE}"
    )
    return parse(
        text.encode(),
        file="c.yaml",
        read_spec=lambda name: (name, json.dumps(SPEC).encode()),
    )


def registry(operations: str = "", upstream: str = "") -> Registry:
    found = catalogue(operations, upstream)
    assert isinstance(found, Loaded), found
    return Registry(found.catalogue)


def only(who: str) -> Registry:
    return registry(f"    operations: {{plain: {{visible_to: {who}}}}}\n")


def seen(book: Registry, by: Caller) -> list[str]:
    names = [card.name for card in book.visible(by)]
    for name in ("plain", "wanted"):
        assert (book.find(by, name) is not None) == (name in names)
    return names


ADMITTED: list[tuple[str, Caller, bool]] = [
    ("[alice]", caller("alice"), True),
    ("[alice]", caller("bob"), False),
    ("[alice]", caller(None, "alice"), False),
    ("[alice]", caller(None), False),
    ("[alice, bob]", caller("bob"), True),
    ('["group:finance"]', caller("bob"), True),
    ('["group:finance"]', caller("carol"), False),
    ('["group:ops"]', caller("alice"), False),
    ('["client:nightly"]', caller(None, "nightly"), True),
    ('["client:nightly"]', caller("alice", "nightly"), True),
    ('["client:nightly"]', caller("nightly", "other"), False),
    ('["client:nightly"]', caller("alice", "nightly2"), False),
    ('["scope:admin"]', caller("alice", "desk", "admin"), True),
    ('["scope:admin"]', caller("alice", "desk", "admin2"), False),
    ('["scope:admin"]', caller("admin", "admin"), False),
    ('[carol, "client:nightly", "scope:admin"]', caller("carol"), True),
    ('[carol, "client:nightly", "scope:admin"]', caller("alice"), False),
]


@pytest.mark.parametrize(("who", "by", "admitted"), ADMITTED)
def test_a_capability_exists_for_those_it_names(who: str, by: Caller, admitted: bool) -> None:
    assert seen(only(who), by) == (["plain", "wanted"] if admitted else ["wanted"])


def test_a_scope_does_not_hide_from_callers_that_no_scope_limits() -> None:
    local = Caller(kind="local", issuer="local", client_id="local:stdio", sub="alice")
    assert seen(only('["scope:admin"]'), local) == ["plain", "wanted"]
    assert seen(only('["client:x"]'), local) == ["wanted"]


def test_an_upstreams_word_counts_for_all_of_it_and_ones_own_narrows_it() -> None:
    book = registry(
        "    operations: {plain: {visible_to: [alice, carol]}}\n",
        '    visible_to: ["group:finance"]\n',
    )
    assert seen(book, caller("alice")) == ["plain", "wanted"]
    assert seen(book, caller("bob")) == ["wanted"]
    assert seen(book, caller("carol")) == []


def test_a_spec_says_nothing_of_whom_it_exists_for() -> None:
    assert seen(registry(), caller("bob")) == ["plain", "wanted"]
    hidden = registry(upstream="    visible_to: [carol]\n")
    assert seen(hidden, caller("alice")) == []


def test_what_is_hidden_gives_no_reason_either() -> None:
    spec: dict[str, Any] = {
        **SPEC,
        "paths": {"/broken": {"get": {"parameters": [{"$ref": "#/no"}], "responses": {}}}},
    }
    text = (
        "signoff: 1\nupstreams:\n  api:\n    openapi: spec.json\n    base_url: https://a.example\n"
        f"    visible_to: [alice]\n{PEOPLE}"
    )
    found = parse(text.encode(), file="c", read_spec=lambda name: (name, json.dumps(spec).encode()))
    assert isinstance(found, Loaded)
    book = Registry(found.catalogue)
    [card] = book.everything
    assert book.reason(caller("alice"), card.name) is not None
    assert book.reason(caller("bob"), card.name) is None


def test_groups_are_expanded_when_the_catalogue_is_read() -> None:
    found = catalogue(
        '    operations: {plain: {visible_to: ["group:finance", "client:c", "scope:s"]}}\n'
    )
    assert isinstance(found, Loaded)
    [plain] = [tool for tool in found.catalogue.tools if tool.name == "plain"]
    assert plain.visible_to == Visibility(
        users=frozenset({"alice", "bob"}), clients=frozenset({"c"}), scopes=frozenset({"s"})
    )


@pytest.mark.parametrize(
    ("operations", "upstream"),
    [
        ("    operations: {plain: {visible_to: [alice]}}\n", ""),
        ("    operations: {plain: {visible_to: [bob]}}\n", ""),
        ("", "    visible_to: [alice]\n"),
        ("    operations: {plain: {scopes: [a]}}\n", ""),
        ("    operations: {plain: {risk: low}}\n", ""),
    ],
    ids=["alice", "bob", "upstream", "scopes", "nothing"],
)
def test_the_digest_covers_for_whom_a_capability_is(operations: str, upstream: str) -> None:
    found, other = catalogue(operations, upstream), catalogue(upstream="    timeout: 9s\n")
    assert isinstance(found, Loaded)
    assert isinstance(other, Loaded)
    assert found.catalogue.digest != other.catalogue.digest


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ("{}", ("spec:read",)),
        ("{scopes: [accounts:read, b]}", ("accounts:read", "b")),
        ("{scopes: [a, a]}", ("a",)),
        ("{scopes: []}", ()),
    ],
)
def test_the_catalogues_scopes_win_over_the_specs(said: str, scopes: tuple[str, ...]) -> None:
    found = registry(f"    operations: {{wanted: {said}}}\n").find(caller("bob"), "wanted")
    assert found is not None
    assert found.scopes == scopes


def test_scopes_of_a_spec_are_known_before_a_tool_is_compiled() -> None:
    cards = {card.name: card.scopes for card in registry().everything}
    assert cards == {"plain": (), "wanted": ("spec:read",)}


MISTAKES: list[tuple[str, str]] = [
    ("visible_to: [alicia]", 'visible_to: there is no user "alicia", did you mean "alice"?'),
    ("visible_to: [xyz]", 'visible_to: there is no user "xyz"; it must be a user, "group:NAME"'),
    ('visible_to: ["group:finanze"]',
     'visible_to: nobody is in the group "finanze", did you mean "finance"?'),
    ('visible_to: ["client:"]', 'visible_to: there is no user "client:"'),
    ('visible_to: ["scope:a b"]', 'visible_to: there is no user "scope:a b"'),
    ('visible_to: ["user:alice"]', 'visible_to: there is no user "user:alice"'),
    ('visible_to: ["${caller.sub}"]', 'visible_to: there is no user "${caller.sub}"'),
    ('visible_to: ["*"]', 'visible_to: there is no user "*"'),
    ("visible_to: []", "visible_to: names nobody"),
    ("visible_to: alice", 'visible_to: must be a list, not "alice"'),
    ("visible_to: [1]", "must be text, not the number 1"),
    ("scopes: [a b]", "scopes: 'a b' is no scope"),
    ('scopes: ["a\\"b"]', "is no scope"),
    ("scopes: a", 'scopes: must be a list, not "a"'),
]  # fmt: skip


@pytest.mark.parametrize(("said", "message"), MISTAKES)
def test_a_mistake_is_named(said: str, message: str) -> None:
    found = catalogue(f"    operations:\n      plain:\n        {said}\n")
    assert isinstance(found, Broken)
    assert any(message in problem.message for problem in found.problems), found.problems
