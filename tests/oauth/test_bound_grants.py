"""Tokens of hosts bound to a key (RFC 9449): codes, refresh tokens and devices, and who may not."""

import re
from typing import Any

import httpx2
import pytest

from as_parts import ISSUER, refused
from conftest import TurnedClock
from dpop_parts import KeyHolder
from host_house import (
    CALLBACK,
    RESOURCE,
    VERIFIER,
    HostHouse,
    query,
    registration,
    returned,
)
from signoff.tokens.verify import unverified_claims

TOKEN_URL = f"{ISSUER}/oauth2/token"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def holder(clock: TurnedClock) -> KeyHolder:
    return KeyHolder(clock, issuer=ISSUER)


@pytest.fixture
def thief(clock: TurnedClock) -> KeyHolder:
    return KeyHolder(clock, issuer=ISSUER)


def of_code(code: str, client_id: str, **changed: Any) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "client_id": client_id,
        "code_verifier": VERIFIER,
    }
    return {**form, **changed}


def of_refresh(token: str, client_id: str) -> dict[str, Any]:
    return {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}


def bound(answer: httpx2.Response, holder: KeyHolder) -> dict[str, Any]:
    """Assert that the tokens are bound to this key."""
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert given["token_type"] == "DPoP"
    assert unverified_claims(given["access_token"])["cnf"] == {"jkt": holder.jkt}
    return given


async def test_the_key_of_a_code_stays_the_key_of_every_refresh(
    house: HostHouse, client_id: str, holder: KeyHolder
) -> None:
    code = await house.code(await house.person(), client_id, dpop_jkt=holder.jkt)
    first = bound(await holder.token(house.http, of_code(code, client_id)), holder)
    second = bound(
        await holder.token(house.http, of_refresh(first["refresh_token"], client_id)), holder
    )
    bound(await holder.token(house.http, of_refresh(second["refresh_token"], client_id)), holder)


async def test_a_code_bound_to_a_key_is_of_no_use_without_it_and_is_not_burnt(
    house: HostHouse, client_id: str, holder: KeyHolder, thief: KeyHolder
) -> None:
    code = await house.code(await house.person(), client_id, dpop_jkt=holder.jkt)
    refused(await house.redeem(code, client_id), "invalid_dpop_proof")
    refused(await thief.token(house.http, of_code(code, client_id)), "invalid_grant")
    bound(await holder.token(house.http, of_code(code, client_id)), holder)


async def test_a_code_bound_to_no_key_can_still_give_bound_tokens(
    house: HostHouse, client_id: str, holder: KeyHolder
) -> None:
    code = await house.code(await house.person(), client_id)
    bound(await holder.token(house.http, of_code(code, client_id)), holder)


@pytest.mark.parametrize("jkt", ["short", "x" * 44, "x" * 42 + "=", "x" * 42 + "é"])
async def test_what_is_no_thumbprint_is_refused(house: HostHouse, client_id: str, jkt: str) -> None:
    person = await house.person()
    answer = await person.ask(query(client_id, dpop_jkt=jkt))
    assert answer.status_code == 303, answer.text
    assert returned(answer.headers["location"])["error"] == "invalid_request"


async def test_the_key_is_part_of_what_a_person_says_yes_to(
    house: HostHouse, client_id: str, holder: KeyHolder, thief: KeyHolder
) -> None:
    person = await house.person()
    fields = await person.fields(query(client_id, dpop_jkt=holder.jkt))
    other = await person.fields(query(client_id, dpop_jkt=thief.jkt))
    answer = await person.decide({**fields, "request": other["request"]})
    assert answer.status_code != 303 or "code=" not in answer.headers["location"]


async def test_a_public_clients_refresh_token_is_of_no_use_without_its_key_and_is_not_burnt(
    house: HostHouse, client_id: str, holder: KeyHolder, thief: KeyHolder
) -> None:
    code = await house.code(await house.person(), client_id)
    first = bound(await holder.token(house.http, of_code(code, client_id)), holder)
    form = of_refresh(first["refresh_token"], client_id)
    refused(await house.refresh(first["refresh_token"], client_id), "invalid_dpop_proof")
    refused(await thief.token(house.http, form), "invalid_grant")
    second = bound(await holder.token(house.http, form), holder)
    # Used up now. Without its key it does not even end the family.
    refused(await thief.token(house.http, form), "invalid_grant")
    assert await house.stands(second["access_token"])
    refused(await holder.token(house.http, form), "invalid_grant")
    assert not await house.stands(second["access_token"])


