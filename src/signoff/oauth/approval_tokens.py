"""What the tokens of an approval say (RFC 9068, OIDC Core §2, RFC 8693 `act`).

Owns the claims: `sub` is who decided, never the hint; `auth_time` is the moment of the decision;
the access token carries the approved details and one exact audience. Pure but for the signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from signoff.approvals.details import token_details
from signoff.approvals.request import REDEEM_WITHIN, Approval
from signoff.approvals.service import tool_call_of
from signoff.canonical import Json
from signoff.oauth.clients import Client
from signoff.oauth.profile import Profile
from signoff.tokens.keyring import Keyring
from signoff.tokens.verify import unverified_claims

_OTHER_LIFE: Final = timedelta(seconds=600)
_AMR: Final[Mapping[str, list[str]]] = {"session": ["user"], "passkey": ["hwk", "user"]}


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
    jkt: str | None = None,
) -> Minted | None:
    """Return the tokens of an approved approval; None when they would be over already.

    `jkt` is the thumbprint of the key the access token is bound to (RFC 9449 §6.1).
    """
    if approval.decided_at is None or approval.decided_by is None:
        return None
    issued, decided = int(now.timestamp()), int(approval.decided_at.timestamp())
    call = tool_call_of(approval.authorization_details)
    if call is None:
        expires = issued + int(_OTHER_LIFE.total_seconds())
    else:
        expires = decided + int(REDEEM_WITHIN.total_seconds())
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
    details = _details(approval)
    access_token = keyring.mint_access_token({
        **shared,
        "aud": approval.resources[0],
        "client_id": client.id,
        "jti": jti,
        "scope": approval.scope,
        **_on_behalf(client, call),
        **({"cnf": {"jkt": jkt}} if jkt else {}),
        **({"authorization_details": details} if details else {}),
    })
    id_token = keyring.mint_id_token(
        {
            **shared,
            "aud": client.id,
            "amr": cast("list[Json]", _AMR[acr]),
            "urn:openid:params:jwt:claim:auth_req_id": auth_req_id,
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
    if details:
        answer["authorization_details"] = details
    return Minted(jti=jti, decided_at=approval.decided_at, answer=answer)


def _details(approval: Approval) -> list[Json]:
    call = tool_call_of(approval.authorization_details)
    if call is not None:
        return [token_details(call)]
    return [dict(member) for member in approval.authorization_details]


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
