"""What the tokens of an approval say (RFC 9068, OIDC Core §2, RFC 8693 `act`).

Owns the claims: `sub` is who decided, never the hint; `auth_time` is the moment of the decision;
the access token carries the approved details and one exact audience. An approval that lasts gives a
refresh token too, and its access token names the consent. Pure but for the signature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from signoff.approvals.details import token_details
from signoff.approvals.request import REDEEM_WITHIN, Approval
from signoff.approvals.service import tool_call_of
from signoff.canonical import Json
from signoff.oauth.clients import Client
from signoff.oauth.host_tokens import AMR, APPROVED_LIFE_S, CONSENT_CLAIM
from signoff.oauth.profile import Profile
from signoff.tokens.keyring import Keyring
from signoff.tokens.verify import at_hash, unverified_claims

_OTHER_LIFE: Final = timedelta(seconds=APPROVED_LIFE_S)
_RT_HASH: Final = "urn:openid:params:jwt:claim:rt_hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """What makes access last: the consent that the person gave by the yes, and a refresh token."""

    consent_id: str
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """Signed tokens that are worth nothing until the yes they come from is consumed."""

    jti: str
    decided_at: datetime
    answer: Mapping[str, Json]


def mint(
    approval: Approval,
    client: Client,
    *,
    profile: Profile,
    keyring: Keyring,
    auth_req_id: str,
    jti: str,
    now: datetime,
    details: Sequence[Mapping[str, Json]],
    jkt: str | None = None,
    offline: Offline | None = None,
    to_push: bool = False,
) -> Minted | None:
    """Return the tokens of an approved approval; None when they would be over already.

    `details` are those of its `authorization_details` that the tokens are for, `jkt` is the
    thumbprint of the key the access token is bound to (RFC 9449 §6.1).
    """
    if approval.decided_at is None or approval.decided_by is None:
        return None
    issued, decided = int(now.timestamp()), int(approval.decided_at.timestamp())
    call = tool_call_of(approval.authorization_details)
    if call is None:
        expires = issued + int(_OTHER_LIFE.total_seconds())
    else:
        expires = decided + int(REDEEM_WITHIN.total_seconds())
    if client.expires_at is not None:
        expires = min(expires, int(client.expires_at.timestamp()))  # none outlives its client
    if expires <= issued:
        return None
    acr = approval.decided_acr or approval.acr
    shared: dict[str, Json] = {
        "iss": profile.issuer,
        "sub": approval.decided_by,
        "iat": issued,
        "exp": expires,
        "auth_time": decided,
        "acr": acr,
    }
    told: list[Json] = [dict(member) for member in details]
    if call is not None:
        told = [token_details(call)]
    access_token = keyring.mint_access_token({
        **shared,
        "aud": approval.resources[0],
        "client_id": client.id,
        "jti": jti,
        "scope": approval.scope,
        **_on_behalf(client, call),
        **({CONSENT_CLAIM: offline.consent_id} if offline else {}),
        **({"cnf": {"jkt": jkt}} if jkt else {}),
        **({"authorization_details": told} if told else {}),
    })
    id_token = keyring.mint_id_token(
        {
            **shared,
            "aud": client.id,
            "amr": [*AMR[acr]],
            "urn:openid:params:jwt:claim:auth_req_id": auth_req_id,
            # CIBA Core §10.3.1: nothing but the ID token vouches for what is pushed.
            **({_RT_HASH: at_hash(offline.refresh_token)} if offline and to_push else {}),
        },
        access_token=access_token,
    )
    answer: dict[str, Json] = {
        "access_token": access_token,
        "id_token": id_token,
        "token_type": "Bearer" if jkt is None else "DPoP",
        "expires_in": expires - issued,
        "scope": approval.scope,
    }
    if told:
        answer["authorization_details"] = told
    if offline is not None:
        answer["refresh_token"] = offline.refresh_token
    return Minted(jti=jti, decided_at=approval.decided_at, answer=answer)


def _on_behalf(client: Client, call: Mapping[str, Json] | None) -> dict[str, Json]:
    """Return who acts: for a tool call the assistant and its person, else the client."""
    if call is None:
        return {"act": {"sub": client.id, "client_id": client.id}}
    caller = cast("Mapping[str, str]", call["caller"])
    acting: dict[str, Json] = {
        "sub": caller.get("sub") or caller["client_id"],
        "client_id": caller["client_id"],
    }
    return {"act": acting, "txn": call["call_id"]}


def still(answer: Mapping[str, Json], *, now: datetime) -> dict[str, Json]:
    """Return an answer that was kept for a while, with the life its token still has."""
    expires = unverified_claims(str(answer["access_token"]))["exp"]
    left = float(cast("float", expires)) - now.timestamp()
    return {**answer, "expires_in": max(0, int(left))}