async def test_a_public_client_that_begins_to_prove_a_key_must_go_on(
    house: HostHouse, client_id: str, holder: KeyHolder
) -> None:
    first = await house.signed_in(client_id)
    assert first["token_type"] == "Bearer"
    form = of_refresh(first["refresh_token"], client_id)
    second = bound(await holder.token(house.http, form), holder)
    refused(await house.refresh(second["refresh_token"], client_id), "invalid_dpop_proof")


async def test_a_client_with_a_secret_may_prove_another_key_at_a_refresh(
    house: HostHouse, holder: KeyHolder, thief: KeyHolder
) -> None:
    registered = await house.register(token_endpoint_auth_method="client_secret_basic")
    client_id = registered["client_id"]
    auth = httpx2.BasicAuth(client_id, registered["client_secret"])
    code = await house.code(await house.person(), client_id)
    first = bound(await holder.token(house.http, of_code(code, client_id), auth=auth), holder)
    form = of_refresh(first["refresh_token"], client_id)
    bound(await thief.token(house.http, form, auth=auth), thief)


async def test_a_devices_tokens_are_bound_to_the_key_of_its_poll(
    house: HostHouse, holder: KeyHolder, thief: KeyHolder
) -> None:
    client_id = (await house.register(grant_types=[DEVICE_CODE, "refresh_token"]))["client_id"]
    opened = (
        await house.http.post(
            "/oauth2/device_authorization", data={"client_id": client_id, "resource": RESOURCE}
        )
    ).json()
    person = await house.person()
    page = (await person.http.get("/device")).text.partition("<main")[2]
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    entered = await person.http.post(
        "/device", data={"csrf": csrf, "user_code": opened["user_code"]}
    )
    fields = person.filled(entered.text)
    answer = await person.http.post("/device/decision", data={**fields, "decision": "approve"})
    assert answer.status_code in {200, 303}, answer.text
    form = {
        "grant_type": DEVICE_CODE,
        "device_code": opened["device_code"],
        "client_id": client_id,
    }
    given = bound(await holder.token(house.http, form), holder)
    refresh = of_refresh(given["refresh_token"], client_id)
    refused(await thief.token(house.http, refresh), "invalid_grant")
    bound(await holder.token(house.http, refresh), holder)


async def test_a_bound_token_of_a_host_reads_so_at_introspection(
    house: HostHouse, holder: KeyHolder
) -> None:
    registered = await house.register(token_endpoint_auth_method="client_secret_basic")
    client_id = registered["client_id"]
    auth = httpx2.BasicAuth(client_id, registered["client_secret"])
    code = await house.code(await house.person(), client_id)
    given = bound(await holder.token(house.http, of_code(code, client_id), auth=auth), holder)
    told = await house.http.post(
        "/oauth2/introspect", data={"token": given["access_token"]}, auth=auth
    )
    assert (told.json()["token_type"], told.json()["cnf"]) == ("DPoP", {"jkt": holder.jkt})


async def test_a_host_that_registered_for_bound_tokens_gets_no_other(
    house: HostHouse, holder: KeyHolder
) -> None:
    registered = await house.register(dpop_bound_access_tokens=True)
    assert registered["dpop_bound_access_tokens"] is True
    client_id = registered["client_id"]
    code = await house.code(await house.person(), client_id)
    refused(await house.redeem(code, client_id), "invalid_dpop_proof")
    given = bound(await holder.token(house.http, of_code(code, client_id)), holder)
    refused(await house.refresh(given["refresh_token"], client_id), "invalid_dpop_proof")


async def test_a_replaced_registration_says_anew_whether_tokens_are_bound(
    house: HostHouse,
) -> None:
    registered = await house.register(dpop_bound_access_tokens=True)
    where = registered["registration_client_uri"]
    headers = {"authorization": f"Bearer {registered['registration_access_token']}"}
    body = registration(client_id=registered["client_id"])
    told = await house.http.put(where, json=body, headers=headers)
    assert told.json()["dpop_bound_access_tokens"] is False
    code = await house.code(await house.person(), registered["client_id"])
    assert (await house.redeem(code, registered["client_id"])).json()["token_type"] == "Bearer"
