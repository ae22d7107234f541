"""The admin API of MCP hosts: who may come in, and the life of a host."""

from typing import Any

import pytest

from admin_door import HTTPS, bearer
from as_parts import Provider
from signed_in import Device, Site, site

HOST: dict[str, Any] = {"name": "A desk host", "redirectUris": ["http://127.0.0.1/callback"]}


async def test_a_host_is_made_shown_listed_and_deleted(here: Site, admin: dict[str, str]) -> None:
    answer = await here.http.post("/m2m/hosts", json=HOST, headers=admin)
    assert answer.status_code == 201
    made = answer.json()
    assert made == {
        "id": made["clientId"],
        "clientId": made["clientId"],
        "name": "A desk host",
        "source": "operator",
        "confidential": False,
        "redirectUris": ["http://127.0.0.1/callback"],
        "disabled": False,
        "knownSince": "2026-11-22T14:00:00+00:00",
        "lastUsedAt": None,
    }
    assert (await here.http.get("/m2m/hosts", headers=admin)).json() == [made]
    one = f"/m2m/hosts/{made['id']}"
    assert (await here.http.get(one, headers=admin)).json() == made
    assert (await here.http.delete(one, headers=admin)).json() == {"success": True}
    assert (await here.http.get(one, headers=admin)).status_code == 404
    assert (await here.http.delete(one, headers=admin)).status_code == 404


async def test_a_secret_is_told_once(here: Site, admin: dict[str, str]) -> None:
    body = {**HOST, "confidential": True}
    made = (await here.http.post("/m2m/hosts", json=body, headers=admin)).json()
    assert len(made.pop("clientSecret")) >= 43
    shown = await here.http.get(f"/m2m/hosts/{made['id']}", headers=admin)
    assert shown.json() == made


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x"},
        {**HOST, "redirectUris": []},
        {**HOST, "redirectUris": "http://127.0.0.1/callback"},
        {**HOST, "redirectUris": [1]},
        {**HOST, "redirectUris": ["http://app.example/cb"]},
        {**HOST, "name": ""},
        {**HOST, "confidential": "yes"},
        {**HOST, "device": 1},
        {**HOST, "clientId": "mine"},
        {**HOST, "origin": "operator"},
    ],
    ids=str,
)
async def test_what_is_no_host_is_refused(
    here: Site, admin: dict[str, str], body: dict[str, Any]
) -> None:
    answer = await here.http.post("/m2m/hosts", json=body, headers=admin)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await here.http.get("/m2m/hosts", headers=admin)).json() == []


async def test_whoever_may_not_manage_clients_may_not_manage_hosts(
    provider: Provider, here: Site
) -> None:
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer x"}, 401),
        (await bearer(provider, scopes=["reports"]), 403),
        (await here.enter("alice", device=Device()), 403),
        (await here.enter("root", device=Device()), 403),  # plain http: a cookie changes nothing
    ):
        assert (
            await here.http.post("/m2m/hosts", json=HOST, headers=headers)
        ).status_code == status
    async with site(provider, url=HTTPS) as there:
        root = await there.enter("root")
        evil = {**root, "origin": "https://evil.example"}
        assert (await there.http.post("/m2m/hosts", json=HOST, headers=evil)).status_code == 403
        assert (await there.http.get("/m2m/hosts", headers=root)).json() == []
        assert (await there.http.post("/m2m/hosts", json=HOST, headers=root)).status_code == 201
