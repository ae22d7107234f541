"""Every refusal of the endpoints beside: introspection, revocation, devices, and the gate's own."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from as_parts import GATE_SECRET, ISSUER, basic, refused
from host_house import RESOURCE, HostHouse
from signoff.oauth import revocation
from signoff.oauth.clients import CIBA, DEVICE_CODE

GATE = httpx2.BasicAuth("signoff-gate", GATE_SECRET)
NOW = "2026-11-22T14:00:00+00:00"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What is sent where by whom, and the whole answer."""

    path: str
    by: str = "machine"
    sent: dict[str, Any] = field(default_factory=dict[str, Any])
    code: str
    words: str
    status: int = 400


def no(path: str, code: str, words: str, *, by: str = "machine", **sent: Any) -> Refusal:
    status = {"invalid_client": 401, "temporarily_unavailable": 429}.get(code, 400)
    return Refusal(path=path, by=by, sent=sent, code=code, words=words, status=status)


INTROSPECT, REVOKE = "/oauth2/introspect", "/oauth2/revoke"
DEVICE, WITHDRAW, OUTCOME = "/oauth2/device_authorization", "/ciba/withdraw", "/ciba/outcome"
FAILED = "client authentication failed"
NO_ID = "the auth_req_id is not valid"
TIME = "at must be an ISO 8601 time with an offset"
KNOWN = {"auth_req_id": "unknown", "state": "succeeded", "at": NOW}
REFUSALS = [
    *(
        no(path, "invalid_client", FAILED, by=by, token="x")
        for path in (INTROSPECT, REVOKE, DEVICE, WITHDRAW, OUTCOME)
        for by in ("nobody", "wrong", "unknown", "off")
    ),
    no(INTROSPECT, "invalid_request", "the parameter token is missing", scope="x"),
    no(REVOKE, "invalid_request", "the parameter token is missing", scope="x"),
    no(
        INTROSPECT,
        "unauthorized_client",
        "introspection needs an authenticated client",
        by="public",
        token="x",
    ),
    no(
        DEVICE,
        "unauthorized_client",
        "the client may not use this grant",
        resource=RESOURCE,
    ),
    *(
        no(
            DEVICE,
            "invalid_target",
            "resource must name the MCP server, exactly",
            by="device",
            resource=resource,
        )
        for resource in (None, ISSUER, f"{RESOURCE}/", [RESOURCE, ISSUER])
    ),
    no(
        DEVICE,
        "invalid_scope",
        "this server does not have one of these scopes",
        by="device",
        resource=RESOURCE,
        scope="mcp admin",
    ),
    no(
        DEVICE,
        "invalid_scope",
        "the scope must contain mcp",
        by="device",
        resource=RESOURCE,
        scope="openid",
    ),
    *(
        no(path, "unauthorized_client", "this endpoint is for the gate", **KNOWN)
        for path in (WITHDRAW, OUTCOME)
    ),
    *(no(path, "invalid_grant", NO_ID, by="gate", **KNOWN) for path in (WITHDRAW, OUTCOME)),
    *(
        no(path, "invalid_request", "the parameter auth_req_id is missing", by="gate", at=NOW)
        for path in (WITHDRAW, OUTCOME)
    ),
    no(
        OUTCOME,
        "invalid_request",
        "state is not one of a call",
        by="gate",
        **{**KNOWN, "state": "approved"},
    ),
    no(
        OUTCOME,
        "invalid_request",
        "note is longer than 200 characters",
        by="gate",
        **{**KNOWN, "note": "x" * 201},
    ),
    *(
        no(OUTCOME, "invalid_request", TIME, by="gate", **{**KNOWN, "at": at})
        for at in ("soon", "2026-11-22T14:00:00", "1999-11-22T14:00:00+00:00", "2026-11-22\x00")
    ),
]
NAMES = [
    f"{number}-{one.path.rsplit('/', 1)[1]}-{one.by}-{one.code}"
    for number, one in enumerate(REFUSALS)
]


async def _proof(house: HostHouse, by: str) -> tuple[dict[str, Any], httpx2.BasicAuth | None]:
    match by:
        case "nobody":
            return {}, None
        case "unknown":
            return {}, httpx2.BasicAuth("client_of_nobody", "x")
        case "gate":
            return {}, GATE
        case "public":
            return {"client_id": (await house.register())["client_id"]}, None
        case _:
            grants = {"device": [DEVICE_CODE]}.get(by, ["client_credentials", CIBA])
            made = await house.clients.create(name=by, by="operator", grant_types=grants)
            if by == "off":
                await house.people.disable(made.client.id, by="operator")
            wrong = httpx2.BasicAuth(made.client.id, "wrong")
            return {}, wrong if by == "wrong" else basic(made)


@pytest.mark.seed("CIBA-54")
@pytest.mark.parametrize("one", REFUSALS, ids=NAMES)
async def test_a_request_is_refused_in_these_very_words(house: HostHouse, one: Refusal) -> None:
    own, auth = await _proof(house, one.by)
    sent = {name: value for name, value in {**own, **one.sent}.items() if value is not None}
    form = sent or {"x": "y"}
    if auth is None:
        answer = await house.http.post(one.path, data=form)
    else:
        answer = await house.http.post(one.path, data=form, auth=auth)
    assert refused(answer, one.code, status=one.status) == one.words
    assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", one.words)
    assert ("www-authenticate" in answer.headers) == (one.status == 401 and auth is not None)


async def test_a_revocation_tells_nothing_whatever_the_token(house: HostHouse) -> None:
    client = await house.clients.create(name="x", by="operator", grant_types=["client_credentials"])
    for token in ("x", "a.b.c", "\x00", "x" * 100_000):
        answer = await house.http.post(REVOKE, data={"token": token}, auth=basic(client))
        assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("source", ["revocation", "outcome", "device"])
def test_no_refusal_of_these_endpoints_is_missing_above(source: str) -> None:
    tree = ast.parse(Path(str(revocation.__file__)).with_name(f"{source}.py").read_text())
    raised = {
        str(node.args[1].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "OAuthError"
        and isinstance(node.args[1], ast.Constant)
    }
    assert raised, "the words are found no longer"
    assert raised <= {one.words for one in REFUSALS}
