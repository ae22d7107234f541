"""Signed backchannel requests (CIBA Core §7.1.1): a JWT in, the same form as ever out.

Owns which parameters may stand beside the JWT and how its claims become parameters. What they
mean stands in `requested.py`; the signature is checked in `tokens.verify`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast

from signoff.canonical import Json
from signoff.oauth.clients import Client, Directory
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form
from signoff.oauth.profile import Profile
from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import ASSERTION_ALGORITHMS, verify_request_object

# Client authentication stays outside (CIBA Core §7.1.1); nothing else does.
_OUTSIDE: Final = frozenset({
    *("request", "client_id", "client_secret", "client_assertion", "client_assertion_type"),
})
_OF_THE_TOKEN: Final = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti", "sub"})


async def unwrapped(
    form: Form, client: Client, directory: Directory, *, profile: Profile, now: datetime
) -> Form:
    """Return the parameters of the request, from its signed object when there is one.

    Raises:
        OAuthError: `invalid_request` for whatever does not hold, as the specification wants.
    """
    if form.get("request_uri") is not None:
        raise OAuthError("invalid_request", "a request is sent by value, not by reference")
    signed = form.get("request")
    if signed is None:
        if client.delivery.request_signing_alg is not None:
            raise OAuthError("invalid_request", "this client signs its requests")
        return form
    if client.jwks is None:
        raise OAuthError("invalid_request", "this client has registered no key to sign with")
    if form.resources or not set(form.values) <= _OUTSIDE:
        raise OAuthError("invalid_request", "parameters stand in the request object only")
    one = client.delivery.request_signing_alg
    try:
        claims = verify_request_object(
            signed,
            keys=KeySet.parse(client.jwks),
            client_id=client.id,
            audience=profile.issuer,
            now=now,
            algorithms=ASSERTION_ALGORITHMS if one is None else (one,),
        )
    except TokenError as error:
        raise _refused(str(error)) from error
    if claims.get("client_id", client.id) != client.id:
        raise _refused("it is another client's")  # RFC 9101 §5: the two must be the same
    if claims.get("sub") == client.id:
        raise _refused("it would pass for an assertion of the client")  # RFC 9101 §4
    expires_at = datetime.fromtimestamp(float(cast("float", claims["exp"])), UTC)
    jti = str(claims["jti"])
    if not await directory.spend_jti(client.id, jti, expires_at=expires_at, kind="request_object"):
        raise _refused("it was used before")
    return _form(claims)


def _form(claims: Mapping[str, Json]) -> Form:
    values: dict[str, str] = {}
    resources: list[str] = []
    for name, value in claims.items():
        if name in _OF_THE_TOKEN or value is None or value == "":
            continue
        if name == "resource":
            members = value if isinstance(value, list) else [value]
            if not all(isinstance(member, str) for member in members):
                raise _refused("resource")
            resources += [str(member) for member in members]
        elif isinstance(value, str):
            values[name] = value
        elif isinstance(value, bool):
            values[name] = "true" if value else "false"
        else:
            # §7.1.1: a number may stand as one; `authorization_details` stands as an array.
            values[name] = json.dumps(value)
    if "request" in values or "request_uri" in values:
        raise _refused("a request within a request")
    return Form(values, tuple(dict.fromkeys(resources)))


def _refused(detail: str) -> OAuthError:
    return OAuthError("invalid_request", "the request object does not hold", detail=detail)
