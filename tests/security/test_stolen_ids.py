"""What a client may try with ids, codes and tokens that are not its own, or not for that door."""

import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from as_parts import (
    BANK,
    ISSUER,
    USERS,
    Provider,
    basic,
    refused,
    running_provider,
    tool_call,
)
from callback_parts import TOKEN, called_back
from conftest import TurnedClock
from host_house import RESOURCE, HostHouse, host_house, query, returned
from signoff.approvals.request import Status
from signoff.approvals.service import Approvals, Limits
from signoff.oauth.clients import CIBA, DEVICE_CODE, REFRESH_TOKEN, Issued
from signoff.oauth.revocation import INTROSPECT
from signoff.sealed import Sealer
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.sqlite import Database
from signoff.tokens.verify import unverified_claims

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PARAMETER = {
    CIBA: "auth_req_id",
    DEVICE_CODE: "device_code",
    REFRESH_TOKEN: "refresh_token",
    "authorization_code": "code",
}


async def test_a_credential_of_one_grant_opens_no_other(database: Database, sealer: Sealer) -> None:
    """All of one client, all approved: only the door they were made for takes them."""
    async with host_house(database, sealer) as house:
        issued = await house.clients.create(
            name="Everything",
            by="operator",
            grant_types=[CIBA, DEVICE_CODE, REFRESH_TOKEN],
            scopes=["mcp"],
        )
        auth = basic(issued)
        held = {
            CIBA: await _approved(house, sealer, issued),
            DEVICE_CODE: await _entered(house, issued),
            REFRESH_TOKEN: (await _from_device(house, issued))["refresh_token"],
            "authorization_code": await _code_of_a_host(house),
        }
        for grant in (CIBA, DEVICE_CODE, REFRESH_TOKEN):
            for kind, credential in held.items():
                if kind != grant:
                    form = {"grant_type": grant, PARAMETER[grant]: credential}
                    refused(await house.token(form, auth=auth), "invalid_grant")
                    # Nor under its own name: a grant reads its own parameter and no other.
                    form = {"grant_type": grant, PARAMETER[kind]: credential}
                    refused(await house.token(form, auth=auth), "invalid_request")
        for grant in (CIBA, DEVICE_CODE, REFRESH_TOKEN):
            form = {"grant_type": grant, PARAMETER[grant]: held[grant]}
            answer = await house.token(form, auth=auth)
            assert answer.status_code == 200, (grant, answer.text)


async def _approved(house: HostHouse, sealer: Sealer, client: Issued) -> str:
    form = {"scope": "openid", "login_hint": "alice"}
    answer = await house.http.post("/oauth2/bc-authorize", data=form, auth=basic(client))
    approvals = Approvals(SqliteApprovals(house.database, sealer), house.database.changes)
    (card,) = [one for one in await approvals.inbox("alice") if one.status is Status.PENDING]
    await approvals.decide(
        card.id,
        user_id="alice",
        digest=card.digest,
        verdict="approve",
        reason=None,
        acr="session",
    )
    return answer.json()["auth_req_id"]


async def _entered(house: HostHouse, client: Issued) -> str:
    told = await house.http.post(
        "/oauth2/device_authorization", data={"resource": RESOURCE}, auth=basic(client)
    )
    alice = await house.person()
    page = (await alice.http.get("/device")).text.partition("<main")[2]
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    typed = {"csrf": csrf, "user_code": told.json()["user_code"]}
    fields = alice.filled((await alice.http.post("/device", data=typed)).text)
    await alice.http.post("/device/decision", data={**fields, "decision": "approve"})
    return told.json()["device_code"]


async def _from_device(house: HostHouse, client: Issued) -> dict[str, Any]:
    form = {"grant_type": DEVICE_CODE, "device_code": await _entered(house, client)}
    return (await house.token(form, auth=basic(client))).json()


