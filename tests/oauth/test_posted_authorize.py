"""An authorization request that is posted (OpenID Connect Core §3.1.2.1): it becomes the GET."""

from collections.abc import AsyncGenerator
from typing import Any, cast
from urllib.parse import parse_qs

import httpx2
import pytest

from as_parts import ISSUER
from host_house import CALLBACK, HostHouse, Person, host_house, query, returned
from signoff.origin import OriginGuard
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

FORM = "application/x-www-form-urlencoded"


async def post(
    house: HostHouse, body: str | bytes, *, kind: str | None = FORM, asked: str = "", **more: Any
) -> httpx2.Response:
    headers = {} if kind is None else {"content-type": kind}
    return await house.http.post(f"/oauth2/authorize{asked}", content=body, headers=headers, **more)


async def test_a_posted_request_leads_to_the_get_of_the_same_and_on_to_a_code(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    asked = query(client_id, state="a b&c=d#e%")
    answer = await post(house, asked)
    assert (answer.status_code, answer.content) == (303, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert not answer.headers.get_list("set-cookie")
    location = answer.headers["location"]
    assert location.startswith("?"), "it leads nowhere but to this very address"
    assert parse_qs(location[1:]) == parse_qs(asked)
    back = returned(await alice.answer(location[1:]))
    assert back["state"] == "a b&c=d#e%"
    assert (await house.redeem(back["code"], client_id)).status_code == 200


async def test_a_post_decides_nothing_and_reads_no_cookie(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    answer = await alice.http.post("/oauth2/authorize", content=query(client_id), headers={
        "content-type": FORM
    })  # fmt: skip
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("?")
    assert "consent.given" not in await house.events()


async def test_a_posted_request_that_does_not_hold_is_told_by_the_get(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    answer = await post(house, query(client_id, response_type="token"))
    assert answer.status_code == 303
    told = await alice.ask(answer.headers["location"][1:])
    assert told.headers["location"].startswith(f"{CALLBACK}?")
    assert returned(told.headers["location"])["error"] == "unsupported_response_type"


async def test_an_issuer_with_a_path_is_led_to_its_own_address(
    database: Database, sealer: Sealer
) -> None:
    issuer = "http://localhost:8420/auth"
    async with host_house(database, sealer, issuer=issuer) as house:
        address = f"{issuer}/oauth2/authorize"
        answer = await house.http.post(address, content="client_id=x", headers={
            "content-type": FORM
        })  # fmt: skip
        assert str(httpx2.URL(address).join(answer.headers["location"])) == f"{address}?client_id=x"


@pytest.mark.seed("T49")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{query}&client_id=again", 400),
        ("{query}&resource=https://other.example/mcp", 400),
        ("{query}&state=second", 400),
        ("{query}&x=%ff", 400),
        ("{query}&x=%00", 400),
        ("{query}&x=\u00fc", 400),
        ("{query}" + "".join(f"&x{n}=1" for n in range(30)), 400),
        ("{query}&state=" + "s" * 4096, 413),
        # Written out it is longer than any GET may be.
        ("client_id=" + "'" * 1500, 400),
        ("", 400),
        ("client_id=&state=", 400),
        ("&&&", 400),
        ('{{"client_id": "x"}}', 400),
    ],
)
async def test_a_form_that_is_not_one_request_leads_nowhere(
    house: HostHouse, client_id: str, body: str, status: int
) -> None:
    answer = await post(house, body.format(query=query(client_id)).encode())
    assert answer.status_code == status
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        f"text/plain, {FORM}",
        f"{FORM}, text/plain",
    ],
)
async def test_a_body_of_another_type_leads_nowhere(
    house: HostHouse, client_id: str, kind: str | None
) -> None:
    answer = await post(house, query(client_id), kind=kind)
    assert answer.status_code == 415
    assert "location" not in answer.headers


async def test_a_body_of_two_types_leads_nowhere(house: HostHouse, client_id: str) -> None:
    answer = await house.http.post(
        "/oauth2/authorize",
        content=query(client_id),
        headers=[("content-type", FORM), ("content-type", FORM)],
    )
    assert answer.status_code == 415


@pytest.mark.parametrize("asked", ["?state=there", "?{query}", "?&"])
@pytest.mark.parametrize("body", ["{query}", ""])
async def test_a_request_in_body_and_address_leads_nowhere(
    house: HostHouse, client_id: str, asked: str, body: str
) -> None:
    whole = query(client_id)
    answer = await post(house, body.format(query=whole), asked=asked.format(query=whole))
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("sent", "led"),
    [
        ("x%0d%0aset-cookie:a=b", "x%0D%0Aset-cookie%3Aa%3Db"),
        ("x\r\nset-cookie:a=b", "x%0D%0Aset-cookie%3Aa%3Db"),
        ("x#y", "x%23y"),
        ("<script>", "%3Cscript%3E"),
    ],
)
async def test_nothing_in_a_form_writes_a_header_or_ends_the_query(
    house: HostHouse, sent: str, led: str
) -> None:
    answer = await post(house, f"client_id={sent}")
    assert answer.headers["location"] == f"?client_id={led}"
    assert "set-cookie" not in answer.headers


@pytest.fixture
async def guarded(house: HostHouse) -> AsyncGenerator[httpx2.AsyncClient, None]:
    """A browser's way to the house, past the guard that every request meets."""
    app = OriginGuard(house.transport.app, public_url=ISSUER, port=8420)
    transport = httpx2.ASGITransport(cast("Any", app), raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as http:
        yield http


@pytest.mark.parametrize("of", ["https://shop.example", "null", "http://evil.example:8420"])
async def test_a_page_of_another_origin_may_post_a_request_and_nothing_else(
    guarded: httpx2.AsyncClient, client_id: str, of: str
) -> None:
    headers = {"content-type": FORM, "origin": of}
    answer = await guarded.post("/oauth2/authorize", content=query(client_id), headers=headers)
    assert answer.status_code == 303
    assert not any(name.startswith("access-control-") for name in answer.headers)
    for method, path in (
        ("GET", "/oauth2/authorize"),
        ("PUT", "/oauth2/authorize"),
        ("OPTIONS", "/oauth2/authorize"),
        ("POST", "/oauth2/authorize/"),
        ("POST", "/oauth2/authorize/decision"),
        ("POST", "/oauth2//authorize"),
        ("POST", "/OAuth2/authorize"),
        ("POST", "/device"),
    ):
        answer = await guarded.request(method, path, content=query(client_id), headers=headers)
        assert answer.status_code == 403, (method, path)


async def test_a_request_with_two_origins_or_for_a_foreign_host_leads_nowhere(
    guarded: httpx2.AsyncClient, client_id: str
) -> None:
    shop = ("origin", "https://shop.example")
    for status, more in ((403, [shop, shop]), (421, [shop, ("host", "evil.example")])):
        headers = [("content-type", FORM), *more]
        answer = await guarded.post("/oauth2/authorize", content=query(client_id), headers=headers)
        assert answer.status_code == status
