"""Code and PKCE: what a host may ask, what a person must do, and what one code is worth."""

import asyncio
import re
from typing import Any

import pytest

from as_parts import ISSUER, refused
from conftest import TurnedClock
from host_house import (
    CALLBACK,
    CHALLENGE,
    RESOURCE,
    HostHouse,
    Person,
    query,
    returned,
)
from signoff.approvals.sessions import Verb
from signoff.tokens.verify import verify_id_token


async def test_a_yes_gives_a_code_and_the_code_gives_tokens_for_the_mcp_resource(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    location = await alice.answer(query(client_id))
    assert location.startswith(f"{CALLBACK}?")
    back = returned(location)
    assert {name: back[name] for name in ("state", "iss")} == {"state": "xyz", "iss": ISSUER}
    answer = await house.redeem(back["code"], client_id)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    members = answer.json()
    assert set(members) == {
        *("access_token", "token_type", "expires_in", "scope", "refresh_token"),
    }
    claims = house.claims(members["access_token"])
    now = int(house.database.now().timestamp())
    assert await house.stands(members["access_token"])
    assert claims.pop("consent_id")
    assert claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "aud": RESOURCE,
        "sub": "alice",
        "client_id": client_id,
        "scope": "mcp",
        "iat": now,
        "exp": now + 3600,
        "auth_time": now,
        "acr": "session",
    }
    assert (await house.events())[-2:] == ["consent.given", "consent.code_redeemed"]


async def test_an_id_token_comes_with_openid_and_carries_the_nonce(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    code = await house.code(alice, client_id, scope="mcp openid", nonce="n-0S6")
    members = (await house.redeem(code, client_id)).json()
    claims = verify_id_token(
        members["id_token"],
        keys=house.keyring.public,
        issuer=ISSUER,
        client_id=client_id,
        now=house.database.now(),
        access_token=members["access_token"],
    )
    assert (claims["nonce"], claims["sub"]) == ("n-0S6", "alice")


async def test_a_no_tells_the_host_access_denied(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    back = returned(await alice.answer(query(client_id), "deny"))
    assert (back["error"], back["state"], back["iss"]) == ("access_denied", "xyz", ISSUER)
    assert "code" not in back
    assert "consent.given" not in await house.events()


async def test_every_yes_is_asked_for_again(client_id: str, alice: Person) -> None:
    await alice.answer(query(client_id))
    again = await alice.ask(query(client_id))
    assert again.status_code == 200
    assert "Let an application act for you?" in again.text


async def test_who_is_not_signed_in_sees_nothing_of_the_request(house: HostHouse) -> None:
    registered = await house.register(client_name="Visible Name")
    page = await house.http.get(f"/oauth2/authorize?{query(registered['client_id'])}")
    assert page.status_code == 401
    assert "Visible Name" not in page.text
    assert "signoff login" in page.text


async def test_the_page_quotes_the_name_and_says_where_the_answer_goes(
    house: HostHouse, clock: TurnedClock, alice: Person
) -> None:
    registered = await house.register(
        client_name="<b>Claude</b>",
        redirect_uris=["https://tools.example/cb"],
    )
    clock.turn(3 * 3600)
    asked = query(registered["client_id"], redirect_uri="https://tools.example/cb")
    page = await alice.ask(asked)
    assert "&lt;b&gt;Claude&lt;/b&gt;" in page.text
    assert "<b>Claude</b>" not in page.text
    assert "Nobody has checked that name" in page.text
    assert "tools.example" in page.text
    assert "3 hours ago" in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://tools.example;" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"prompt": "none"}, "consent_required"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"resource": None}, "invalid_target"),
        ({"resource": f"{RESOURCE}/"}, "invalid_target"),
        ({"resource": ISSUER}, "invalid_target"),
        ({"resource": f"{ISSUER}/gate"}, "invalid_target"),
        ({"resource": "http://LOCALHOST:8420/mcp"}, "invalid_target"),
        ({"scope": "mcp admin"}, "invalid_scope"),
        ({"scope": "payments"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "mcp  payments"}, "invalid_scope"),
        ({"nonce": "n" * 501}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "urn:x"}, "request_uri_not_supported"),
    ],
)
async def test_a_request_that_does_not_hold_goes_back_with_its_error(
    client_id: str, alice: Person, changed: dict[str, Any], error: str
) -> None:
    answer = await alice.ask(query(client_id, **changed))
    assert answer.status_code == 303
    location = answer.headers["location"]
    assert location.startswith(f"{CALLBACK}?")
    back = returned(location)
    assert (back["error"], back["state"], back["iss"]) == (error, "xyz", ISSUER)
    assert "code" not in back


