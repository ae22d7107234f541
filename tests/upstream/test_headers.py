"""References of the operator, their fingerprints, and the spellings of a secret."""

import base64
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from signoff.catalog.model import Reference, Text
from signoff.upstream.headers import (
    CredentialError,
    is_protected,
    is_sendable,
    parsed,
    spellings,
)
from upstream_parts import ENVIRONMENT, references, upstream

TOKEN = SecretStr("approval-token")


def test_a_reference_reads_back_into_its_parts() -> None:
    assert parsed("Bearer ${env:A} x ${file:/run/t} ${caller.sub}${approval.token}!") == (
        Text(text="Bearer "),
        Reference(kind="env", name="A"),
        Text(text=" x "),
        Reference(kind="file", name="/run/t"),
        Text(text=" "),
        Reference(kind="caller", name="sub"),
        Reference(kind="approval", name="token"),
        Text(text="!"),
    )


@pytest.mark.parametrize(
    "text", ["${", "${env:}", "${env:A", "${vault:x}", "${env:${env:A}}", "a${}"]
)
def test_a_broken_reference_is_refused(text: str) -> None:
    with pytest.raises(CredentialError):
        parsed(text)


def test_values_come_from_environment_file_and_approval(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\r\n")
    found = references(root=tmp_path).resolve(
        parsed("${env:OTHER} ${file:token} ${approval.token}"), approval_token=TOKEN
    )
    assert found.value.get_secret_value() == "another-value from-file approval-token"
    assert found.secrets == ("another-value", "from-file", "approval-token")


def test_a_resolved_value_never_shows_itself(tmp_path: Path) -> None:
    found = references(root=tmp_path).resolve(parsed("${env:BANK_TOKEN}"), approval_token=None)
    assert ENVIRONMENT["BANK_TOKEN"] not in str(found.value)
    assert ENVIRONMENT["BANK_TOKEN"] not in repr(found)


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    known = references(root=tmp_path)
    parts = parsed("${file:token}")
    prints: list[str | None] = []
    for content in ("one", "two", "two\n"):
        (tmp_path / "token").write_text(content)
        prints.append(known.fingerprint("X", parts))
    assert prints[0] != prints[1]
    assert prints[1] == prints[2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"a\nb", "holds characters"),
        (b"a\x00b", "holds characters"),
        ("ä".encode(), "holds characters"),
        (b"\xff", "holds characters"),
        (b"x" * 70_000, "is larger than"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_stand_in_a_header_is_named(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(CredentialError, match=rf"\$\{{file:token\}} {reason}"):
        references(root=tmp_path).resolve(parsed("${file:token}"), approval_token=None)


@pytest.mark.parametrize("value", [None, "", "a\r\nX: 1", "ä", "a\x00", " padded "])
def test_an_environment_variable_that_cannot_stand_in_a_header_is_named_without_its_value(
    value: str | None,
) -> None:
    environment = {} if value is None else {"A": value}
    with pytest.raises(CredentialError) as caught:
        references(environment).resolve(parsed("${env:A}"), approval_token=None)
    assert "${env:A}" in str(caught.value)
    assert not value or value not in str(caught.value)


def test_the_process_environment_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_SECRET", "x")
    with pytest.raises(CredentialError):
        references({}).resolve(parsed("${env:HOME_SECRET}"), approval_token=None)


def test_fingerprints_differ_by_header_template_and_value() -> None:
    prints = {
        references().fingerprint("A", parsed("${env:OTHER}")),
        references().fingerprint("B", parsed("${env:OTHER}")),
        references().fingerprint("A", parsed("x${env:OTHER}")),
        references().fingerprint("A", parsed("${env:OTHER}${approval.token}")),
        references({"OTHER": "y"}).fingerprint("A", parsed("${env:OTHER}")),
    }
    assert len(prints) == 5
    assert None not in prints
    assert references().fingerprint("a", parsed("${env:OTHER}")) in prints
    assert references().fingerprint("A", parsed("${approval.token}")) is None


def test_a_start_up_check_names_every_header_that_cannot_be_sent() -> None:
    bad = upstream(
        headers={
            "Authorization": "Bearer ${env:MISSING}",
            "X-File": "${file:missing}",
            "X-Who": "${caller.password}",
            "X-Approval": "${approval.id}",
            "X-Line": "a\r\nb",
            "X Y": "1",
            "Host": "evil",
            "Content-Length": "1",
            "Idempotency-Key": "1",
            "X_who": "twice",
        }
    )
    where = "upstreams.bank.headers."
    assert references().check([bad]) == (
        f"{where}Authorization: ${{env:MISSING}}: the environment variable MISSING is not set",
        f"{where}X-File: ${{file:missing}} cannot be read: No such file or directory",
        (
            f"{where}X-Who: ${{caller.password}} is none of a caller's: "
            "sub, client_id, issuer, kind, agent_id, host_id"
        ),
        f"{where}X-Approval: ${{approval.id}}: only ${{approval.token}} exists",
        f"{where}X-Line: holds characters that a header cannot carry",
        f"{where}X Y: not a header name",
        f"{where}Host: signoff sets this header itself",
        f"{where}Content-Length: signoff sets this header itself",
        f"{where}Idempotency-Key: signoff sets this header itself",
        f"{where}X_who: stands twice",
    )


def test_a_start_up_check_passes_what_can_be_sent() -> None:
    good = upstream(
        headers={
            "Authorization": "Bearer ${env:BANK_TOKEN}",
            "X-Who": "${caller.sub}",
            "X-Approval": "${approval.token}",
            "Accept": "text/csv",
        }
    )
    assert references().check([good]) == ()


@pytest.mark.parametrize("name", ["X-Trace", "If-Match", "Prefer", "Range", "X-Account_Id"])
def test_an_ordinary_header_is_not_protected(name: str) -> None:
    assert not is_protected(name)


@pytest.mark.parametrize("value", ["", "a", "a b", "~!@#$%^&*()"])
def test_visible_ascii_is_sendable(value: str) -> None:
    assert is_sendable(value)


SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=4, max_size=40)


@given(SECRETS, st.binary(max_size=5), st.binary(max_size=5))
def test_no_spelling_of_a_secret_survives(secret: str, before: bytes, after: bytes) -> None:
    found = spellings(secret)
    inside = base64.b64encode(before + secret.encode() + after)
    forms = [
        secret.encode(),
        quote(secret, safe="").encode(),
        quote_plus(secret).encode(),
        json.dumps(secret)[1:-1].encode(),
        base64.b64encode(secret.encode()),
        base64.urlsafe_b64encode(secret.encode()).rstrip(b"="),
    ]
    if len(secret) >= 9:
        forms.append(inside)
    for form in forms:
        assert any(spelling in form for spelling in found), form


def test_a_basic_credential_is_known_by_its_password_too() -> None:
    basic = base64.b64encode(b"bank:hunter22").decode()
    assert b"hunter22" in spellings(basic)
    assert b"bank:hunter22" in spellings(basic)


def test_a_very_short_secret_is_not_searched_for() -> None:
    assert spellings("ab") == ()


def test_a_fingerprint_is_the_same_however_its_texts_are_split() -> None:
    """A caller's name between texts is one text once the frozen reference is read back."""
    split = (Text(text="a "), Text(text="alice"), Text(text=" "), *parsed("${env:BANK_TOKEN}"))
    whole = parsed("a alice ${env:BANK_TOKEN}")
    assert references().fingerprint("X", split) == references().fingerprint("X", whole)
    assert references().fingerprint("X", split) != references().fingerprint("X", split[1:])