async def _code_of_a_host(house: HostHouse) -> str:
    host = await house.register()
    location = await (await house.person()).answer(query(host["client_id"]))
    return returned(location)["code"]


async def _gate(provider: Provider, key: ECKey) -> str:
    jwks = json.dumps({"keys": [key.as_dict(private=False)]})
    made = await provider.clients.create(
        name="Another gate", by="operator", role="gate", grant_types=[CIBA], jwks=jwks
    )
    return made.client.id


def _signed(client_id: str, key: ECKey, clock: TurnedClock, jti: str) -> dict[str, str]:
    now = int(clock().timestamp())
    claims: dict[str, Any] = {"iss": client_id, "sub": client_id, "aud": ISSUER, "jti": jti}
    token = jwt.encode({"alg": "ES256"}, {**claims, "iat": now, "exp": now + 60}, key)
    return {"client_assertion_type": ASSERTION, "client_assertion": token}


async def test_another_gate_learns_ends_and_redeems_nothing_of_the_first_ones(
    provider: Provider, clock: TurnedClock
) -> None:
    key = ECKey.generate_key("P-256")
    other = await _gate(provider, key)
    mine = await provider.asked()
    tries: list[tuple[str, dict[str, str]]] = [
        ("/oauth2/token", {"grant_type": CIBA}),
        ("/ciba/withdraw", {}),
        ("/ciba/outcome", {"state": "succeeded", "at": clock().isoformat()}),
        ("/ciba/outcome", {"state": "listener_left", "at": clock().isoformat()}),
    ]
    for number, (path, form) in enumerate(tries):
        signed = _signed(other, key, clock, f"a-{number}")
        answer = await provider.post(path, {**form, "auth_req_id": mine, **signed}, auth=None)
        refused(answer, "invalid_grant")
    card = await provider.card(mine)
    assert (card.status, card.outcome, card.listener_left_at) == (Status.PENDING, None, None)
    # The same call of another gate is another card, and its yes is worth nothing to the first.
    form = {
        "scope": "openid",
        "login_hint": "alice",
        "acr_values": "session",
        "authorization_details": json.dumps([tool_call()]),
        **_signed(other, key, clock, "a-9"),
    }
    theirs = (await provider.post("/oauth2/bc-authorize", form, auth=None)).json()["auth_req_id"]
    assert (await provider.card(theirs, client_id=other)).id != card.id
    await provider.decide(theirs, client_id=other)
    refused(await provider.poll(mine), "authorization_pending")
    refused(await provider.poll(theirs), "invalid_grant")


@pytest.mark.parametrize("path", ["/ciba/withdraw", "/ciba/outcome"])
async def test_a_client_that_is_no_gate_has_no_business_at_the_gates_endpoints(
    provider: Provider, clock: TurnedClock, path: str
) -> None:
    client = await provider.other_client()
    auth_req_id = await provider.asked(
        auth=basic(client), authorization_details=None, resource=None
    )
    form = {"auth_req_id": auth_req_id, "state": "succeeded", "at": clock().isoformat()}
    refused(await provider.post(path, form, auth=basic(client)), "unauthorized_client")
    card = await provider.card(auth_req_id, client_id=client.client.id)
    assert (card.status, card.outcome) == (Status.PENDING, None)


