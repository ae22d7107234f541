"""Key sets: what is trusted, what is left out, what is refused."""

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey

from signoff.tokens.keys import KeySet, TokenError


def public(key: Any, **members: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **members}


EC = ECKey.generate_key("P-256")


def test_signing_keys_are_found_by_kid_or_thumbprint() -> None:
    named, nameless = public(EC, kid="one"), public(OKPKey.generate_key("Ed25519"))
    keys = KeySet([named, nameless])
    assert len(keys) == 2
    assert "one" in keys
    assert keys.find("two") is None
    assert keys.find(None) is None
    assert KeySet([nameless]).find(None) is not None
    assert KeySet.parse(json.dumps(keys.as_json())).as_json() == keys.as_json()


@pytest.mark.parametrize(
    "left_out",
    [
        public(EC, use="enc"),
        public(EC, alg="HS256"),
        public(EC, alg="none"),
        public(ECKey.generate_key("P-384")),
        public(ECKey.generate_key("secp256k1")),
        {"kty": "quantum", "crv": "Q-1"},
        {"kty": "EC", "crv": ["P-256"]},
    ],
)
def test_a_key_that_cannot_sign_for_us_is_left_out(left_out: dict[str, Any]) -> None:
    assert len(KeySet([public(ECKey.generate_key("P-256")), left_out])) == 1


@pytest.mark.parametrize(
    "keys",
    [
        [OctKey.import_key("secret" * 8).as_dict()],
        [EC.as_dict(private=True)],
        [public(EC, kid="one"), public(ECKey.generate_key("P-256"), kid="one")],
        [{"kty": "RSA", "n": "_" * 171, "e": "AQAB"}],
        [{"kty": "RSA", "n": "_" * 20_000, "e": "AQAB"}],
        [public(EC, x="AA")],
        [{"kty": "EC", "crv": "P-256"}],
        [{"kty": "RSA", "n": "!", "e": "AQAB"}],
        [public(ECKey.generate_key("P-256"), kid=str(n)) for n in range(101)],
    ],
)
def test_a_key_set_with_a_secret_a_twin_or_a_broken_key_is_refused(
    keys: list[dict[str, Any]],
) -> None:
    with pytest.raises(TokenError):
        KeySet(keys)


@pytest.mark.parametrize(
    "document",
    ["", "[]", "{}", '{"keys":{}}', '{"keys":[1]}', '{"keys":[],"keys":[]}', " " * 200_000],
)
def test_what_is_no_key_set_is_refused(document: str) -> None:
    with pytest.raises(TokenError):
        KeySet.parse(document)
