"""A device key says yes only to what it signed, and only for its own session."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey

from signoff.approvals.sessions import (
    BadProof,
    DeviceKey,
    DeviceKeyError,
    NeedsKey,
    Proved,
    Session,
    Verb,
    check_proof,
    proof_message,
)

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
MESSAGE = proof_message("approve", approval_id="apr_1", digest="sha-256:aa", nonce="n")


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def jwk_of(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    x, y = (encode(number.to_bytes(32)) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> str:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return encode(r.to_bytes(32) + s.to_bytes(32))


@pytest.fixture
def private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def session(private: ec.EllipticCurvePrivateKey) -> Session:
    key = DeviceKey.from_jwk(jwk_of(private))
    return Session(id="ses_1", user_id="alice", device_key=key, created_at=NOW, seen_at=NOW)


def test_its_own_signature_proves_the_act(
    session: Session, private: ec.EllipticCurvePrivateKey
) -> None:
    assert check_proof(session, sign(private, MESSAGE), MESSAGE, https=False) == Proved()


@pytest.mark.parametrize(
    "other",
    [
        proof_message("approve", approval_id="apr_2", digest="sha-256:aa", nonce="n"),
        proof_message("approve", approval_id="apr_1", digest="sha-256:ab", nonce="n"),
        proof_message("approve", approval_id="apr_1", digest="sha-256:aa", nonce="m"),
        proof_message("done", approval_id="apr_1", digest="sha-256:aa", nonce="n"),
        b"",
    ],
)
@pytest.mark.parametrize("https", [True, False])
def test_a_signature_over_another_act_proves_nothing(
    session: Session, private: ec.EllipticCurvePrivateKey, other: bytes, *, https: bool
) -> None:
    assert check_proof(session, sign(private, other), MESSAGE, https=https) == BadProof()


VERBS: tuple[Verb, ...] = get_args(Verb)


@pytest.mark.parametrize(("said", "wanted"), [*permutations(VERBS, 2)])
def test_a_proof_for_one_act_serves_no_other_though_everything_else_is_the_same(
    session: Session, private: ec.EllipticCurvePrivateKey, said: Verb, wanted: Verb
) -> None:
    same = {"approval_id": "apr_1", "digest": "sha-256:aa", "nonce": "n"}
    proof = sign(private, proof_message(said, **same))
    assert check_proof(session, proof, proof_message(said, **same), https=False) == Proved()
    assert check_proof(session, proof, proof_message(wanted, **same), https=False) == BadProof()


def test_another_key_proves_nothing(session: Session) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    assert check_proof(session, sign(other, MESSAGE), MESSAGE, https=False) == BadProof()


@pytest.mark.parametrize(
    "proof",
    ["", "A", "AAAA", "A" * 86, "A" * 87, "!" * 86, "é" * 86, "A" * 100_000,
     "=" * 86, encode(b"\xff" * 64)],
)  # fmt: skip
def test_a_malformed_proof_proves_nothing(session: Session, proof: str) -> None:
    assert check_proof(session, proof, MESSAGE, https=False) == BadProof()


def test_without_a_device_key_plain_http_needs_one_and_https_does_not(session: Session) -> None:
    keyless = replace(session, device_key=None)
    assert check_proof(keyless, "", MESSAGE, https=False) == NeedsKey()
    assert check_proof(keyless, "A" * 86, MESSAGE, https=True) == NeedsKey()
    assert check_proof(keyless, "", MESSAGE, https=True) == Proved()


def test_a_cookie_alone_is_enough_on_https_only(session: Session) -> None:
    assert check_proof(session, "", MESSAGE, https=True) == Proved()
    assert check_proof(session, "", MESSAGE, https=False) == BadProof()


def test_what_webcrypto_adds_to_a_jwk_is_ignored(private: ec.EllipticCurvePrivateKey) -> None:
    jwk = jwk_of(private)
    exported: dict[str, Any] = {**jwk, "ext": True, "key_ops": ["verify"]}
    assert DeviceKey.from_jwk(exported) == DeviceKey.from_jwk(jwk)


def test_the_id_is_the_thumbprint_that_others_compute(
    private: ec.EllipticCurvePrivateKey,
) -> None:
    jwk = jwk_of(private)
    assert DeviceKey.from_jwk(jwk).id == ECKey.import_key(jwk).thumbprint()


@pytest.mark.parametrize(
    "change",
    [
        {"d": "AAAA"},
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"x": None},
        {"x": 5},
        {"x": "AAAA"},
        {"x": "A" * 43},
        {"y": "A" * 42 + "="},
        {"y": "A" * 43},
    ],
)
def test_any_other_key_is_refused(
    private: ec.EllipticCurvePrivateKey, change: dict[str, Any]
) -> None:
    with pytest.raises(DeviceKeyError):
        DeviceKey.from_jwk({**jwk_of(private), **change})