async def test_nothing_that_is_added_to_the_token_request_widens_the_token(
    provider: Provider,
) -> None:
    client = await provider.other_client(audiences=[BANK, "https://other.example"])
    auth = basic(client)
    details = [{"type": "payment", "amount": 25}]
    auth_req_id = await provider.asked(
        auth=auth, authorization_details=json.dumps(details), resource=BANK
    )
    await provider.decide(auth_req_id, client_id=client.client.id)
    for resource in ("https://other.example", f"{ISSUER}/mcp", [BANK, "https://other.example"]):
        wider = await provider.poll(auth_req_id, auth=auth, resource=resource)
        refused(wider, "invalid_target")
    more = json.dumps([{"type": "payment", "amount": 9999}])
    wider = await provider.poll(auth_req_id, auth=auth, authorization_details=more)
    refused(wider, "invalid_authorization_details")
    answer = await provider.poll(
        auth_req_id,
        auth=auth,
        resource=BANK,
        scope="openid payments admin",
        audience="https://other.example",
        login_hint="bob",
        acr_values="passkey",
    )
    claims = unverified_claims(answer.json()["access_token"])
    told = {name: claims[name] for name in ("aud", "scope", "sub", "acr", "authorization_details")}
    assert told == {
        "aud": BANK,
        "scope": "openid",
        "sub": "alice",
        "acr": "session",
        "authorization_details": details,
    }


async def test_the_yes_of_a_push_client_is_nobody_elses_to_poll(provider: Provider) -> None:
    push = await called_back(provider, "push", "https://client.example/ciba")
    form: dict[str, Any] = {"authorization_details": None, "resource": None}
    auth_req_id = await provider.asked(auth=basic(push), client_notification_token=TOKEN, **form)
    await provider.decide(auth_req_id, client_id=push.client.id)
    other = await provider.other_client()
    refused(await provider.poll(auth_req_id, auth=basic(other)), "invalid_grant")
    refused(await provider.poll(auth_req_id), "invalid_grant")


async def test_what_is_no_access_token_is_inactive_to_everybody_in_the_same_bytes(
    database: Database, sealer: Sealer
) -> None:
    async with host_house(database, sealer) as house:
        host = await house.register(
            grant_types=["authorization_code", "refresh_token"],
            token_endpoint_auth_method="client_secret_post",
        )
        known = {"client_id": host["client_id"], "client_secret": host["client_secret"]}
        code = await house.code(await house.person(), host["client_id"], scope="mcp openid")
        given = (await house.redeem(code, **known)).json()
        later = await house.code(await house.person("bob"), host["client_id"])
        issued = await house.clients.create(
            name="A bank", by="operator", scopes=[INTROSPECT], audiences=[BANK]
        )
        nothing = [given["refresh_token"], given["id_token"], later, host["client_secret"], "x"]
        answers = [
            await house.http.post("/oauth2/introspect", data={"token": token, **more}, auth=auth)
            for token in (*nothing, given["access_token"])
            for more in ({}, {"token_type_hint": "refresh_token"})
            for auth in (basic(issued),)
        ]
        answers += [
            await house.http.post("/oauth2/introspect", data={"token": token, **known})
            for token in nothing
        ]
        assert {(one.status_code, one.content, str(one.headers)) for one in answers} == {
            (200, b'{"active":false}', str(answers[0].headers))
        }
        own = await house.http.post(
            "/oauth2/introspect", data={"token": given["access_token"], **known}
        )
        assert own.json()["active"] is True


async def test_a_person_is_spared_whatever_the_hint_and_whichever_the_client(
    database: Database, sealer: Sealer
) -> None:
    """Sixty prompts a minute are one person's, however many names and clients they have."""

    subject = {"format": "iss_sub", "iss": ISSUER, "sub": "alice"}
    hints = [
        "alice",
        str(USERS["alice"].email),
        "ALICE@example.com",
        json.dumps(subject),
        json.dumps({**subject, "iss": f"{ISSUER}/"}),
        json.dumps({"format": "iss_sub", "iss": "https://idp.example", "sub": "a-1"}),
    ]
    async with running_provider(database, sealer, limits=Limits(prompts_per_minute=6)) as provider:
        form: dict[str, Any] = {"authorization_details": None, "resource": None}
        for hint in hints:
            client = await provider.other_client()
            await provider.asked(auth=basic(client), login_hint=hint, **form)
        for hint in hints:
            client = await provider.other_client()
            answer = await provider.ask(auth=basic(client), login_hint=hint, **form)
            refused(answer, "temporarily_unavailable", status=429)
