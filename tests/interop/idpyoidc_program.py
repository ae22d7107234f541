"""idpyoidc, unmodified: its message classes judge what we sent and answered, and sign a request."""

import json
import os
import sys
from importlib import import_module
from typing import Any

# By name: what they are is known in the venv this runs in, and not in ours.
ciba: Any = import_module("idpyoidc.message.oidc.backchannel_authentication")
oidc: Any = import_module("idpyoidc.message.oidc")
KeyJar: Any = import_module("cryptojwt").KeyJar
key_from_jwk_dict: Any = import_module("cryptojwt.jwk.jwk").key_from_jwk_dict

known: dict[str, Any] = json.loads(os.environ["KNOWN"])
keys = KeyJar()
keys.import_jwks(known["jwks"], known["issuer"])
signing = key_from_jwk_dict(json.loads(os.environ["PRIVATE_JWK"]))


def judged(kind: str, message: dict[str, Any] | str, **more: Any) -> str:
    made = getattr(ciba if hasattr(ciba, kind) else oidc, kind)
    try:
        read = made().from_urlencoded(message) if isinstance(message, str) else made(**message)
        read.verify(**more)
    except Exception as error:  # noqa: BLE001 — its errors have no common base
        return f"{type(error).__name__}: {error}"
    return "holds"


def tokens(answer: dict[str, Any]) -> str:
    return judged(
        "AccessTokenResponse",
        answer,
        keyjar=keys,
        iss=known["issuer"],
        client_id=known["client_id"],
        allowed_sign_alg="ES256",
        check_hash=True,
        skew=5,
    )


told = {
    name: tokens(message) if kind == "AccessTokenResponse" else judged(kind, message, **more)
    for name, (kind, message, more) in json.loads(os.environ["MESSAGES"]).items()
}
claims = ciba.AuthenticationRequestJWT(**known["claims"])
claims.verify(issuer=known["issuer"], client_id=known["claims"]["iss"])
sys.stdout.write(json.dumps({"told": told, "signed": claims.to_jwt([signing], "ES256")}))
