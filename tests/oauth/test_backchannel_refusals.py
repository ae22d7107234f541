"""Every refusal of the backchannel endpoint: its status, its code, its words, and their order.

One table, held against the sources at the end, and so one long file.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from as_parts import (
    BANK,
    GATE,
    ISSUER,
    Provider,
    basic,
    refused,
    running_provider,
    tool_call,
)
from conftest import TurnedClock
from signoff.approvals.service import Limits
from signoff.oauth import backchannel
from signoff.oauth.clients import Issued
from signoff.oauth.delivery import Delivery
from signoff.oauth.user_codes import UserCodes
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database, StorageBusyError

PATH = "/oauth2/bc-authorize"
FORM = "application/x-www-form-urlencoded"
KEY = ECKey.generate_key("P-256")
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PAYMENT = '[{"type":"payment","amount":25}]'
PLAIN = {"scope": "openid", "login_hint": "alice"}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What is sent by which client, and the whole answer."""

    by: str = "plain"
    sent: Mapping[str, Any] = field(default_factory=dict[str, Any])
    code: str
    words: str
    status: int = 400


def no(code: str, words: str, *, by: str = "plain", status: int = 400, **sent: Any) -> Refusal:
    return Refusal(by=by, sent=sent, code=code, words=words, status=status)


