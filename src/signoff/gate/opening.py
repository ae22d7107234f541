"""What a call is made of when it opens: who may decide it, its title, its details, its key.

Owns turning a tool, its arguments and a frozen request into the `tool_call` details that a person
is shown. Pure: ids, nonce and time are arguments; storage and HTTP are not known here.
"""

import hmac
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from signoff.approvals.details import TYPE, VERSION, details_digest
from signoff.canonical import Json, canonical_bytes
from signoff.catalog.model import Catalogue, Reference, ToolSpec, Upstream, User
from signoff.gate.answers import RefusedError
from signoff.gate.call import Call, State
from signoff.identity import Caller, ClientInfo
from signoff.sealed import Sealer
from signoff.upstream.request import FrozenRequest

TITLE_LENGTH: Final = 200
SEE_FACTS: Final = "(see facts)"
_VALUE_LENGTH: Final = 40
_CLAIM_LENGTH: Final = 200
_FIELD: Final = re.compile(r"\{([^{}]+)\}")
_CALLER_SUB: Final = "${caller.sub}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Everything that opening one call depends on."""

    tool: ToolSpec
    catalogue: Catalogue
    caller: Caller
    client_info: ClientInfo
    masked: Mapping[str, Json]
    request: FrozenRequest
    approvers: tuple[str, ...]
    said: str | None
    earlier: Call | None
    again: bool


def request_key(
    sealer: Sealer, caller: Caller, tool: ToolSpec, arguments: Mapping[str, Json]
) -> bytes:
    """Return what tells a repetition: caller, tool and canonical arguments, under our key."""
    told: list[Json] = [cast("Json", caller.as_json()), tool.name, dict(arguments)]
    return sealer.keyed_hash("request", canonical_bytes(told))


