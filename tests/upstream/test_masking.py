"""What people must not see is sent, and never shown, stored in clear or guessed."""

import json
from dataclasses import replace
from typing import Any

from signoff.canonical import Json, sha256_hex
from signoff.catalog.wire import Body
from signoff.upstream.request import (
    FrozenRequest,
    mask_arguments,
)
from upstream_parts import SEALER, frozen, parameter, tool

LOGIN = tool(
    "/login/{tenant}",
    method="POST",
    parameters=[
        parameter("tenant", "path", secret=True),
        parameter("otp", "query", secret=True),
        parameter("key", "header", name="X-Key", secret=True),
        parameter("sid", "cookie", secret=True),
    ],
    body=Body(
        kind="members",
        members={"password": "pass", "card": "card", "who": "who", "cards": "cards"},
        secrets=frozenset({("pass",), ("card", "number"), ("cards", "number")}),
    ),
    secret_arguments=frozenset({"who"}),
)
HIDDEN: dict[str, Json] = {
    "tenant": "TENANTSECRET",
    "otp": "OTPSECRET",
    "key": "KEYSECRET",
    "sid": "SIDSECRET",
    "password": "PASSWORDSECRET",
    "card": {"number": 4111111111111111, "name": "Alice"},
    "cards": [{"number": "CARDSECRET"}, {"name": "Bob"}],
    "who": ["WHOSECRET"],
}


def test_masked_values_are_sent_but_never_shown() -> None:
    request = frozen(LOGIN, HIDDEN, call_id="call_1")
    details = request.details()
    shown = json.dumps(details, ensure_ascii=False)
    assert "SECRET" not in shown
    assert "4111" not in shown
    assert details["url"] == (
        "https://bank.example/api/login/•••• (12 characters)?otp=•••• (9 characters)"
    )
    assert json.loads(str(details["body"])) == {
        "pass": "•••• (14 characters)",
        "card": {"number": "•••• (16 characters)", "name": "Alice"},
        "cards": [{"number": "•••• (10 characters)"}, {"name": "Bob"}],
        "who": "•••• (13 characters)",
    }
    assert details["masked"] == [
        "arguments.card.number",
        "arguments.cards.number",
        "arguments.key",
        "arguments.otp",
        "arguments.password",
        "arguments.sid",
        "arguments.tenant",
        "arguments.who",
    ]
    assert request.url == "https://bank.example/api/login/TENANTSECRET?otp=OTPSECRET"
    for name, content in (("url_sha256", request.url.encode()), ("body_sha256", request.body)):
        assert str(details[name]).startswith("hmac-sha-256:")
        assert sha256_hex(content or b"") not in shown
    assert b"PASSWORDSECRET" in (request.body or b"")
    headers: Any = details["headers"]
    assert headers["X-Key"]["reference"] == "•••• (9 characters)"
    assert headers["Cookie"]["reference"] == "sid=•••• (9 characters)"
    assert ("X-Key", "KEYSECRET") in [(one.name, one.value) for one in request.headers]
    assert ("Cookie", "sid=SIDSECRET") in [(one.name, one.value) for one in request.headers]


def test_the_digest_changes_with_a_masked_header() -> None:
    one = frozen(LOGIN, HIDDEN, call_id="call_1").details()
    other = frozen(LOGIN, HIDDEN | {"key": "KEYSECREX"}, call_id="call_1").details()
    assert one["headers"] != other["headers"]


def test_the_hashes_of_a_masked_request_differ_by_call_and_cannot_be_guessed() -> None:
    """A PIN has 10,000 values: whoever sees a plain hash of the request tries them all."""
    spec = tool("/x", method="POST", body=Body(kind="whole", secrets=frozenset({("pin",)})))
    hashes: set[str] = set()
    for call_id in ("call_1", "call_2"):
        details = frozen(spec, {"body": {"pin": "1234"}}, call_id=call_id).details()
        hashes |= {str(details["url_sha256"]), str(details["body_sha256"])}
        for pin in range(10_000):
            assert details["body_sha256"] != sha256_hex(f'{{"pin":"{pin:04}"}}'.encode())
    assert len(hashes) == 4


def test_the_hashes_of_a_masked_request_are_found_again_from_its_record() -> None:
    spec = tool("/x", method="POST", body=Body(kind="whole", secrets=frozenset({("pin",)})))
    request = frozen(spec, {"body": {"pin": "1234"}}, call_id="call_1")
    again = FrozenRequest.from_record(request.to_record())
    assert again.details() == request.details()
    changed = replace(again, body=b'{"pin":"1235"}')
    assert changed.details()["body_sha256"] != request.details()["body_sha256"]


def test_nothing_is_masked_where_no_secret_was_given() -> None:
    spec = tool("/x", method="POST", body=Body(kind="whole", secrets=frozenset({("pin",)})))
    request = frozen(spec, {"body": {"name": "x"}})
    assert request.masked == ()
    assert request.details()["body"] == '{"name":"x"}'


def test_a_secret_inside_a_whole_body_is_masked_by_its_path() -> None:
    body = Body(kind="whole", argument="payload", secrets=frozenset({("user", "pin")}))
    spec = tool("/x", method="POST", body=body)
    arguments: dict[str, Json] = {"payload": {"user": {"pin": "1234", "name": "x"}}}
    details = frozen(spec, arguments).details()
    assert details["body"] == '{"user":{"pin":"•••• (4 characters)","name":"x"}}'
    assert details["masked"] == ["arguments.payload.user.pin"]
    masked = json.dumps(mask_arguments(spec, arguments, call_id="c", sealer=SEALER))
    assert "1234" not in masked


def test_secrets_of_members_without_names_of_their_own_are_masked() -> None:
    body = Body(kind="whole", argument="payload", secrets=frozenset({("keys", "*"), ("pin",)}))
    spec = tool("/x", method="POST", body=body)
    arguments: dict[str, Json] = {"payload": [{"keys": {"a": "SECRET"}, "pin": "SECRET", "x": 1}]}
    details = frozen(spec, arguments).details()

    assert details["body"] == (
        '[{"keys":{"a":"•••• (6 characters)"},"pin":"•••• (6 characters)","x":1}]'
    )
    assert details["masked"] == ["arguments.payload.keys.*", "arguments.payload.pin"]


def test_undeclared_members_of_a_body_are_masked_when_they_are_secret() -> None:
    body = Body(kind="members", members={}, secrets=frozenset({("*",)}), open_members=True)
    spec = tool("/x", method="POST", body=body)
    details = frozen(spec, {"anything": "SECRET"}).details()

    assert "SECRET" not in json.dumps(details)
    assert details["masked"] == ["arguments.*"]


def test_masked_arguments_tell_length_and_a_hash_of_this_call_only() -> None:
    masked: Any = mask_arguments(LOGIN, HIDDEN, call_id="call_1", sealer=SEALER)
    assert "SECRET" not in json.dumps(masked)
    assert masked["password"].startswith("•••• (14 characters) #")
    assert masked["card"]["name"] == "Alice"
    assert masked == mask_arguments(LOGIN, HIDDEN, call_id="call_1", sealer=SEALER)
    assert masked != mask_arguments(LOGIN, HIDDEN, call_id="call_2", sealer=SEALER)
    assert mask_arguments(tool(), {"a": 1}, call_id="c", sealer=SEALER) == {"a": 1}