ONE_HINT = "exactly one of login_hint, login_hint_token, id_token_hint"
UNKNOWN = "no user can be asked by this hint"
SCOPES = "the client may not have one of these scopes"
VISIBLE = "only visible characters on one line"
EXPIRY = "requested_expiry must be a positive integer"
OBJECT = "the request object does not hold"
LINE = "at most 256 characters, without outer blanks"
LOREM = "🎉 承認してください 👍🏽 " * 30
REFUSALS = [
    # CIBA Core §7.1: who asks
    no("invalid_client", "client authentication failed", by="nobody", status=401),
    no("invalid_client", "client authentication failed", by="wrong", status=401),
    no("invalid_client", "client authentication failed", by="named", status=401),
    no("invalid_request", "use one method of client authentication", client_secret="x"),
    no("invalid_request", "client_id does not match the credentials", client_id="another"),
    no(
        "invalid_request",
        "client_assertion_type must be jwt-bearer",
        by="keyed",
        client_assertion_type="saml",
    ),
    no("unauthorized_client", "the client may not use this grant", by="machine"),
    # RFC 6749 §3.3, RFC 8707, RFC 9396
    no("invalid_request", "the parameter scope is missing", scope=None),
    no("invalid_request", "the parameter scope is missing", scope=""),
    no("invalid_scope", "the scope must contain openid", scope="payments"),
    no("invalid_scope", SCOPES, scope="openid admin"),
    no(
        "invalid_scope",
        "the client may not have access that lasts",
        scope="openid offline_access",
    ),
    no("invalid_scope", SCOPES, scope="openid  payments"),
    no(
        "invalid_scope",
        "the client may not have access that lasts",
        scope="openid offline_access",
    ),
    no("invalid_target", "a token has one audience: name one resource", resource=[BANK, ISSUER]),
    no(
        "invalid_target",
        "the client may not have a token for this resource",
        resource=f"{ISSUER}/mcp",
    ),
    no("invalid_authorization_details", "not JSON", authorization_details="{"),
    no(
        "invalid_authorization_details",
        "an array of 1 to 10 objects is wanted",
        authorization_details="{}",
    ),
    no(
        "invalid_authorization_details",
        "every member is an object with a type",
        authorization_details="[{}]",
    ),
    no(
        "invalid_authorization_details",
        "member 1 has a type that this client may not use",
        authorization_details=json.dumps([tool_call()]),
    ),
    no(
        "invalid_authorization_details",
        "member 1 does not fit its type: required",
        authorization_details='[{"type":"payment"}]',
    ),
    no(
        "invalid_authorization_details",
        "the gate asks for one tool_call at a time",
        by="gate",
        authorization_details=PAYMENT,
    ),
    no(
        "invalid_authorization_details",
        "the gate asks for one tool_call at a time",
        by="gate",
        authorization_details=None,
    ),
    no(
        "invalid_authorization_details",
        "the tool_call does not hold",
        by="gate",
        authorization_details=json.dumps([tool_call() | {"digest": "sha-256:" + "0" * 64}]),
    ),
    no(
        "invalid_authorization_details",
        "acr does not match acr_values",
        by="gate",
        authorization_details=json.dumps([tool_call(acr="passkey")]),
    ),
    no(
        "invalid_authorization_details",
        "this call was requested with other details",
        by="gate again",
        authorization_details=json.dumps([tool_call(arguments={"amount": 9999})]),
    ),
    # §7.1: the hints
    no("invalid_request", ONE_HINT, login_hint=None),
    no("invalid_request", ONE_HINT, login_hint=""),
    no("invalid_request", ONE_HINT, id_token_hint="x"),
    no("invalid_request", ONE_HINT, login_hint_token="x"),
    no("invalid_request", "the login_hint is too long", login_hint="a" * 1025),
    no(
        "invalid_request",
        "the id_token_hint is not a token for this client",
        login_hint=None,
        id_token_hint="a.b.c",
    ),
    no(
        "invalid_request",
        "the login_hint_token is not valid",
        login_hint=None,
        login_hint_token="a.b.c",
    ),
    no("expired_login_hint_token", "the login_hint_token has expired", by="late"),
    no("unknown_user_id", UNKNOWN, login_hint="mallory"),
    no("unknown_user_id", UNKNOWN, login_hint="mallory@example.com"),
    no("unknown_user_id", UNKNOWN, login_hint="\x00"),
    no("unknown_user_id", UNKNOWN, by="switched off"),
    # §7.1: what is shown, and for how long
    no("invalid_binding_message", LINE, binding_message="x" * 257),
    no("invalid_binding_message", LINE, binding_message=LOREM),
    no("invalid_binding_message", VISIBLE, binding_message="a\nb"),
    no("invalid_binding_message", VISIBLE, binding_message="a\x00b"),
    no("invalid_binding_message", VISIBLE, binding_message="a\u3164b"),
    no("invalid_binding_message", "no links and no addresses", binding_message="www.evil"),
    no("invalid_request", EXPIRY, requested_expiry="0"),
    no("invalid_request", EXPIRY, requested_expiry="1.5"),
    no("invalid_request", EXPIRY, requested_expiry="1\x00"),
    no(
        "invalid_request",
        "acr_values names no strength that this server has",
        acr_values="gold",
    ),
    # §7.1: ping, push and user codes
    no("invalid_request", "the parameter client_notification_token is missing", by="ping"),
    no(
        "invalid_request",
        "client_notification_token is not a bearer token",
        by="ping",
        client_notification_token="x" * 1025,
    ),
    no(
        "invalid_request",
        "client_notification_token must have 128 bits",
        by="ping",
        client_notification_token="x" * 21,
    ),
    no("missing_user_code", "this user is asked with a user_code only", by="coded"),
    no("invalid_user_code", "the user_code is not valid", by="coded", user_code="0815"),
    # §7.1.1: signed requests
    no("invalid_request", "a request is sent by value, not by reference", request_uri="urn:x"),
    no("invalid_request", "this client has registered no key to sign with", request="a.b.c"),
    no("invalid_request", "this client signs its requests", by="signing"),
    no("invalid_request", "parameters stand in the request object only", by="keyed", request="x"),
    no("invalid_request", OBJECT, by="keyed", scope=None, login_hint=None, request="a.b.c"),
    # too much at once
    no(
        "temporarily_unavailable",
        "too many requests are waiting, try again later",
        by="busy",
        status=429,
    ),
]


NAMES = [
    f"{number}-{one.by}-{next(iter(one.sent), 'alone')}-{one.code}"
    for number, one in enumerate(REFUSALS)
]


def by_key(client: Issued, clock: TurnedClock, **claims: Any) -> dict[str, str]:
    now = int(clock().timestamp())
    own = {"iss": client.client.id, "sub": client.client.id, "aud": ISSUER, "jti": "a-1"}
    times = {"iat": now, "exp": now + 60}
    proof = jwt.encode({"alg": "ES256"}, {**own, **times, **claims}, KEY)
    return {"client_assertion_type": ASSERTION, "client_assertion": proof}


