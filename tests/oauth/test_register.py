"""Dynamic registration and its management: what a stranger can claim, and what never."""

import asyncio
from typing import Any

import httpx2
import pytest

from as_parts import ISSUER, refused
from conftest import TurnedClock
from host_house import HostHouse, host_house, query, registration
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

CIBA = "urn:openid:params:grant-type:ciba"


def manage(host: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return where a registration is managed, and with what."""
    token = host["registration_access_token"]
    return host["registration_client_uri"], {"authorization": f"Bearer {token}"}


async def test_a_registration_tells_everything_that_was_registered(house: HostHouse) -> None:
    answer = await house.http.post("/oauth2/register", json=registration(scope="mcp admin"))
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told.pop("registration_access_token")
    client_id = told.pop("client_id")
    assert told == {
        "client_id_issued_at": int(house.database.now().timestamp()),
        "client_name": "A desk host",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "scope": "mcp payments openid",
        "dpop_bound_access_tokens": False,
        "registration_client_uri": f"{ISSUER}/oauth2/register/{client_id}",
    }


async def test_a_host_with_a_secret_is_told_it_once(house: HostHouse) -> None:
    host = await house.register(token_endpoint_auth_method=None)
    assert host["token_endpoint_auth_method"] == "client_secret_basic"
    assert len(host["client_secret"]) >= 43
    assert host["client_secret_expires_at"] == 0
    where, token = manage(host)
    again = (await house.http.get(where, headers=token)).json()
    assert "client_secret" not in again
    assert {**again, "client_secret": 1, "client_secret_expires_at": 0} == {
        **host,
        "client_secret": 1,
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"grant_types": [CIBA]},
        {"grant_types": ["authorization_code", CIBA]},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["implicit"]},
        {"grant_types": ["password"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": "authorization_code"},
        {"grant_types": [1]},
        {"response_types": ["token"]},
        {"response_types": ["code", "id_token"]},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": ["none"]},
        {"client_name": "x" * 101},
        {"client_name": "Cla\u200bude"},
        {"client_name": "Claude\u202e"},
        {"client_name": "two\nlines"},
        {"client_name": ["Claude"]},
        {"scope": ["mcp"]},
        {"redirect_uris": "http://127.0.0.1/callback"},
        {"software_statement": "eyJ"},
        {"authorization_details_types": ["payment"]},
        {"backchannel_token_delivery_mode": "poll"},
        {"backchannel_token_delivery_mode": "carrier_pigeon"},
        {"backchannel_client_notification_endpoint": "https://tools.example/ciba"},
        {"backchannel_authentication_request_signing_alg": "ES256"},
        {"backchannel_user_code_parameter": True},
        {"dpop_bound_access_tokens": "yes"},
    ],
)
async def test_what_a_stranger_cannot_be_is_refused(
    house: HostHouse, changed: dict[str, Any]
) -> None:
    answer = await house.http.post("/oauth2/register", json=registration(**changed))
    refused(answer, "invalid_client_metadata")
    assert "client.registered" not in await house.events()


@pytest.mark.parametrize(
    "uri",
    [
        "http://tools.example/cb",
        "http://127.0.0.2/cb",
        "http://[::2]/cb",
        "http://localhost.evil.example/cb",
        "https://tools.example/cb#fragment",
        "https://user@tools.example/cb",
        "https://user:pw@tools.example/cb",
        "https://*.tools.example/cb",
        "https://tools.example/*",
        "https://tools.example/a/../cb",
        "https:///cb",
        "https://",
        "https:cb",
        "HTTPS://tools.example/cb",
        "https://Tools.example/cb",
        "https://tools.example:99999/cb",
        "https://tools.example:x/cb",
        "https://tools.example;form-action/cb",
        "https://tools example/cb",
        "https://tools.example/c b",
        "https://tools.example\\@evil.example/cb",
        "https://tools.example/\u00e9",
        "https://tools.example/cb\r\nx: y",
        'https://tools.example/cb"><script>',
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "blob:https://tools.example/x",
        "about:blank",
        "ws://127.0.0.1/cb",
        "mailto:a@b.example",
        "/callback",
        "callback",
        "",
        "app:",
        "https://tools.example/" + "x" * 1024,
    ],
)
async def test_a_code_is_never_sent_there(house: HostHouse, uri: str) -> None:
    answer = await house.http.post("/oauth2/register", json=registration(redirect_uris=[uri]))
    refused(answer, "invalid_redirect_uri")
    good = ["http://127.0.0.1/callback", uri]
    refused(
        await house.http.post("/oauth2/register", json=registration(redirect_uris=good)),
        "invalid_redirect_uri",
    )


@pytest.mark.parametrize("uris", [[], None, ["https://tools.example/cb"] * 11])
async def test_a_host_has_between_one_and_ten_redirect_uris(
    house: HostHouse, uris: list[str] | None
) -> None:
    answer = await house.http.post("/oauth2/register", json=registration(redirect_uris=uris))
    refused(answer, "invalid_redirect_uri")


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/callback",
        "http://localhost:8080/oauth/callback",
        "http://[::1]:3000/cb",
        "https://vscode.dev/redirect",
        "https://tools.example:8443/cb?tenant=a",
        "vscode://vscode.github-authentication/did-authenticate",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "com.example.app:/oauth2redirect",
    ],
)
async def test_what_real_hosts_register_is_taken(house: HostHouse, uri: str) -> None:
    host = await house.register(redirect_uris=[uri])
    alice = await house.person()
    page = await alice.ask(query(host["client_id"], redirect_uri=uri))
    assert page.status_code == 200
    location = await alice.answer(query(host["client_id"], redirect_uri=uri))
    assert location.startswith(uri + ("&" if "?" in uri else "?") + "code=")


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"client_name":"a","client_name":"b"}', "application/json", 400),
        (b'{"client_name":"\xff"}', "application/json", 400),
        (b"{}", "text/plain", 400),
        (b"a=b", "application/x-www-form-urlencoded", 400),
        (b'{"x":"' + b"x" * 65_536 + b'"}', "application/json", 413),
    ],
)
async def test_a_body_that_is_not_one_json_object_is_refused(
    house: HostHouse, body: bytes, media_type: str, status: int
) -> None:
    answer = await house.http.post(
        "/oauth2/register", content=body, headers={"content-type": media_type}
    )
    refused(answer, "invalid_client_metadata", status=status)


async def test_registration_can_be_switched_off(database: Database, sealer: Sealer) -> None:
    async with host_house(database, sealer, registration=False) as house:
        answer = await house.http.post("/oauth2/register", json=registration())
        assert answer.status_code == 404
        told = (await house.http.get("/.well-known/oauth-authorization-server")).json()
        assert "registration_endpoint" not in told


async def test_too_many_registrations_in_a_minute_are_told_when_to_come_back(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    async with host_house(database, sealer, registrations_a_minute=3) as house:
        answers = await asyncio.gather(
            *(house.http.post("/oauth2/register", json=registration()) for _ in range(10))
        )
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 7
        turned = next(answer for answer in answers if answer.status_code == 429)
        refused(turned, "temporarily_unavailable", status=429)
        assert turned.headers["retry-after"] == "20"
        clock.turn(19)
        answer = await house.http.post("/oauth2/register", json=registration())
        refused(answer, "temporarily_unavailable", status=429)
        assert answer.headers["retry-after"] == "1"
        clock.turn(1)
        await house.register()


async def test_what_nobody_said_yes_to_within_a_day_is_forgotten(
    house: HostHouse, clock: TurnedClock
) -> None:
    unused, used = await house.register(), await house.register()
    await house.signed_in(used["client_id"])
    clock.turn(86_401)
    await house.register()
    where, token = manage(unused)
    assert (await house.http.get(where, headers=token)).status_code == 401
    where, token = manage(used)
    assert (await house.http.get(where, headers=token)).status_code == 200


# --- Management -----------------------------------------------------------------------------


async def _turned_away(answer: httpx2.Response) -> None:
    refused(answer, "invalid_token", status=401)
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_the_holder_of_its_token_manages_a_registration(
    house: HostHouse, method: str
) -> None:
    host, other = await house.register(), await house.register()
    where, token = manage(host)
    body = registration(client_id=host["client_id"])
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {host['registration_access_token']}"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer " + "x" * 300},
        manage(other)[1],
    ):
        await _turned_away(await house.http.request(method, where, headers=headers, json=body))
    unknown = f"{ISSUER}/oauth2/register/host_unknown"
    answer = await house.http.request(method, unknown, headers=token, json=body)
    await _turned_away(answer)
    assert (await house.http.get(where, headers=token)).status_code == 200


async def test_a_registration_is_replaced_whole(house: HostHouse) -> None:
    host = await house.register()
    where, token = manage(host)
    after = registration(
        client_id=host["client_id"], client_name=None, redirect_uris=["https://tools.example/cb"]
    )
    told = (await house.http.put(where, headers=token, json=after)).json()
    assert told["client_name"] == "unnamed"
    assert told["redirect_uris"] == ["https://tools.example/cb"]
    alice = await house.person()
    assert (await alice.ask(query(host["client_id"]))).status_code == 400


async def test_a_host_that_changes_itself_all_the_time_is_told_to_come_back(
    house: HostHouse, clock: TurnedClock
) -> None:
    """Anybody may register, and what each change leaves in the store and the audit stays."""
    host, quiet = await house.register(), await house.register()
    where, token = manage(host)

    async def rename(number: int) -> httpx2.Response:
        body = registration(client_id=host["client_id"], client_name=f"Number {number}")
        return await house.http.put(where, headers=token, json=body)

    for number in range(20):
        assert (await rename(number)).status_code == 200
    rows = await house.database.fetch_all("SELECT count(*) AS n FROM audit")
    for number in range(20, 25):
        answer = await rename(number)
        refused(answer, "temporarily_unavailable", status=429)
        assert answer.headers["retry-after"] == "60"
    assert await house.database.fetch_all("SELECT count(*) AS n FROM audit") == rows
    told = (await house.http.get(where, headers=token)).json()
    assert told["client_name"] == "Number 19"
    # Nobody else waits for it, and it can always leave.
    where_quiet, token_quiet = manage(quiet)
    body = registration(client_id=quiet["client_id"])
    assert (await house.http.put(where_quiet, headers=token_quiet, json=body)).status_code == 200
    clock.turn(60)
    assert (await rename(26)).status_code == 200
    assert (await rename(27)).status_code == 429
    assert (await house.http.delete(where, headers=token)).status_code == 204


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_id": "host_other"}, "invalid_client_metadata"),
        ({"client_id": None}, "invalid_client_metadata"),
        ({"registration_access_token": "chosen"}, "invalid_client_metadata"),
        ({"registration_client_uri": "https://x.example"}, "invalid_client_metadata"),
        ({"client_secret": "chosen"}, "invalid_client_metadata"),
        ({"grant_types": [CIBA]}, "invalid_client_metadata"),
        ({"redirect_uris": ["http://tools.example"]}, "invalid_redirect_uri"),
    ],
)
async def test_a_replacement_that_does_not_hold_changes_nothing(
    house: HostHouse, changed: dict[str, Any], error: str
) -> None:
    host = await house.register()
    where, token = manage(host)
    body = registration(**{"client_id": host["client_id"], **changed})
    refused(await house.http.put(where, headers=token, json=body), error)
    assert (await house.http.get(where, headers=token)).json() == host


async def test_a_public_host_that_wants_a_secret_gets_one_and_keeps_it(house: HostHouse) -> None:
    host = await house.register()
    where, token = manage(host)
    body = registration(
        client_id=host["client_id"], token_endpoint_auth_method="client_secret_post"
    )
    first = (await house.http.put(where, headers=token, json=body)).json()
    second = (await house.http.put(where, headers=token, json=body)).json()
    assert "client_secret" not in second
    code = await house.code(await house.person(), host["client_id"])
    refused(await house.redeem(code, host["client_id"]), "invalid_client", status=401)
    answer = await house.redeem(code, host["client_id"], client_secret=first["client_secret"])
    assert answer.status_code == 200


async def test_deleting_a_registration_ends_everything_it_had(house: HostHouse) -> None:
    host = await house.register()
    given = await house.signed_in(host["client_id"])
    where, token = manage(host)
    gone = await house.http.delete(where, headers=token)
    assert (gone.status_code, gone.content) == (204, b"")
    assert not await house.stands(given["access_token"])
    refused(
        await house.refresh(given["refresh_token"], host["client_id"]), "invalid_client", status=401
    )
    await _turned_away(await house.http.get(where, headers=token))
    await _turned_away(await house.http.delete(where, headers=token))
