"""Hosts that the operator makes beforehand: public with PKCE, or with a secret of their own."""

from collections.abc import AsyncGenerator

import httpx2
import pytest

from as_parts import basic, refused
from conftest import TurnedClock
from host_house import CALLBACK, RESOURCE, HostHouse, host_house, query
from signoff.oauth.clients import ClientError
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

DAY_S = 86_400


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer, registration=False, client_documents=False) as running:
        yield running


async def made(house: HostHouse, *uris: str, confidential: bool = False) -> tuple[str, str | None]:
    """Return the id of a fresh host, and its secret."""
    given = uris or ("http://127.0.0.1/callback",)
    _, issued = await house.hosts.create(
        name="Our desk host", redirect_uris=given, by="operator", confidential=confidential
    )
    return issued.client.id, issued.secret


async def test_a_public_host_signs_in_though_nobody_may_register(
    house: HostHouse, database: Database
) -> None:
    client_id, secret = await made(house)
    assert secret is None
    assert (await house.http.post("/oauth2/register", json={})).status_code == 404
    tokens = await house.signed_in(client_id)
    assert await house.stands(tokens["access_token"])
    renewed = await house.refresh(tokens["refresh_token"], client_id)
    assert renewed.status_code == 200
    (row,) = await database.fetch_all("SELECT secret_hash, secret_start FROM clients")
    assert tuple(row) == (None, None)


async def test_its_page_says_that_the_operator_entered_its_name(house: HostHouse) -> None:
    client_id, _ = await made(house)
    alice = await house.person()
    page = (await alice.ask(query(client_id))).text
    assert "Whoever runs signoff has entered that name." in page
    assert "Nobody has checked" not in page
    await house.redeem(await house.code(alice, client_id), client_id)
    page = (await alice.http.get("/applications")).text
    assert "Our desk host" in page
    assert "Calls itself" not in page


async def test_a_host_with_a_secret_gets_nothing_without_it(house: HostHouse) -> None:
    client_id, secret = await made(house, confidential=True)
    assert secret is not None
    code = await house.code(await house.person(), client_id)
    refused(await house.redeem(code, client_id), "invalid_client", status=401)
    wrong = httpx2.BasicAuth(client_id, "wrong")
    refused(await house.redeem(code, client_id, auth=wrong), "invalid_client", status=401)
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK,
        "code_verifier": "a-verifier-of-at-least-forty-three-characters-0123",
        "resource": RESOURCE,
    }  # fmt: skip
    answer = await house.token(form, auth=httpx2.BasicAuth(client_id, secret))
    assert answer.status_code == 200, answer.text
    refused(
        await house.refresh(answer.json()["refresh_token"], client_id), "invalid_client", status=401
    )
    without = {**form, "code_verifier": None}
    answer = await house.token(without, auth=httpx2.BasicAuth(client_id, secret))
    refused(answer, "invalid_request")


async def test_a_secret_is_rotated_and_a_public_host_is_told_that_it_has_none(
    house: HostHouse,
) -> None:
    client_id, _ = await made(house, confidential=True)
    issued = await house.clients.rotate(client_id, by="operator")
    answer = await house.token(
        {"grant_type": "refresh_token", "refresh_token": "none"}, auth=basic(issued)
    )
    refused(answer, "invalid_grant")
    public, _ = await made(house)
    with pytest.raises(ClientError, match="is a public host and has no secret"):
        await house.clients.rotate(public, by="operator")


@pytest.mark.parametrize(
    "uris",
    [
        (),
        ("http://app.example/cb",),
        ("https://app.example/cb#x",),
        ("javascript:alert(1)",),
        ("https://*.example/cb",),
        ("https://u@app.example/cb",),
        ("https://app.example/cb", "not a uri"),
        tuple(f"https://app.example/{number}" for number in range(11)),
    ],
    ids=["none", "http", "fragment", "script", "wildcard", "user", "second", "eleven"],
)
async def test_what_a_code_may_not_go_to_is_refused(
    house: HostHouse, uris: tuple[str, ...]
) -> None:
    with pytest.raises(ClientError):
        await house.hosts.create(name="Host", redirect_uris=uris, by="operator")
    assert await house.hosts.list() == []


@pytest.mark.parametrize("name", ["", "  ", "a\u202eb", "x" * 101, "two\nlines"])
async def test_a_name_that_hides_is_refused(house: HostHouse, name: str) -> None:
    with pytest.raises(ClientError, match="visible"):
        await house.hosts.create(name=name, redirect_uris=[CALLBACK], by="operator")


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:1/other", "https://evil.example/callback", "http://localhost:1/callback"],
)
async def test_its_answers_go_nowhere_but_where_it_was_entered_for(
    house: HostHouse, uri: str
) -> None:
    client_id, _ = await made(house)
    answer = await (await house.person()).ask(query(client_id, redirect_uri=uri))
    assert answer.status_code == 400
    assert "not one this application has" in answer.text


async def test_it_is_not_forgotten_and_counts_as_nobodys_registration(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    async with host_house(database, sealer, registrations_a_minute=2) as house:
        kept, _ = await made(house)
        for _ in range(3):
            await made(house)
        await house.register()
        clock.turn(3 * DAY_S)
        stranger = (await house.register())["client_id"]
        assert {host.client.id for host in await house.hosts.list()} >= {kept, stranger}
        assert len(await house.hosts.list()) == 5


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_nobody_manages_it_over_http(database: Database, sealer: Sealer, method: str) -> None:
    async with host_house(database, sealer) as house:
        client_id, _ = await made(house)
        for token in ("", "x", "None"):
            answer = await house.http.request(
                method, f"/oauth2/register/{client_id}", json={"redirect_uris": [CALLBACK]},
                headers={"authorization": f"Bearer {token}"},
            )  # fmt: skip
            assert answer.status_code == 401
        assert (await house.hosts.show(client_id)).source == "operator"


async def test_it_may_not_ask_people_for_approvals(house: HostHouse) -> None:
    client_id, secret = await made(house, confidential=True)
    answer = await house.http.post(
        "/oauth2/bc-authorize", data={"scope": "openid", "login_hint": "alice"},
        auth=(client_id, str(secret)),
    )  # fmt: skip
    refused(answer, "unauthorized_client")


async def test_hosts_of_every_source_are_listed_and_shown_the_newest_first(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    async with host_house(database, sealer) as house:
        mine, _ = await made(house)
        clock.turn(1)
        theirs = (await house.register())["client_id"]
        assert [(host.client.id, host.source) for host in await house.hosts.list()] == [
            (theirs, "registered"),
            (mine, "operator"),
        ]
        assert (await house.hosts.show(theirs)).client.origin == "self"
        with pytest.raises(ClientError, match="no host"):
            await house.hosts.show("host_none")
        machine = await house.clients.create(name="Nightly", by="operator")
        for unknown in (machine.client.id, "host_none"):
            with pytest.raises(ClientError, match="no host"):
                await house.hosts.delete(unknown, by="operator")


async def test_deleting_ends_what_people_let_it_do(house: HostHouse) -> None:
    client_id, _ = await made(house)
    tokens = await house.signed_in(client_id)
    await house.hosts.delete(client_id, by="operator")
    assert not await house.stands(tokens["access_token"])
    refused(await house.refresh(tokens["refresh_token"], client_id), "invalid_client", status=401)
    assert (await house.events())[-2:] == ["client.deleted", "consent.revoked"]
    with pytest.raises(ClientError, match="no host"):
        await house.hosts.delete(client_id, by="operator")