async def sender(
    provider: Provider, by: str, clock: TurnedClock
) -> tuple[dict[str, Any], httpx2.BasicAuth | None]:
    """Return what a client of this kind sends by itself, and how it proves itself."""
    jwks = json.dumps({"keys": [KEY.as_dict(private=False)]})
    match by:
        case "nobody":
            return PLAIN, None
        case "wrong":
            client = await provider.other_client()
            return PLAIN, httpx2.BasicAuth(client.client.id, "wrong")
        case "named":
            client = await provider.other_client()
            return {**PLAIN, "client_id": client.client.id}, None
        case "gate" | "gate again":
            if by == "gate again":
                await provider.asked()
            form = {"authorization_details": json.dumps([tool_call()]), "acr_values": "session"}
            return {**PLAIN, **form}, GATE
        case "keyed" | "signing" | "late":
            delivery = Delivery(request_signing_alg="ES256" if by == "signing" else None)
            client = await provider.other_client(jwks=jwks, delivery=delivery)
            form = {**PLAIN, **by_key(client, clock)}
            if by == "late":
                now = int(clock().timestamp())
                said = {"iss": client.client.id, "aud": ISSUER, "iat": now - 120, "exp": now - 60}
                hint = {**said, "sub_id": {"format": "opaque", "id": "alice"}}
                form |= {
                    "login_hint": None,
                    "login_hint_token": jwt.encode({"alg": "ES256"}, hint, KEY),
                }
            return form, None
        case _:
            return PLAIN, basic(await _with_secret(provider, by))


async def _with_secret(provider: Provider, by: str) -> Issued:
    settings: dict[str, dict[str, Any]] = {
        "machine": {"grant_types": ["client_credentials"]},
        "coded": {"delivery": Delivery(user_code=True)},
        "ping": {
            "delivery": Delivery(mode="ping", notification_endpoint="https://client.example/cb")
        },
    }
    client = await provider.other_client(**settings.get(by, {}))
    if by == "switched off":
        await provider.people.disable("alice", by="operator")
    if by == "coded":
        await UserCodes(provider.stores.user_codes).choose("alice", "4711-x", by="operator")
    if by == "busy":
        form = {"authorization_details": None, "resource": None}
        await provider.asked(auth=basic(client), **form)
    return client


@pytest.mark.seed("CIBA-14")
@pytest.mark.seed("CIBA-16")
@pytest.mark.seed("CIBA-18")
@pytest.mark.seed("CIBA-24")
@pytest.mark.seed("CIBA-41")
@pytest.mark.seed("CIBA-54")
@pytest.mark.seed("CIBA-58")
@pytest.mark.seed("B8")
@pytest.mark.parametrize("one", REFUSALS, ids=NAMES)
async def test_a_request_is_refused_in_these_very_words_and_leaves_nothing_behind(
    database: Database, sealer: Sealer, clock: TurnedClock, one: Refusal
) -> None:
    limits = Limits(pending_per_client=1, pending_per_user=3)
    async with running_provider(database, sealer, limits=limits) as provider:
        own, auth = await sender(provider, one.by, clock)
        before = await database.fetch_all("SELECT id FROM approvals")
        answer = await provider.post(PATH, {**own, **one.sent}, auth=auth)
        assert refused(answer, one.code, status=one.status) == one.words
        # CIBA Core §13, RFC 6749 §5.2: printable ASCII, no quote, no backslash.
        assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", one.words)
        assert answer.headers["pragma"] == "no-cache"
        challenged = "www-authenticate" in answer.headers
        assert challenged == (one.status == 401 and auth is not None)
        assert ("retry-after" in answer.headers) == (one.status == 429)
        assert await database.fetch_all("SELECT id FROM approvals") == before


