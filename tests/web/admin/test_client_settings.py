"""What can be said of a client, the same over HTTP as at the terminal."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from starlette.applications import Starlette

from as_parts import BANK, Provider
from signed_in import Site
from signoff.app.client_operations import ClientOperations
from signoff.oauth import forms
from signoff.oauth.client_settings import CHANGED
from signoff.oauth.clients import CIBA, DEVICE_CODE
from trickle import trickled

ENDPOINT = "https://client.example/callback"
DELIVERY_MODE = "backchannelTokenDeliveryMode"
NOTIFICATION_ENDPOINT = "backchannelClientNotificationEndpoint"
SIGNING_ALG = "backchannelAuthenticationRequestSigningAlg"
USER_CODE = "backchannelUserCodeParameter"


def keys(*, private: bool = False) -> dict[str, Any]:
    return {"keys": [{**ECKey.generate_key("P-256").as_dict(private=private), "kid": "one"}]}


KEYS = keys()


WHOLE: dict[str, Any] = {
    "name": "Shop",
    "grantTypes": ["ciba", "refresh_token"],
    "scopes": ["payments"],
    "audiences": [BANK],
    "metadata": {"team": "ops"},
    "expiresIn": 30,
    "jwks": KEYS,
    "authorizationDetailsTypes": ["payment"],
    DELIVERY_MODE: "ping",
    NOTIFICATION_ENDPOINT: ENDPOINT,
    SIGNING_ALG: "ES256",
    USER_CODE: True,
    "dpopBoundAccessTokens": True,
}
TYPED: dict[str, Any] = {
    "name": "Shop",
    "role": "machine",
    "grants": ["ciba", "refresh_token"],
    "scopes": ["payments"],
    "audiences": [BANK],
    "metadata": {"team": "ops"},
    "days": 30,
    "jwks": json.dumps(KEYS),
    "details_types": ["payment"],
    "delivery": "ping",
    "notify": ENDPOINT,
    "request_signing_alg": "ES256",
    "user_code": True,
    "dpop": True,
}


async def made(here: Site, admin: dict[str, str], **members: Any) -> dict[str, Any]:
    body = {"name": "Shop", **members}
    answer = await here.http.post("/m2m/clients", json=body, headers=admin)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.seed("C3")
@pytest.mark.seed("CIBA-8")
async def test_a_client_is_the_same_by_whichever_door_it_came(
    provider: Provider, here: Site, admin: dict[str, str]
) -> None:
    over_http = await made(here, admin, **WHOLE)
    terminal = ClientOperations(provider.clients, provider.people, end_calls_of=None)
    typed: Any = await terminal.create(TYPED)
    path = "/m2m/clients/{}".format
    shown = (await here.http.get(path(typed["client_id"]), headers=admin)).json()
    apart = {"id", "clientId", "clientSecret"}
    assert {name: value for name, value in over_http.items() if name not in apart} == {
        name: value for name, value in shown.items() if name not in apart
    }
    assert (over_http["clientSecret"], over_http["startingCharacters"]) == (None, None)
    said = {name: value for name, value in WHOLE.items() if name != "expiresIn"}
    told = {name: over_http[name] for name in said}
    assert told == {**said, "grantTypes": ["refresh_token", CIBA]}


@pytest.mark.seed("C6")
async def test_what_was_said_of_a_client_is_changed_and_taken_away(
    here: Site, admin: dict[str, str]
) -> None:
    client = await made(here, admin, **WHOLE)
    path, others = f"/m2m/clients/{client['id']}", keys()

    async def changed(**members: Any) -> dict[str, Any]:
        answer = await here.http.patch(path, json=members, headers=admin)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert (await changed(jwks=others))["jwks"] == others
    assert (await changed(**{SIGNING_ALG: None}))[SIGNING_ALG] is None
    assert (await changed(**{USER_CODE: False}))[USER_CODE] is False
    after = await changed(**{DELIVERY_MODE: "poll"})
    assert (after[DELIVERY_MODE], after[NOTIFICATION_ENDPOINT]) == ("poll", None)
    after = await changed(scopes=[], audiences=[], authorizationDetailsTypes=[])
    emptied = (after["scopes"], after["audiences"], after["authorizationDetailsTypes"])
    assert emptied == ([], [], [])
    assert (await here.http.get(path, headers=admin)).json() == after


async def test_a_client_may_ask_by_a_code_that_a_person_types(
    here: Site, admin: dict[str, str]
) -> None:
    for name in ("device_code", DEVICE_CODE):
        assert (await made(here, admin, grantTypes=[name]))["grantTypes"] == [DEVICE_CODE]


GATES_ARE_MADE_ELSEWHERE = (
    "a gate asks people in the name of others, so it is made at the terminal and nowhere else: "
    "signoff clients create NAME --role gate --jwks FILE"
)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"role": "gate", "jwks": KEYS, "grantTypes": ["ciba"]}, GATES_ARE_MADE_ELSEWHERE),
        ({"role": "gate"}, GATES_ARE_MADE_ELSEWHERE),
        ({"role": "admin"}, "role is machine or gate"),
        ({"role": ["machine"]}, "role is machine or gate"),
        ({"jwks": keys(private=True)}, None),
        ({"jwks": {"keys": []}}, "the key set holds no key that can sign"),
        ({"jwks": {}}, "the key set: not a JWKS"),
        ({"jwks": json.dumps(KEYS)}, "jwks is an object"),
        ({"jwks": None}, "jwks cannot be null"),
        ({DELIVERY_MODE: "sms"}, "the delivery mode is one of poll, ping, push"),
        ({DELIVERY_MODE: 1}, f"{DELIVERY_MODE} is a text"),
        ({DELIVERY_MODE: None}, f"{DELIVERY_MODE} cannot be null"),
        (
            {DELIVERY_MODE: "ping"},
            "a notification endpoint belongs to ping and push, and to them only",
        ),
        (
            {NOTIFICATION_ENDPOINT: ENDPOINT},
            "a notification endpoint belongs to ping and push, and to them only",
        ),
        (
            {DELIVERY_MODE: "push", NOTIFICATION_ENDPOINT: "http://client.example/"},
            "a notification endpoint is an https URL without user and fragment",
        ),
        ({NOTIFICATION_ENDPOINT: 7}, f"{NOTIFICATION_ENDPOINT} is a text"),
        (
            {SIGNING_ALG: "ES256"},
            "a request is signed with the client's own key, by ES256, PS256, Ed25519, EdDSA",
        ),
        (
            {SIGNING_ALG: "none", "jwks": KEYS},
            "a request is signed with the client's own key, by ES256, PS256, Ed25519, EdDSA",
        ),
        ({USER_CODE: "yes"}, f"{USER_CODE} is true or false"),
        ({USER_CODE: None}, f"{USER_CODE} cannot be null"),
        ({"grantTypes": ["password"]}, None),
        ({"grantTypes": "ciba"}, "grantTypes is a list of texts"),
        ({"scopes": None}, "scopes cannot be null"),
        (
            {DELIVERY_MODE: "push", NOTIFICATION_ENDPOINT: ENDPOINT, "dpopBoundAccessTokens": True},
            "a push has no request that could prove a key: bind polled tokens",
        ),
    ],
)
async def test_settings_that_cannot_be_are_refused_with_the_reason(
    provider: Provider, here: Site, admin: dict[str, str], members: Any, reason: str | None
) -> None:
    answer = await here.http.post("/m2m/clients", json={"name": "Shop", **members}, headers=admin)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    if reason is not None:
        assert answer.json()["error_description"] == reason
    assert len(await provider.clients.list()) == 1


@pytest.mark.parametrize(
    "members",
    [
        {"role": "machine"},
        {"role": "gate"},
        {"grantTypes": ["ciba"]},
        {"jwks": KEYS},  # it was made with a secret
        {SIGNING_ALG: "ES256"},
        {DELIVERY_MODE: "push"},
        {NOTIFICATION_ENDPOINT: ENDPOINT},
        *({name: None} for name in sorted(CHANGED - {"expiresIn", SIGNING_ALG})),
        *({name: 7} for name in sorted(CHANGED - {"expiresIn"})),
    ],
)
async def test_a_change_that_cannot_be_changes_nothing(
    here: Site, admin: dict[str, str], members: dict[str, Any]
) -> None:
    client = await made(here, admin, scopes=["a"])
    path = f"/m2m/clients/{client['id']}"
    if members == {NOTIFICATION_ENDPOINT: None}:
        ping = {DELIVERY_MODE: "ping", NOTIFICATION_ENDPOINT: ENDPOINT}
        await here.http.put(path, json=ping, headers=admin)
    before = (await here.http.get(path, headers=admin)).json()
    answer = await here.http.put(path, json={"name": "New", **members}, headers=admin)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await here.http.get(path, headers=admin)).json() == before


@pytest.mark.seed("C6")
def test_the_terminal_empties_lists_and_takes_a_signature_off(run: Any, tmp_path: Path) -> None:
    public = tmp_path / "shop.jwks"
    public.write_text(json.dumps(KEYS))
    given = ("--scope", "a", "--audience", BANK, "--jwks", str(public), "--sign", "ES256")
    client = json.loads(run("clients", "create", "shop", *given, "--json").stdout)
    change = ("clients", "update", client["client_id"])
    for both in (("--no-scopes", "--scope", "b"), ("--no-sign", "--sign", "ES256")):
        refused = run(*change, *both)
        assert refused.exit_code == 2
        assert "say two things: give one" in refused.stderr
    after = json.loads(run(*change, "--no-scopes", "--no-sign", "--json").stdout)
    told = {name: value for name, value in client.items() if name != "client_secret"}
    assert after == {**told, "scopes": "", "request_signing_alg": None}
    assert json.loads(run(*change, "--no-audiences", "--json").stdout)["audiences"] == ""
    assert run(*change, "--no-details-types").exit_code == 0


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", '{"keys": 1}'])
def test_a_file_that_holds_no_keys_is_refused_at_the_terminal(
    run: Any, tmp_path: Path, text: str
) -> None:
    public = tmp_path / "shop.jwks"
    public.write_text(text)
    refused = run("clients", "create", "shop", "--jwks", str(public))
    assert refused.exit_code == 1
    assert "Traceback" not in refused.output


async def test_a_body_that_never_ends_or_has_two_types_is_given_up(
    here: Site, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "BODY_DEADLINE_S", 0.01)
    alice = await here.enter("alice")
    json_ = {"content-type": "application/json"}
    for path, who in (("/m2m/clients", admin), ("/m2m/hosts", admin), ("/ciba/reject", alice)):
        status, headers, body = await trickled(
            Starlette(routes=here.routes), "POST", path, {"host": "localhost:8420", **json_, **who}
        )
        assert (status, headers["cache-control"]) == (408, "no-store"), path
        assert json.loads(body) == {
            "error": "invalid_request",
            "error_description": "the body took too long",
        }
        types = [("content-type", "application/json"), ("content-type", "text/plain")]
        answer = await here.http.post(path, content=b"{}", headers=[*types, *who.items()])
        assert answer.status_code == 415, path
