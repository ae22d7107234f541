"""A caller is a value: what it says of itself reads back, and nothing is guessed."""

import pytest

from signoff.identity import Caller, ClientInfo

MACHINE = Caller(kind="oauth", issuer="https://sign.example", client_id="ci")
PERSON = Caller(kind="oauth", issuer="https://sign.example", client_id="claude", sub="alice")
AGENT = Caller(
    kind="agent", issuer="https://sign.example", client_id="c", sub="a", agent_id="g", host_id="h"
)
LOCAL = Caller(kind="local", issuer="local", client_id="local:1", sub="alice")


@pytest.mark.parametrize("caller", [MACHINE, PERSON, AGENT, LOCAL])
def test_a_caller_reads_back(caller: Caller) -> None:
    assert Caller.from_json(caller.as_json()) == caller


def test_only_what_is_set_is_written() -> None:
    assert MACHINE.as_json() == {
        "kind": "oauth",
        "issuer": "https://sign.example",
        "client_id": "ci",
    }


def test_every_member_tells_callers_apart() -> None:
    alike = [
        PERSON,
        MACHINE,
        LOCAL,
        AGENT,
        Caller(kind="oauth", issuer="https://other.example", client_id="claude", sub="alice"),
        Caller(kind="oauth", issuer="https://sign.example", client_id="claude", sub="bob"),
        Caller(kind="oauth", issuer="https://sign.example", client_id="cursor", sub="alice"),
    ]
    assert len({tuple(sorted(caller.as_json().items())) for caller in alike}) == len(alike)


@pytest.mark.parametrize("missing", ["kind", "issuer", "client_id"])
def test_a_caller_that_lacks_a_member_is_none(missing: str) -> None:
    members = {name: value for name, value in PERSON.as_json().items() if name != missing}
    with pytest.raises(KeyError):
        Caller.from_json(members)


@pytest.mark.parametrize("kind", ["root", "", "OAUTH"])
def test_a_caller_of_an_unknown_kind_is_none(kind: str) -> None:
    with pytest.raises(ValueError, match="kind"):
        Caller.from_json({**PERSON.as_json(), "kind": kind})


def test_a_caller_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        PERSON.sub = "bob"  # pyright: ignore[reportAttributeAccessIssue] — the point


def test_a_client_that_says_nothing_is_nameless() -> None:
    assert ClientInfo() == ClientInfo(name="", version="")
