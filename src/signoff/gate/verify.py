"""Whether the tokens that came are a yes to this very call, member by member.

Owns the comparison of ID token and access token with the call as it was frozen. Signatures, issuer
and times are `tokens`' business; storage and HTTP are not known here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from signoff.approvals.details import token_details
from signoff.canonical import Json, canonical_bytes
from signoff.gate.call import Call
from signoff.gate.opening import is_the_call_of
from signoff.tokens.keys import KeySource, TokenError
from signoff.tokens.verify import key_id, verify_access_token, verify_id_token

_AUTH_REQ_ID: Final = "urn:openid:params:jwt:claim:auth_req_id"
_LEEWAY_S: Final = 5.0
_STRENGTH: Final[Mapping[str, int]] = {"session": 1, "passkey": 2}

TokenName = Literal["ID token", "access token"]


class TokensRefusedError(Exception):
    """The tokens are not a yes to this call. The message names token and member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warrant:
    """A person's yes to one call, once: who, when, by which token and until when."""

    jti: str
    decided_by: str
    decided_at: datetime
    execute_by: datetime


class Verifier:
    """Checks what the token endpoint answered against the call it must be for.

    `skew_s` is by how much the issuer's clock may differ from ours; what must not be late, the
    sending itself, is held to `execute_by` by ours alone.
    """

    def __init__(
        self, *, issuer: str, client_id: str, keys: KeySource, skew_s: float = 0.0
    ) -> None:
        self._issuer, self._client_id, self._keys = issuer, client_id, keys
        self._skew = timedelta(seconds=skew_s)
        self._leeway_s = max(_LEEWAY_S, skew_s)

    async def verify(
        self,
        call: Call,
        details: Mapping[str, Json],
        *,
        auth_req_id: str,
        access_token: str,
        id_token: str,
        now: datetime,
    ) -> Warrant:
        """Return the warrant that the two tokens are.

        Raises:
            TokensRefusedError: a signature, a claim or a member of the details does not hold.
            KeysUnavailableError: the issuer's keys cannot be had now.
        """
        if not is_the_call_of(details, call):
            raise TokensRefusedError("the digest does not match what was shown")
        try:
            access = verify_access_token(
                access_token,
                keys=await self._keys.keys_for(key_id(access_token)),
                issuer=self._issuer,
                audience=call.audience,
                now=now,
                leeway_s=self._leeway_s,
            )
            identity = verify_id_token(
                id_token,
                keys=await self._keys.keys_for(key_id(id_token)),
                issuer=self._issuer,
                client_id=self._client_id,
                now=now,
                access_token=access_token,
                leeway_s=self._leeway_s,
            )
        except TokenError as error:
            raise TokensRefusedError(f"the tokens do not verify: {error}") from error
        self._check_identity(call, identity, auth_req_id)
        self._check_access(call, details, access, identity)
        return Warrant(
            jti=str(access["jti"]),
            decided_by=str(identity["sub"]),
            decided_at=_moment(identity, "auth_time", "ID token"),
            execute_by=_moment(access, "exp", "access token"),
        )

    def _check_identity(self, call: Call, identity: Mapping[str, Json], auth_req_id: str) -> None:
        _same("ID token", identity, _AUTH_REQ_ID, auth_req_id)
        if identity.get("sub") not in call.approvers:
            raise TokensRefusedError("ID token: sub may not decide this call")
        if _strength(identity, "ID token") < _STRENGTH[call.acr]:
            raise TokensRefusedError(f"ID token: acr is weaker than {call.acr}")
        decided_at = _moment(identity, "auth_time", "ID token")
        # NumericDate here has whole seconds; a decision in the opening second is not before it.
        opened_at = call.opened_at.replace(microsecond=0) - self._skew
        if not opened_at <= decided_at < call.expires_at + self._skew:
            raise TokensRefusedError("ID token: auth_time is not between opening and expiry")

    def _check_access(
        self,
        call: Call,
        details: Mapping[str, Json],
        access: Mapping[str, Json],
        identity: Mapping[str, Json],
    ) -> None:
        caller = call.caller
        expected: dict[str, Json] = {
            "client_id": self._client_id,
            "sub": identity["sub"],
            "txn": call.id,
            "auth_time": identity["auth_time"],
            "acr": identity["acr"],
            "act": {"sub": caller.sub or caller.client_id, "client_id": caller.client_id},
        }
        for name, value in expected.items():
            _same("access token", access, name, value)
        granted = access.get("authorization_details")
        if not isinstance(granted, list) or len(granted) != 1:
            raise TokensRefusedError("access token: authorization_details is not one member")
        _check_details(granted[0], token_details(details))


def _check_details(granted: Json, expected: Mapping[str, Json]) -> None:
    if not isinstance(granted, dict):
        raise TokensRefusedError("access token: authorization_details holds no object")
    for name in sorted(expected.keys() | granted.keys()):
        if name not in granted or name not in expected:
            raise TokensRefusedError(f"access token: authorization_details.{name} is not ours")
        if not _equal(granted[name], expected[name]):
            raise TokensRefusedError(f"access token: authorization_details.{name} differs")


def _equal(one: Json, other: Json) -> bool:
    # Python's own comparison would take 1, 1.0 and true for the same.
    plain = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    return plain or canonical_bytes(one) == canonical_bytes(other)


def _same(token: TokenName, claims: Mapping[str, Json], name: str, expected: Json) -> None:
    if name not in claims or not _equal(claims[name], expected):
        raise TokensRefusedError(f"{token}: {name} is not this call's")


def _strength(claims: Mapping[str, Json], token: TokenName) -> int:
    acr = claims.get("acr")
    if not isinstance(acr, str) or acr not in _STRENGTH:
        raise TokensRefusedError(f"{token}: acr is unknown")
    return _STRENGTH[acr]


def _moment(claims: Mapping[str, Json], name: str, token: TokenName) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokensRefusedError(f"{token}: {name} is no time")
    return datetime.fromtimestamp(value, tz=UTC)
