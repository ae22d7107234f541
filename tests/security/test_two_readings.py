"""One request, two readers: bodies, details and names that could be taken for something else."""

import json
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from as_parts import BANK, ISSUER, Provider, basic, refused, tool_call
from conftest import TurnedClock
from signoff.oauth.clients import CIBA, Issued

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM = "application/x-www-form-urlencoded"
CALL = json.dumps(tool_call())
PAYMENT = '{"type":"payment","amount":25}'
SPELLINGS = [
    f"[{CALL}]",
    f"[{PAYMENT},{CALL}]",
    f"[{CALL},{PAYMENT}]",
    f"[[{CALL}]]",
    f'{{"0":{CALL}}}',
    CALL,
    json.dumps(f"[{CALL}]"),
    '[{"type":"tool\\u005fcall","amount":25}]',
    '[{"\\u0074ype":"tool_call","amount":25}]',
    '[{"type":"payment","type":"tool_call","amount":25}]',
    '[{"type":"payment","\\u0074ype":"tool_call","amount":25}]',
    '[{"type":"tool_call","type":"payment","amount":25}]',
    '[{"type":["payment"],"amount":25}]',
    '[{"type":["tool_call"],"amount":25}]',
    '[{"type":{"const":"tool_call"},"amount":25}]',
    '[{"type":"Tool_call","amount":25}]',
    '[{"type":"tool_call ","amount":25}]',
    '[{"type":"tool_call\\u0000","amount":25}]',
    '[{"type":"tool\\u200b_call","amount":25}]',
    '[{"type":"\\uff54ool_call","amount":25}]',
    '[{"type":"t\\u03bfol_call","amount":25}]',
    '[{"type":"payment\\u0000tool_call","amount":25}]',
    '[{"type":"\\ud83d","amount":25}]',
    '[{"type":null,"amount":25}]',
    '[{"type":"","amount":25}]',
    '[{"type":"payment","amount":25,"call_id":"call_1"}]',
    '[{"type":"payment","amount":25,"__proto__":{"type":"tool_call"}}]',
    '[{"type":"payment","amount":1e2,"amount":25}]',
    '[{"type":"payment","amount":25}],[]',
    '[{"type":"payment","amount":25}]\x00',
    '[{"type":"payment","amount":25}] // and more',
    "[" * 100 + PAYMENT + "]" * 100,
    "[" + ",".join([PAYMENT] * 11) + "]",
]


@pytest.mark.parametrize("text", SPELLINGS, ids=range(len(SPELLINGS)))
async def test_no_spelling_gets_another_client_the_card_of_a_tool_call(
    provider: Provider, clock: TurnedClock, text: str
) -> None:
    """As a form, as a JSON text, as JSON itself, and inside a signed request."""
    key = ECKey.generate_key("P-256")
    jwks = json.dumps({"keys": [key.as_dict(private=False)]})
    client = await provider.other_client()
    signing = await provider.other_client(jwks=jwks)
    answers = [
        await provider.ask(auth=basic(client), authorization_details=text, resource=BANK),
        await _in_json(provider, client, json.dumps(text)),
    ]
    try:
        inside = json.loads(text)
        json.dumps(inside, ensure_ascii=False).encode()
    except ValueError:
        pass
    else:
        answers += [
            await _in_json(provider, client, text),
            await _signed(provider, signing, key, clock, authorization_details=inside),
        ]
    for answer in answers:
        # Read by a parser that takes the last of two keys, some of these are a payment.
        if answer.status_code == 200:
            auth_req_id = answer.json()["auth_req_id"]
            card = await provider.card(auth_req_id, client_id=signing.client.id)
            assert all(one["type"] == "payment" for one in card.authorization_details)
            assert card.call_id is None
        else:
            assert answer.status_code == 400, answer.text
            assert answer.json()["error"] in {"invalid_authorization_details", "invalid_request"}


async def _in_json(provider: Provider, client: Issued, details: str) -> httpx2.Response:
    body = (
        f'{{"client_id":"{client.client.id}","client_secret":"{client.secret}",'
        f'"scope":"openid","login_hint":"alice","authorization_details":{details}}}'
    )
    return await provider.http.post(
        "/bc-authorize",
        content=body.encode("utf-8", "surrogatepass"),
        headers={"content-type": "application/json"},
    )