@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "http://127.0.0.1:49152/callback/",
        "http://127.0.0.1:49152/other",
        "http://127.0.0.1:49152/callback?x=1",
        "http://127.0.0.1:49152/callback#f",
        "http://localhost:49152/callback",
        "https://127.0.0.1:49152/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1@evil.example/callback",
        "http://evil.example@127.0.0.1/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:49152/x/../callback",
        "http://2130706433/callback",
        "//127.0.0.1/callback",
        "javascript:alert(1)",
    ],
)
async def test_nothing_goes_to_an_address_that_is_not_the_hosts(
    client_id: str, alice: Person, redirect_uri: str | None
) -> None:
    answer = await alice.ask(query(client_id, redirect_uri=redirect_uri))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "cannot sign in" in answer.text


async def test_a_remote_redirect_uri_is_compared_exactly_port_included(
    house: HostHouse, alice: Person
) -> None:
    uri = "https://tools.example/cb"
    client_id = (await house.register(redirect_uris=[uri]))["client_id"]
    assert (await alice.ask(query(client_id, redirect_uri=uri))).status_code == 200
    for other in (
        "https://tools.example:444/cb",
        "https://TOOLS.example/cb",
        "http://tools.example/cb",
        "https://tools.example/cb/",
        "https://tools.example/cb?x",
        "https://a.tools.example/cb",
    ):
        answer = await alice.ask(query(client_id, redirect_uri=other))
        assert answer.status_code == 400, other


async def test_a_strangers_distant_address_gets_an_error_by_a_link_only(
    house: HostHouse, alice: Person
) -> None:
    uri = "https://tools.example/cb"
    client_id = (await house.register(redirect_uris=[uri]))["client_id"]
    answer = await alice.ask(query(client_id, redirect_uri=uri, resource="https://other.example"))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "Go back to" in answer.text
    assert "tools.example" in answer.text


