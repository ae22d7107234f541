"""The details of a call: one digest over everything shown, checked member by member."""

from typing import Any

import pytest

from signoff.approvals.details import DetailsError, check_details, details_digest, token_details
from signoff.canonical import Json, canonical_bytes, sha256_hex

URL = "https://bank.example/transfers"
BODY = '{"amount":25}'
Details = dict[str, Any]


def made(**changes: Json) -> Details:
    details: Details = {
        "type": "tool_call",
        "version": 1,
        "call_id": "call_1",
        "nonce": "n1",
        "tool": "transfer_funds",
        "title": [{"text": "Transfer "}, {"argument": "amount", "value": "25"}],
        "risk": "high",
        "catalogue_digest": sha256_hex(b"catalogue"),
        "caller": {"kind": "oauth", "issuer": "local", "client_id": "claude", "sub": "alice"},
        "client_info": {"name": "claude", "version": "1"},
        "approvers": ["alice"],
        "acr": "session",
        "arguments": {"amount": 25},
        "said": None,
        "repeat_of": None,
        "again": False,
        "request": {
            "method": "POST",
            "url": URL,
            "url_sha256": sha256_hex(URL.encode()),
            "template": "/transfers",
            "headers": {"Content-Type": "application/json"},
            "body": BODY,
            "body_sha256": sha256_hex(BODY.encode()),
            "body_bytes": len(BODY),
            "body_media_type": "application/json",
            "masked": [],
        },
        **changes,
    }
    details["digest"] = details_digest(details)
    return details


def refused(details: Details) -> str:
    with pytest.raises(DetailsError) as error:
        check_details(details)
    return str(error.value)


def test_details_that_were_made_here_hold() -> None:
    check_details(made())


@pytest.mark.parametrize("member", sorted(set(made()) - {"digest", "type", "version", "request"}))
def test_every_member_is_under_the_digest(member: str) -> None:
    other: dict[str, Json] = {
        "call_id": "call_2",
        "nonce": "n2",
        "tool": "close_account",
        "title": [{"text": "Harmless"}],
        "risk": "low",
        "catalogue_digest": sha256_hex(b"another"),
        "caller": {"kind": "oauth", "issuer": "local", "client_id": "evil"},
        "client_info": {"name": "evil", "version": "1"},
        "approvers": ["mallory"],
        "acr": "passkey",
        "arguments": {"amount": 2500},
        "said": "please",
        "repeat_of": {"call_id": "call_0", "outcome": "succeeded", "at": "14:02"},
        "again": True,
    }
    assert "digest" in refused({**made(), member: other[member]})


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("method", "DELETE", "digest"),
        ("template", "/elsewhere", "digest"),
        ("headers", {"Content-Type": "text/plain"}, "digest"),
        ("body_bytes", 5, "digest"),
        ("body_media_type", None, "digest"),
        ("url", "https://evil.example/", "request.url"),
        ("url_sha256", sha256_hex(b"https://evil.example/"), "request.url"),
        ("body", '{"amount":2500}', "request.body"),
        ("body_sha256", sha256_hex(b"{}"), "request.body"),
        ("masked", ["amount"], "digest"),
    ],
)
def test_every_member_of_the_request_is_under_the_digest(
    member: str, value: Json, words: str
) -> None:
    details = made()
    details["request"][member] = value
    assert words in refused(details)


def test_another_url_with_its_own_hash_does_not_hold() -> None:
    details = made()
    details["request"]["url"] = "https://evil.example/"
    details["request"]["url_sha256"] = sha256_hex(b"https://evil.example/")
    assert "digest" in refused(details)


def test_another_body_with_its_own_hash_does_not_hold() -> None:
    details = made()
    details["request"]["body"] = "{}"
    details["request"]["body_sha256"] = sha256_hex(b"{}")
    assert "digest" in refused(details)


@pytest.mark.parametrize("member", sorted(made()))
def test_a_member_that_is_missing_is_refused(member: str) -> None:
    details = made()
    del details[member]
    refused(details)


@pytest.mark.parametrize("member", sorted(made()["request"]))
def test_a_member_of_the_request_that_is_missing_is_refused(member: str) -> None:
    details = made()
    del details["request"][member]
    refused(details)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("type", "payment"),
        ("version", 2),
        ("extra", 1),
        ("request.extra", 1),
        ("risk", "none"),
        ("acr", "password"),
        ("approvers", []),
        ("approvers", ["alice", "alice"]),
        ("approvers", "alice"),
        ("approvers", ["a" * 201]),
        ("title", []),
        ("title", "Transfer"),
        ("title", [{"html": "<b>"}]),
        ("title", [{"text": "x" * 501}]),
        ("said", "x" * 501),
        ("call_id", ""),
        ("caller", {"client_id": "x"}),
        ("catalogue_digest", "sha-256:x"),
        ("arguments", []),
        ("request.method", "post"),
        ("request.method", "GET\r\nX: y"),
        ("request.headers", {"X": 1}),
        ("request.headers", {"X": {"reference": "${env:X}"}}),
        ("request.body_bytes", -1),
        ("again", "yes"),
    ],
)
def test_details_of_another_shape_are_refused_even_with_a_fitting_digest(
    path: str, value: Json
) -> None:
    details = made()
    *steps, member = path.split(".")
    place = details["request"] if steps else details
    place[member] = value
    details["digest"] = details_digest(details)
    refused(details)


def test_a_masked_value_is_covered_by_the_hash_of_the_true_bytes() -> None:
    details = made()
    details["request"]["body"] = '{"amount":"•••• (2 characters)"}'
    details["request"]["masked"] = ["amount"]
    details["digest"] = details_digest(details)
    check_details(details)

    details["request"]["body_sha256"] = sha256_hex(b"other")
    assert "digest" in refused(details)


def test_a_body_too_large_to_stand_inline_is_covered_by_its_hash() -> None:
    details = made()
    details["request"]["body"] = None
    details["digest"] = details_digest(details)
    check_details(details)


def test_the_token_carries_what_a_resource_compares() -> None:
    details = made()
    form = token_details(details)

    assert form == {
        **{
            name: details[name]
            for name in (
                "type", "version", "call_id", "nonce", "tool", "catalogue_digest", "caller",
                "digest", "arguments",
            )
        },
        "request": {
            name: details["request"][name]
            for name in ("method", "url", "url_sha256", "body_sha256")
        },
    }  # fmt: skip


def test_large_arguments_travel_as_their_hash() -> None:
    arguments: dict[str, Json] = {"note": "x" * 3_000}
    form = token_details(made(arguments=arguments))

    assert "arguments" not in form
    assert form["arguments_sha256"] == sha256_hex(canonical_bytes(arguments))


def test_a_body_that_is_not_shown_has_a_plain_hash_unless_something_is_masked() -> None:
    """A keyed hash can be checked by the gate alone: it would leave the body to nobody's eyes."""
    details = made()
    details["request"] |= {"body": None, "body_sha256": "hmac-sha-256:" + "0" * 64}
    details["digest"] = details_digest(details)
    assert refused(details) == "request.body_sha256 is keyed, and nothing is masked"
    details["request"]["masked"] = ["arguments.pin"]
    details["digest"] = details_digest(details)
    check_details(details)
