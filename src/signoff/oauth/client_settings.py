"""What an operator says about a machine client, read once for the terminal and for HTTP.

Owns the names of the members, the type of each and what it becomes. What a client may be stands in
`machine_clients.py`. Knows no HTTP and no command line.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final, cast

from signoff.canonical import Json
from signoff.oauth.clients import (
    CIBA,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    Client,
    ClientError,
    Issued,
    Role,
)
from signoff.oauth.delivery import Delivery, DeliveryMode
from signoff.oauth.machine_clients import MachineClients

Members = Mapping[str, Json]

# The names of CIBA Core §4 and RFC 7591, spelled as the other members are.
DELIVERY_MODE: Final = "backchannelTokenDeliveryMode"
NOTIFICATION_ENDPOINT: Final = "backchannelClientNotificationEndpoint"
SIGNING_ALG: Final = "backchannelAuthenticationRequestSigningAlg"
USER_CODE: Final = "backchannelUserCodeParameter"
DETAILS_TYPES: Final = "authorizationDetailsTypes"
DPOP_BOUND: Final = "dpopBoundAccessTokens"
CHANGED: Final = frozenset({
    *("name", "scopes", "audiences", "metadata", "expiresIn", "jwks", DETAILS_TYPES, DPOP_BOUND),
    *(DELIVERY_MODE, NOTIFICATION_ENDPOINT, SIGNING_ALG, USER_CODE),
})
"""What may be said of a client that there is."""
CHOSEN: Final = CHANGED | {"grantTypes", "role"}
"""What may be said of a new one. How it gets tokens, and what it is, stays as it was made."""
MOST_DAYS: Final = 3650
GRANTS: Final[Mapping[str, str]] = {"ciba": CIBA, "device_code": DEVICE_CODE}
"""Short names of grant types."""

_REMOVABLE: Final = frozenset({"expiresIn", NOTIFICATION_ENDPOINT, SIGNING_ALG})
_NO_GATE: Final = (
    "a gate asks people in the name of others, so it is made at the terminal and nowhere else: "
    "signoff clients create NAME --role gate --jwks FILE"
)


async def create(
    clients: MachineClients, given: Members, *, by: str, gates: bool = False
) -> Issued:
    """Make the client that is described. Only where `gates` may it be a gate.

    Raises:
        ClientError: names what is wrong.
    """
    _check_members(given, CHOSEN)
    role, jwks = _role(given, gates=gates), _jwks(given)
    if role == "gate" and jwks is None:
        raise ClientError("a gate signs with its own key: --jwks FILE")
    grants = [CIBA] if role == "gate" else _texts(given, "grantTypes") or [CLIENT_CREDENTIALS]
    return await clients.create(
        name=_required(given, "name"),
        by=by,
        role=role,
        grant_types=[GRANTS.get(grant, grant) for grant in grants],
        scopes=_texts(given, "scopes") or (),
        audiences=_texts(given, "audiences") or (),
        metadata=_object(given, "metadata"),
        expires_in=_days(given),
        jwks=jwks,
        delivery=_delivery(Delivery(), given),
        dpop_bound=_flag(given, DPOP_BOUND) or False,
        details_types=_texts(given, DETAILS_TYPES) or (),
    )


async def change(clients: MachineClients, before: Client, given: Members, *, by: str) -> Client:
    """Change what is given of a client; the rest stays, an empty list or null takes away.

    Raises:
        ClientError: names what is wrong.
    """
    _check_members(given, CHANGED)
    forever = "expiresIn" in given and given["expiresIn"] is None
    return await clients.update(
        before.id,
        by=by,
        name=_text(given, "name"),
        scopes=_texts(given, "scopes"),
        audiences=_texts(given, "audiences"),
        metadata=_object(given, "metadata"),
        expires_in="never" if forever else _days(given),
        jwks=_jwks(given),
        delivery=_delivery(before.delivery, given),
        dpop_bound=_flag(given, DPOP_BOUND),
        details_types=_texts(given, DETAILS_TYPES),
    )


def _check_members(given: Members, known: frozenset[str]) -> None:
    if not given.keys() <= known:
        raise ClientError(f"the members are {', '.join(sorted(known))}")
    for name in given.keys() - _REMOVABLE:
        if given[name] is None:  # it would change nothing, in silence
            raise ClientError(f"{name} cannot be null")


def _role(given: Members, *, gates: bool) -> Role:
    role = given.get("role", "machine")
    if role not in ("machine", "gate"):
        raise ClientError("role is machine or gate")
    if role == "gate" and not gates:
        raise ClientError(_NO_GATE)
    return role


def _delivery(before: Delivery, given: Members) -> Delivery:
    after = before
    mode, user_code = _text(given, DELIVERY_MODE), _flag(given, USER_CODE)
    if mode is not None:
        kept = None if mode == "poll" else before.notification_endpoint
        after = replace(after, mode=cast("DeliveryMode", mode), notification_endpoint=kept)
    if NOTIFICATION_ENDPOINT in given:
        after = replace(after, notification_endpoint=_text(given, NOTIFICATION_ENDPOINT))
    if SIGNING_ALG in given:
        after = replace(after, request_signing_alg=_text(given, SIGNING_ALG))
    return after if user_code is None else replace(after, user_code=user_code)


def _required(given: Members, name: str) -> str:
    value = _text(given, name)
    if value is None:
        raise ClientError(f"{name} is a text")
    return value


def _text(given: Members, name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise ClientError(f"{name} is a text")
    return value


def _texts(given: Members, name: str) -> list[str] | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ClientError(f"{name} is a list of texts")
    return cast("list[str]", value)


def _flag(given: Members, name: str) -> bool | None:
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise ClientError(f"{name} is true or false")
    return value


def _object(given: Members, name: str) -> Mapping[str, Json] | None:
    value = given.get(name)
    if value is not None and not isinstance(value, dict):
        raise ClientError(f"{name} is an object")
    return value


def _jwks(given: Members) -> str | None:
    keys = _object(given, "jwks")
    return None if keys is None else json.dumps(keys)


def _days(given: Members) -> timedelta | None:
    value = given.get("expiresIn")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_DAYS:
        raise ClientError(f"expiresIn is 1 to {MOST_DAYS} days")
    return timedelta(days=value)