async def _signed(
    provider: Provider, client: Issued, key: ECKey, clock: TurnedClock, **claims: Any
) -> httpx2.Response:
    now = int(clock().timestamp())
    client_id = client.client.id
    times = {"iat": now, "nbf": now, "exp": now + 60}
    asked = {"scope": "openid", "login_hint": "alice", "jti": "r-1", **times, **claims}
    proof = {"iss": client_id, "sub": client_id, "aud": ISSUER, "jti": "a-1", **times}
    form = {
        "request": jwt.encode({"alg": "ES256"}, {"iss": client_id, "aud": ISSUER, **asked}, key),
        "client_assertion_type": ASSERTION,
        "client_assertion": jwt.encode({"alg": "ES256"}, proof, key),
    }
    return await provider.post("/oauth2/bc-authorize", form, auth=None)


async def test_a_signed_request_may_name_its_client_and_no_other(
    provider: Provider, clock: TurnedClock
) -> None:
    key = ECKey.generate_key("P-256")
    jwks = json.dumps({"keys": [key.as_dict(private=False)]})
    client = await provider.other_client(jwks=jwks)
    for other in ("signoff-gate", "", 1, ["x"]):
        answer = await _signed(provider, client, key, clock, client_id=other)
        refused(answer, "invalid_request" if answer.status_code == 400 else "invalid_client")
        clock.turn(61)
        client = await provider.other_client(jwks=jwks)
    answer = await _signed(provider, client, key, clock, client_id=client.client.id)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        "scope=openid&sc%6fpe=openid+payments&login_hint=alice",
        "scope=openid&login_hint=alice&login%5Fhint=bob",
        "scope=openid&login_hint=alice&login_hint=",
        "scope=openid&login_hint=alice&login_hint=alice",
        "scope=openid&login_hint=&login_hint=alice",
        "scope=openid&login_hint=alice&client_id=signoff-gate",
        "scope=openid&login_hint=alice&client_id=%00",
        "scope=openid&login_hint=alice&client_secret=x",
        "scope=openid&login_hint=alice&client_assertion=x",
        "scope=openid&login_hint=alice&user_code=%C0%80",
        "scope=openid&login_hint=alice&binding_message=%ED%A0%80",
        "scope=openid&login_hint=alice&x=%u0061",
        "scope=openid&login_hint=alice&x=%80",
        "scope=openid&login_hint=alice&&x",
        "scope=openid&login_hint=alice&=x&=y",
        "scope=openid&login_hint=alice\r\n&x=1",
    ],
)
async def test_a_form_with_two_readings_asks_nobody(provider: Provider, body: str) -> None:
    client = await provider.other_client()
    answer = await provider.http.post(
        "/oauth2/bc-authorize",
        content=body.encode(),
        headers={"content-type": FORM},
        auth=basic(client),
    )
    if answer.status_code == 200:  # one reading only: the stray bytes belong to a name or a value
        card = await provider.card(answer.json()["auth_req_id"], client_id=client.client.id)
        assert (card.eligible, card.scope) == (("alice",), "openid")
        assert body == "scope=openid&login_hint=alice&x=%u0061"
    else:
        assert answer.status_code == 400, answer.text


async def test_a_semicolon_separates_nothing(provider: Provider) -> None:
    client = await provider.other_client()
    answer = await provider.http.post(
        "/oauth2/bc-authorize",
        content=b"scope=openid;login_hint=bob&login_hint=alice",
        headers={"content-type": FORM},
        auth=basic(client),
    )
    refused(answer, "invalid_scope")


VALUES: list[Any] = [
    "x\x00y",
    [],
    [""],
    ["x"],
    {},
    {"a": "x"},
    0,
    -1,
    1.5,
    10**400,
    True,
    False,
    [[[]]],
]
ASKED = (
    *("client_id", "client_secret", "client_assertion", "client_assertion_type", "scope"),
    *("login_hint", "login_hint_token", "id_token_hint", "binding_message", "acr_values"),
    *("requested_expiry", "resource", "audience", "authorization_details", "request"),
    *("request_uri", "grant_type", "auth_req_id"),
)
# As JSON these say what they say as text, or stand where nobody reads them.
HARMLESS = (
    *("grant_type", "auth_req_id", "binding_message", "requested_expiry"),
    "client_assertion_type",
)


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("endpoint", ["bc", "token"])
async def test_a_member_of_another_type_is_refused_and_never_an_accident(
    provider: Provider, name: str, endpoint: str
) -> None:
    client = await provider.other_client()
    known = {"client_id": client.client.id, "client_secret": client.secret}
    asking: dict[str, Any] = {"scope": "openid", "login_hint": "alice", "audience": BANK}
    polling: dict[str, Any] = {"grant_type": CIBA, "auth_req_id": "unknown"}
    path, members = {
        "bc": ("/bc-authorize", {**known, **asking}),
        "token": ("/oauth/token", {**known, **polling}),
    }[endpoint]
    for value in VALUES:
        answer = await provider.http.post(path, json={**members, name: value})
        assert answer.status_code in (200, 400, 401), (value, answer.text)
        if answer.status_code != 200:
            assert set(answer.json()) == {"error", "error_description"}
            continue
        card = await provider.card(answer.json()["auth_req_id"], client_id=client.client.id)
        assert endpoint == "bc"
        assert (card.eligible, card.scope, card.resources) == (("alice",), "openid", (BANK,))
        assert name in HARMLESS or (name, value) == ("resource", []), value


