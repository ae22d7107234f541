"""Who is told of a request that does not hold, and by whom: strangers get no redirector from us."""

from urllib.parse import parse_qs, urlsplit

from as_parts import ISSUER
from host_house import HostHouse, query

PLACE = "https://tools.example/cb"


async def test_a_host_that_the_operator_made_is_told_at_its_distant_address(
    house: HostHouse,
) -> None:
    host, _ = await house.hosts.create(name="Ours", redirect_uris=[PLACE], by="operator")
    alice = await house.person()
    asked = query(host.client.id, redirect_uri=PLACE, scope="unknown", state="s-1")
    answer = await alice.ask(asked)
    assert answer.status_code == 303
    target = urlsplit(answer.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == PLACE
    told = parse_qs(target.query)
    assert told.pop("error_description")
    assert told == {"error": ["invalid_scope"], "state": ["s-1"], "iss": [ISSUER]}


async def test_nobody_is_sent_on_who_is_not_signed_in(house: HostHouse) -> None:
    host, _ = await house.hosts.create(name="Ours", redirect_uris=[PLACE], by="operator")
    asked = query(host.client.id, redirect_uri=PLACE, scope="unknown")
    answer = await house.http.get(f"/oauth2/authorize?{asked}")
    assert (answer.status_code, answer.headers.get("location")) == (401, None)


async def test_a_stranger_at_the_same_address_is_not(house: HostHouse) -> None:
    stranger = await house.register(redirect_uris=[PLACE])
    alice = await house.person()
    answer = await alice.ask(query(stranger["client_id"], redirect_uri=PLACE, scope="unknown"))
    assert (answer.status_code, answer.headers.get("location")) == (400, None)


async def test_not_even_the_operators_host_is_told_where_it_has_no_place(
    house: HostHouse,
) -> None:
    host, _ = await house.hosts.create(name="Ours", redirect_uris=[PLACE], by="operator")
    alice = await house.person()
    for place in ("https://evil.example/cb", f"{PLACE}/", f"{PLACE}?x=1", "https://tools.example"):
        answer = await alice.ask(query(host.client.id, redirect_uri=place, scope="unknown"))
        assert (answer.status_code, answer.headers.get("location")) == (400, None)