@pytest.mark.parametrize(
    "broken",
    [
        "{query}&client_id=again",
        "{query}&resource=https://other.example/mcp",
        "{query}&state=second",
        "{query}&x=%ff",
        "{query}&state=" + "s" * 4096,
        "",
        "client_id=",
    ],
)
async def test_a_request_that_can_be_read_in_two_ways_is_answered_to_nobody(
    client_id: str, alice: Person, broken: str
) -> None:
    answer = await alice.ask(broken.format(query=query(client_id)))
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_an_unknown_and_a_switched_off_host_are_one_answer(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    await house.people.disable(client_id, by="operator")
    off = await alice.ask(query(client_id))
    unknown = await alice.ask(query("host_unknown"))
    gate = await alice.ask(query("signoff-gate"))
    machine = await house.clients.create(name="A machine", by="operator")
    other = await alice.ask(query(machine.client.id))
    assert {page.status_code for page in (off, unknown, gate, other)} == {400}
    assert off.text == unknown.text == gate.text == other.text


async def test_a_host_that_registered_for_device_codes_alone_cannot_ask_for_codes(
    house: HostHouse, alice: Person
) -> None:
    grants = ["urn:ietf:params:oauth:grant-type:device_code"]
    client_id = (await house.register(grant_types=grants))["client_id"]
    assert (await alice.ask(query(client_id))).status_code == 400


async def _gives_no_code(house: HostHouse, answer: Any, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert "location" not in answer.headers
    assert "consent.given" not in await house.events()


@pytest.mark.parametrize("changed", ["csrf", "id", "at", "request", "proof"])
async def test_a_form_that_was_changed_gives_nothing(
    house: HostHouse, client_id: str, alice: Person, changed: str
) -> None:
    fields = await alice.fields(query(client_id))
    values = {
        "csrf": "0" * 64,
        "id": "ask_another",
        "at": str(int(fields["at"]) + 1),
        "request": query(client_id, scope="mcp payments"),
        "proof": fields["proof"][:-6] + "AAAAAA",
    }
    answer = await alice.decide({**fields, changed: values[changed]})
    await _gives_no_code(house, answer, 403)


async def test_a_yes_over_http_without_the_device_key_gives_nothing(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    fields = await alice.fields(query(client_id))
    await _gives_no_code(house, await alice.decide({**fields, "proof": ""}), 403)
    keyless = await house.person(key=False)
    page = (await keyless.ask(query(client_id))).text
    assert 'value="approve"' not in page
    fields = keyless.filled(page)
    await _gives_no_code(house, await keyless.decide(fields), 403)


@pytest.mark.parametrize("verb", ["approve", "done", "not-done", "connect-device"])
async def test_a_proof_of_another_act_gives_nothing(
    house: HostHouse, client_id: str, alice: Person, verb: Verb
) -> None:
    page = (await alice.ask(query(client_id))).text
    answer = await alice.decide(alice.filled(page, verb=verb))
    await _gives_no_code(house, answer, 403)
    assert (await alice.decide(alice.filled(page))).status_code == 303


async def test_another_sessions_form_gives_nothing(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    fields = await alice.fields(query(client_id))
    bob = await house.person("bob")
    await _gives_no_code(house, await bob.decide(fields), 403)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:8421", None])
async def test_a_form_of_another_origin_gives_nothing(
    house: HostHouse, client_id: str, alice: Person, origin: str | None
) -> None:
    fields = await alice.fields(query(client_id))
    del alice.http.headers["origin"]
    if origin is not None:
        alice.http.headers["origin"] = origin
    await _gives_no_code(house, await alice.decide(fields), 403)


async def test_a_page_left_open_for_too_long_gives_nothing(
    house: HostHouse, client_id: str, clock: TurnedClock, alice: Person
) -> None:
    fields = await alice.fields(query(client_id))
    clock.turn(601)
    await _gives_no_code(house, await alice.decide(fields), 409)


async def test_one_page_gives_one_code(house: HostHouse, client_id: str, alice: Person) -> None:
    fields = await alice.fields(query(client_id))
    answers = await asyncio.gather(*(alice.decide(fields) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [303] + [409] * 7
    assert (await house.events()).count("consent.given") == 1


async def test_a_host_switched_off_while_the_page_is_open_gets_nothing(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    fields = await alice.fields(query(client_id))
    await house.people.disable(client_id, by="operator")
    await _gives_no_code(house, await alice.decide(fields), 409)


async def test_reading_the_page_decides_nothing(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    fields = await alice.fields(query(client_id))
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = await alice.http.request(
            method, "/oauth2/authorize/decision", params={**fields, "decision": "approve"}
        )
        assert answer.status_code == 405
    assert "consent.given" not in await house.events()


async def test_a_host_that_has_a_secret_must_show_it(house: HostHouse, alice: Person) -> None:
    host = await house.register(token_endpoint_auth_method="client_secret_post")
    code = await house.code(alice, host["client_id"])
    refused(await house.redeem(code, host["client_id"]), "invalid_client", status=401)
    refused(
        await house.redeem(code, host["client_id"], client_secret="wrong"),
        "invalid_client",
        status=401,
    )
    answer = await house.redeem(code, host["client_id"], client_secret=host["client_secret"])
    assert answer.status_code == 200


async def test_a_public_host_gets_no_other_grant(house: HostHouse, client_id: str) -> None:
    for grant_type in ("client_credentials", "urn:openid:params:grant-type:ciba"):
        form = {"grant_type": grant_type, "client_id": client_id, "auth_req_id": "x"}
        refused(await house.token(form), "unauthorized_client")
    asked = await house.http.post(
        "/oauth2/bc-authorize",
        data={"client_id": client_id, "scope": "openid", "login_hint": "alice"},
    )
    refused(asked, "unauthorized_client")


async def test_the_page_carries_no_secret_of_the_session(client_id: str, alice: Person) -> None:
    page = (await alice.ask(query(client_id))).text
    cookie = next(iter(alice.http.cookies.values()))
    assert cookie not in page
    assert not re.search(r"\son\w+=|<script>|\sstyle=", page)