@pytest.mark.parametrize("path", ["/bc-authorize", "/oauth/token"])
@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ('{"client_id":"a","client_id":"b"}'.encode("utf-16"), "application/json"),
        ('{"client_id":"a"}'.encode("utf-16"), "application/json; charset=utf-16"),
        ('{"client_id":"a"}'.encode("utf-32"), "application/json"),
        (b'\xef\xbb\xbf{"client_id":"a"}', "application/json"),
        (b'{"client_id":"a","client\\u005fid":"b"}', "application/json"),
        (b'{"client_id":"\\ud800"}', "application/json"),
        (b'["client_id"]', "application/json"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "application/json"),
        (b'{"client_id":"a"}', "text/json"),
        (b'{"client_id":"a"}', "application/json+x"),
        (b"client_id=a", "application/json"),
        (b'{"client_id":"a"}', FORM),
        (b"--b\r\n\r\n--b--", "multipart/form-data; boundary=b"),
        (b'{"client_id":"a"}', f"{FORM}, application/json"),
    ],
)
async def test_a_body_that_is_not_what_it_says_is_refused(
    provider: Provider, path: str, body: bytes, media_type: str
) -> None:
    answer = await provider.http.post(path, content=body, headers={"content-type": media_type})
    refused(answer, "invalid_request")


@pytest.mark.parametrize("field", ["client_id", "sub", "iss"])
async def test_an_assertion_speaks_for_one_client(
    provider: Provider, clock: TurnedClock, field: str
) -> None:
    key = ECKey.generate_key("P-256")
    jwks = json.dumps({"keys": [key.as_dict(private=False)]})
    mine, other = (
        await provider.other_client(jwks=jwks),
        await provider.other_client(),
    )
    now = int(clock().timestamp())
    claims = {"iss": mine.client.id, "sub": mine.client.id, "aud": ISSUER, "jti": "x"}
    if field != "client_id":
        claims[field] = other.client.id
    signed = jwt.encode({"alg": "ES256"}, {**claims, "iat": now, "exp": now + 60}, key)
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION,
        "client_assertion": signed,
        **({"client_id": other.client.id} if field == "client_id" else {}),
    }
    answer = await provider.post("/oauth2/token", form, auth=None)
    if field == "client_id":
        refused(answer, "invalid_request")
    else:
        refused(answer, "invalid_client", status=401)


async def test_what_a_client_signs_for_one_use_is_none_for_another(
    provider: Provider, clock: TurnedClock
) -> None:
    """An assertion, a request and a hint are signed by one key for one address, and never mixed."""
    key = ECKey.generate_key("P-256")
    jwks = json.dumps({"keys": [key.as_dict(private=False)]})
    client = await provider.other_client(jwks=jwks)
    now, client_id = int(clock().timestamp()), client.client.id
    common: dict[str, Any] = {"iss": client_id, "aud": ISSUER, "iat": now, "exp": now + 60}
    asked = {"scope": "openid", "login_hint": "alice", "nbf": now, "jti": "r-1"}
    hinted = {"sub_id": {"format": "opaque", "id": "alice"}, "jti": "h-1"}

    def signed(**claims: Any) -> str:
        return jwt.encode({"alg": "ES256"}, {**common, **claims}, key)

    def proof(assertion: str) -> dict[str, str]:
        return {"client_assertion_type": ASSERTION, "client_assertion": assertion}

    async def ask(**form: Any) -> httpx2.Response:
        return await provider.post("/oauth2/bc-authorize", form, auth=None)

    plain = {"scope": "openid", "login_hint": "alice"}
    for token in (signed(**asked), signed(**hinted)):  # neither names its sender by `sub`
        refused(await ask(**plain, **proof(token)), "invalid_client", status=401)
    # One that does is refused for what it is, so that there is none to be used again.
    own = [proof(signed(sub=client_id, jti=f"a-{number}")) for number in range(4)]
    refused(await ask(request=signed(**asked, sub=client_id), **own[0]), "invalid_request")
    hint = signed(**hinted, sub=client_id)
    refused(await ask(scope="openid", login_hint_token=hint, **own[1]), "invalid_request")
    assertion = own[2]["client_assertion"]
    refused(await ask(request=assertion, **own[3]), "invalid_request")