def approvers_of(
    tool: ToolSpec,
    caller: Caller,
    users: Mapping[str, User],
    *,
    issuer: str,
    disabled: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the user ids that may decide this call, in the order the operator wrote them.

    `issuer` is ours: what another one calls `sub` is no user id here.

    Raises:
        RefusedError: nobody is left, or an approver is not a user.
    """
    person = _person(caller, users, issuer)
    found: list[str] = []
    for named in tool.approval.approver.any_of:
        if named != _CALLER_SUB:
            if named not in users:
                raise RefusedError("nobody_to_ask", f"the approver {named!r} is not a user here")
            found.append(named)
        elif person is not None:
            found.append(person)
    if tool.approval.approver.not_caller:
        found = [user_id for user_id in found if user_id != person]
    left = tuple(user_id for user_id in dict.fromkeys(found) if user_id not in disabled)
    if left:
        return left
    raise RefusedError("nobody_to_ask", _why_nobody(tool, caller, person, switched_off=bool(found)))


def _person(caller: Caller, users: Mapping[str, User], issuer: str) -> str | None:
    """Return the user that `caller` acts for: by another provider's subject, or by our own id."""
    if caller.sub is None:
        return None
    for user in users.values():
        if user.subjects.get(caller.issuer) == caller.sub:
            return user.id
    ours = caller.kind == "local" or caller.issuer == issuer
    return caller.sub if ours and caller.sub in users else None


def _why_nobody(tool: ToolSpec, caller: Caller, person: str | None, *, switched_off: bool) -> str:
    if switched_off:
        return f"{tool.name} needs an approval, and everybody who may give it is switched off"
    if caller.sub is None:
        return (
            f"{tool.name} needs the approval of the person you act for, and you act for nobody: "
            "the operator must name an approver"
        )
    if person is None:
        return f"{tool.name} needs an approval, and {caller.sub!r} is not a user here"
    return f"{tool.name} needs the approval of somebody else, and the operator named nobody else"


def audience_of(upstream: Upstream, issuer: str) -> str:
    """Return the one audience of the approval token: the upstream if it gets to see it."""
    templates = [
        *(header.parts for header in upstream.headers),
        *(credential.value for credential in upstream.credentials.values()),
    ]
    sees_token = any(
        isinstance(part, Reference) and part.kind == "approval"
        for template in templates
        for part in template
    )
    if sees_token and upstream.audience is not None:
        return upstream.audience
    return f"{issuer.rstrip('/')}/gate"


def title_parts(tool: ToolSpec, request: FrozenRequest, masked: Mapping[str, Json]) -> list[Json]:
    """Return the operator's title as texts and values; without one, method and path."""
    template = tool.approval.title
    if template is None:
        return [{"text": f"Call {tool.name}: {request.method} {tool.path}"[:TITLE_LENGTH]}]
    parts: list[Json] = []
    for index, piece in enumerate(_FIELD.split(template)):
        if index % 2:
            parts.append({"argument": piece, "value": _one_line(masked.get(piece))})
        elif piece:
            parts.append({"text": piece})
    return parts


def _one_line(value: Json) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not text or len(text) > _VALUE_LENGTH or not text.isprintable():
        return SEE_FACTS
    return text


def plain_title(parts: Iterable[Json]) -> str:
    """Return a title as plain text."""
    pieces = [cast("dict[str, str]", part) for part in parts]
    text = "".join(piece.get("text") or piece.get("value", "") for piece in pieces)
    return text[:TITLE_LENGTH]


def build_details(asking: Asking, *, call_id: str, nonce: str) -> dict[str, Json]:
    """Return the `tool_call` details, digest included; see `approvals/details.py`."""
    tool, earlier = asking.tool, asking.earlier
    details: dict[str, Json] = {
        "type": TYPE,
        "version": VERSION,
        "call_id": call_id,
        "nonce": nonce,
        "tool": tool.name,
        "title": title_parts(tool, asking.request, asking.masked),
        "risk": tool.risk.value,
        "catalogue_digest": asking.catalogue.digest,
        "caller": cast("Json", asking.caller.as_json()),
        "client_info": {
            "name": asking.client_info.name[:_CLAIM_LENGTH],
            "version": asking.client_info.version[:_CLAIM_LENGTH],
        },
        "approvers": list(asking.approvers),
        "acr": tool.approval.strength,
        "arguments": dict(asking.masked),
        "said": asking.said,
        "repeat_of": None if earlier is None else _earlier(earlier),
        "again": asking.again,
        "request": asking.request.details(),
    }
    details["digest"] = details_digest(details)
    return details


def _earlier(call: Call) -> dict[str, Json]:
    at = call.finished_at or call.opened_at
    return {"call_id": call.id, "outcome": call.state.value, "at": at.isoformat()}


def build_call(
    asking: Asking,
    details: Mapping[str, Json],
    *,
    key: bytes,
    audience: str,
    approve_at: str,
    now: datetime,
    expires_at: datetime,
) -> Call:
    """Return the record of a call that opens now."""
    return Call(
        id=str(details["call_id"]),
        state=State.OPENING,
        fence=0,
        attempts=0,
        request_key=key,
        caller=asking.caller,
        tool=asking.tool.name,
        title=plain_title(cast("list[Json]", details["title"])),
        approvers=asking.approvers,
        acr=asking.tool.approval.strength,
        audience=audience,
        digest=str(details["digest"]),
        catalogue_digest=asking.catalogue.digest,
        opened_at=now,
        expires_at=expires_at,
        approve_at=approve_at,
        repeat_of=None if asking.earlier is None else asking.earlier.id,
    )


def is_the_call_of(details: Mapping[str, Json], call: Call) -> bool:
    """Say whether stored details and the record beside them still are one and the same call."""
    try:
        members = (
            (details["call_id"], call.id),
            (details["tool"], call.tool),
            (details["approvers"], list(call.approvers)),
            (details["acr"], call.acr),
            (details["caller"], call.caller.as_json()),
            (details["catalogue_digest"], call.catalogue_digest),
            (details["digest"], call.digest),
        )
        digest = details_digest(details)
    except (KeyError, TypeError, AttributeError):
        return False
    return all(told == kept for told, kept in members) and hmac.compare_digest(digest, call.digest)


def binding_message(tool: str, digest: str) -> str:
    """Return what ties the card to this request: <= 64 ASCII, no free text (CIBA Core §7.1)."""
    return f"{tool[:48]} {digest.removeprefix('sha-256:')[:8].upper()}"