@pytest.mark.parametrize(
    ("body", "media_type", "query", "words", "status"),
    [
        (b"{}", "application/json", "", "the body must be {} in UTF-8", 400),
        (b"a=b", f"{FORM}; charset=latin-1", "", "the body must be {} in UTF-8", 400),
        (b"a=b", FORM, "?a=b", "parameters belong in the body, not in the URL", 400),
        (b"a", FORM, "", "the body is not a well-formed form", 400),
        (b"a=%ff", FORM, "", "the body is not a well-formed form", 400),
        (b"a=b&a=b", FORM, "", "a parameter is repeated", 400),
        (b"a=" + b"b" * 1_048_576, FORM, "", "the body is too large", 413),
    ],
)
async def test_a_body_is_refused_in_these_very_words(
    provider: Provider, body: bytes, media_type: str, query: str, words: str, status: int
) -> None:
    answer = await provider.http.post(
        PATH + query, content=body, headers={"content-type": media_type}, auth=GATE
    )
    told = refused(answer, "invalid_request", status=status)
    assert told == words.format(FORM)


async def test_a_store_that_is_busy_answers_later_and_not_wrong(
    provider: Provider, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one failure that is not the client's: it is told when to come back."""
    monkeypatch.setattr(type(database), "write", _too_busy)
    answer = await provider.ask()
    told = refused(answer, "temporarily_unavailable", status=503)
    assert told == "too many requests are waiting, try again later"
    assert answer.headers["retry-after"] == "2"


async def _too_busy(*_: object) -> object:
    raise StorageBusyError("the queue is full")


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"request_uri": "urn:x"}, "a request is sent by value, not by reference"),
    ({"scope": "openid admin"}, SCOPES),
    ({"login_hint_token": "x"}, ONE_HINT),
    ({"client_notification_token": "x"}, "client_notification_token must have 128 bits"),
    ({"binding_message": "\n"}, LINE),
    ({"requested_expiry": "0"}, EXPIRY),
    ({"acr_values": "gold"}, "acr_values names no strength that this server has"),
    ({"resource": ISSUER}, "the client may not have a token for this resource"),
    ({"authorization_details": "["}, "not JSON"),
    ({"login_hint": "mallory"}, UNKNOWN),
]


@pytest.mark.seed("CIBA-33")
async def test_of_several_faults_the_first_in_the_order_of_the_checks_is_told(
    provider: Provider,
) -> None:
    """CIBA Core §7.2: the client, the signature, the parameters and hints, then the user."""
    ping = Delivery(mode="ping", notification_endpoint="https://client.example/cb")
    client = await provider.other_client(delivery=ping)
    form = {**PLAIN, "client_notification_token": "x" * 43}
    for number, (_, words) in enumerate(FAULTS):
        sent = dict(form)
        for fault, _ in FAULTS[number:]:
            sent |= fault
        answer = await provider.post(PATH, sent, auth=basic(client))
        assert answer.json()["error_description"] == words, sent
    everything = dict(form)
    for fault, _ in FAULTS:
        everything |= fault
    machine = await provider.other_client(grant_types=["client_credentials"])
    refused(await provider.post(PATH, everything, auth=basic(machine)), "unauthorized_client")
    wrong = httpx2.BasicAuth(client.client.id, "wrong")
    refused(await provider.post(PATH, everything, auth=wrong), "invalid_client", status=401)


SOURCES = (
    *("backchannel", "requested", "rich", "hints", "request_object", "user_codes"),
    "client_auth",
)


def raised(source: str) -> set[str]:
    """Return the words of every refusal that a module makes, as they stand in its text."""
    tree = ast.parse(Path(str(backchannel.__file__)).with_name(f"{source}.py").read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        words = {"OAuthError": 1, "_refused": 0}.get(node.func.id)
        if words is None or len(node.args) <= words:
            continue
        said = node.args[words]
        if source == "request_object" and node.func.id == "_refused":
            said = ast.Constant(OBJECT)  # the detail is for the log
        if isinstance(said, ast.Constant):
            found.add(str(said.value))
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_no_refusal_of_the_endpoint_is_missing_above(source: str) -> None:
    assert raised(source), "the words are found no longer"
    assert raised(source) - {one.words for one in REFUSALS} == LATER.get(source, set())


LATER = {
    "backchannel": {"who makes this call may not act here any more"},
    "rich": {
        "authorization_details can only be narrowed to members that were granted",
        "this grant gives no authorization_details: a person must be asked for them",
    },
}
"""What only a token request can hear, in `test_token_refusals.py`, and a gate, in
`test_ended_callers.py`."""
