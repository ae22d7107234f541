"""Verification: a table of tokens that must not pass, each wrong in one thing."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import (
    at_hash,
    key_id,
    unverified_claims,
    verify_access_token,
    verify_client_assertion,
    verify_head,
    verify_id_token,
)

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
KEY = ECKey.generate_key("P-256", {"kid": "one"})
KEYS = KeySet([KEY.as_dict(private=False)])  # pyright: ignore[reportArgumentType] — a JWK
HEADER = {"alg": "ES256", "kid": "one", "typ": "at+jwt"}
CLAIMS: dict[str, Any] = {
    "iss": "https://as.example",
    "aud": "https://bank.example",
    "sub": "alice",
    "client_id": "signoff-gate",
    "jti": "j",
    "iat": AT,
    "exp": AT + 120,
}


def signed(
    claims: dict[str, Any] | bytes,
    *,
    header: dict[str, Any] | None = None,
    key: Any = KEY,
) -> str:
    payload = claims if isinstance(claims, bytes) else json.dumps(claims)
    head = {**HEADER, **(header or {})}
    kept = {name: value for name, value in head.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[str(head["alg"])], strict_check_header=False)
    return jws.serialize_compact(kept, payload, key, registry=registry)


def verify(token: str, **changed: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "keys": KEYS,
        "issuer": "https://as.example",
        "audience": "https://bank.example",
        "now": NOW,
        "leeway_s": 0.0,
    }
    return verify_access_token(token, **{**settings, **changed})


def raw(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts)


def test_a_token_that_holds_gives_its_claims() -> None:
    assert verify(signed(CLAIMS)) == CLAIMS
    assert verify(signed(CLAIMS, header={"typ": "application/at+jwt"})) == CLAIMS


@pytest.mark.parametrize("name", list(CLAIMS))
def test_a_token_without_an_essential_claim_is_refused(name: str) -> None:
    with pytest.raises(TokenError):
        verify(signed({key: value for key, value in CLAIMS.items() if key != name}))


BIG = 10**400


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://as.example/"},
        {"iss": ["https://as.example"]},
        {"aud": ["https://bank.example"]},
        {"aud": "https://bank.example/"},
        {"aud": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 2000},
        {"client_id": ["signoff-gate"]},
        {"jti": ""},
        {"exp": AT},
        {"exp": True},
        {"exp": str(AT + 60)},
        {"exp": None},
        {"exp": -1},
        {"exp": BIG},
        {"exp": AT + 86_500},
        {"iat": AT + 1},
        {"iat": False},
        {"iat": BIG},
        {"iat": AT + 120},
        {"nbf": AT + 1},
        {"nbf": "soon"},
    ],
)
def test_a_token_with_one_wrong_claim_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        verify(signed({**CLAIMS, **wrong}))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"exp":NaN}',
        b'{"exp":1e999}',
        b'{"sub":"alice","sub":"bob"}',
        b'{"a":"\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_a_payload_that_parsers_disagree_on_is_refused(payload: bytes) -> None:
    with pytest.raises(TokenError):
        verify(signed(payload))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": None},
        {"typ": "JWT"},
        {"typ": 1},
        {"kid": "two"},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
        {"kid": ""},
        {"kid": "k" * 200},
        {"crit": ["exp"]},
        {"b64": False},
    ],
)
def test_a_header_that_is_not_ours_is_refused(header: dict[str, Any]) -> None:
    protected = {k: v for k, v in {**HEADER, **header}.items() if v is not None}
    honest = signed(CLAIMS).split(".")
    token = ".".join([raw(protected, {}).split(".")[0], *honest[1:]])
    with pytest.raises(TokenError):
        verify(token)


def test_a_header_that_brings_its_own_key_or_an_address_of_one_is_not_read() -> None:
    evil = ECKey.generate_key("P-256", {"kid": "one"})
    brought = {
        "jwk": evil.as_dict(private=False),
        "jku": "http://127.0.0.1:1/jwks",
        "x5u": "http://127.0.0.1:1/x5u",
    }
    for name, value in brought.items():
        with pytest.raises(TokenError):
            verify(signed(CLAIMS, header={name: value}, key=evil))


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("HS256", OctKey.import_key(json.dumps(KEY.as_dict(private=False)))),
        ("HS256", OctKey.import_key("one" * 16)),
        ("RS256", RSAKey.generate_key(2048)),
        ("PS256", RSAKey.generate_key(2048)),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
        ("ES256", ECKey.generate_key("P-256")),
    ],
)
def test_a_token_of_another_algorithm_or_key_is_refused(alg: str, key: Any) -> None:
    with pytest.raises(TokenError):
        verify(signed(CLAIMS, header={"alg": alg}, key=key))


@pytest.mark.parametrize("alg", ["none", "nOnE", "NONE", "", None, 1, ["ES256"]])
def test_a_token_without_a_signature_is_refused(alg: Any) -> None:
    with pytest.raises(TokenError):
        verify(raw({**HEADER, "alg": alg}, CLAIMS))
    with pytest.raises(TokenError):
        verify(raw({**HEADER, "alg": alg}, CLAIMS, signature=b"\x00" * 64))


@pytest.mark.seed("CIBA-66")
@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519", "PS256", "ES256"])
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_a_client_assertion_is_taken_in_every_algorithm_we_name(alg: str) -> None:
    key: Any = KEY
    if alg.startswith("Ed"):
        key = OKPKey.generate_key("Ed25519", {"kid": "one"})
    if alg == "PS256":
        key = RSAKey.generate_key(2048, {"kid": "one"})
    claims = {"iss": "c", "sub": "c", "aud": "us", "jti": "1", "iat": AT, "exp": AT + 60}
    settings: dict[str, Any] = {"client_id": "c", "audiences": {"us"}, "now": NOW}
    token = signed(claims, header={"alg": alg, "typ": "JWT"}, key=key)
    assert verify_client_assertion(token, keys=KeySet([key.as_dict(private=False)]), **settings)


@pytest.mark.seed("CIBA-66")
@pytest.mark.parametrize("alg", ["RS256", "RS512", "PS512", "ES512", "HS256"])
def test_a_client_assertion_in_any_other_algorithm_is_refused(alg: str) -> None:
    curve = ECKey.generate_key("P-521", {"kid": "one"})
    rsa = RSAKey.generate_key(2048, {"kid": "one"})
    key: Any = {"ES": curve, "HS": OctKey.import_key("one" * 16)}.get(alg[:2], rsa)
    public: Any = rsa.as_dict(private=False) if alg == "HS256" else key.as_dict(private=False)
    claims = {"iss": "c", "sub": "c", "aud": "us", "jti": "1", "iat": AT, "exp": AT + 60}
    settings: dict[str, Any] = {"client_id": "c", "audiences": {"us"}, "now": NOW}
    token = signed(claims, header={"alg": alg, "typ": "JWT"}, key=key)
    with pytest.raises(TokenError):
        verify_client_assertion(token, keys=KeySet([public]), **settings)


def test_an_allowed_algorithm_of_another_key_is_refused() -> None:
    rsa = RSAKey.generate_key(2048, {"kid": "one"})
    token = signed(CLAIMS, header={"alg": "PS256"}, key=rsa)
    with pytest.raises(TokenError):
        verify(token, algorithms=("ES256", "PS256"))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c.d.e", "a.b", "é.é.é", "%%.%%.%%", "x" * 5_000_000, "a." * 400_000],
)
def test_what_is_no_compact_jws_is_refused_before_it_is_read(token: str) -> None:
    for read in (verify, key_id, unverified_claims):
        with pytest.raises(TokenError):
            read(token)


def test_a_changed_byte_anywhere_is_refused() -> None:
    token = signed(CLAIMS)
    for position in range(0, len(token), 7):
        flipped = "A" if token[position] != "A" else "B"
        with pytest.raises(TokenError):
            verify(token[:position] + flipped + token[position + 1 :])


def test_clocks_may_differ_by_the_leeway_and_no_more() -> None:
    late = {**CLAIMS, "exp": AT - 4, "iat": AT - 60}
    assert verify(signed(late), leeway_s=5.0) == late
    with pytest.raises(TokenError):
        verify(signed({**late, "exp": AT - 5}), leeway_s=5.0)


def id_token(token: str, **changed: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "keys": KEYS,
        "issuer": "https://as.example",
        "client_id": "signoff-gate",
        "now": NOW,
    }
    return verify_id_token(token, **{**settings, **changed})


def test_an_id_token_is_for_its_client_and_bound_to_its_access_token() -> None:
    claims = {**CLAIMS, "aud": "signoff-gate", "at_hash": at_hash("the token"), "auth_time": AT}
    token = signed(claims, header={"typ": "JWT"})
    assert id_token(token, access_token="the token") == claims
    with pytest.raises(TokenError):
        id_token(token, access_token="another")
    with pytest.raises(TokenError):
        id_token(token, client_id="another")
    for wrong in ({"azp": "another"}, {"auth_time": "now"}, {"at_hash": None}):
        with pytest.raises(TokenError):
            id_token(signed({**claims, **wrong}, header={"typ": None}), access_token="the token")


def test_one_kind_of_token_is_never_taken_for_another() -> None:
    access, head = signed(CLAIMS), signed(CLAIMS, header={"typ": "signoff-audit-head+jwt"})
    identity = signed({**CLAIMS, "aud": "signoff-gate"}, header={"typ": "JWT"})
    for read, wrong in ((verify, identity), (verify, head), (id_token, access), (id_token, head)):
        with pytest.raises(TokenError):
            read(wrong)
    for wrong in (access, identity):
        with pytest.raises(TokenError):
            verify_head(wrong, keys=KEYS)


@pytest.mark.parametrize(
    "claims", [{}, {"seq": True, "head": "00"}, {"seq": 1}, {"seq": 1, "head": "not hex"}]
)
def test_a_head_that_says_nothing_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        verify_head(signed(claims, header={"typ": "signoff-audit-head+jwt"}), keys=KEYS)
