"""What an operator sees and changes of machine clients, over HTTP and at the terminal."""

import asyncio
import json
from typing import Any, cast

import pytest

from as_parts import Provider, running_provider
from signed_in import Site
from signoff.app.client_operations import ClientOperations
from signoff.app.host_operations import HostOperations
from signoff.oauth.clients import AUTHORIZATION_CODE, CIBA
from signoff.oauth.operator_hosts import OperatorHosts
from signoff.oauth.pacing import Recorded
from signoff.oauth.register import Claims
from signoff.sealed import Sealer
from signoff.storage.hosts import SqliteHosts
from signoff.storage.operator_hosts import SqliteOperatorHosts
from signoff.storage.sqlite import Database

MANY = 501
"""More than one page holds."""


async def created(here: Site, admin: dict[str, str], **members: Any) -> dict[str, Any]:
    answer = await here.http.post("/m2m/clients", json={"name": "Job", **members}, headers=admin)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.seed("C4")
async def test_strangers_that_register_and_gates_are_no_machine_clients_in_the_list(
    provider: Provider, here: Site, admin: dict[str, str]
) -> None:
    made = await here.http.post(
        "/m2m/hosts", json={"name": "Host", "redirectUris": ["http://127.0.0.1/"]}, headers=admin
    )
    assert made.status_code == 201
    stranger = Claims(
        name="Stranger",
        redirect_uris=("http://127.0.0.1/",),
        grant_types=frozenset({AUTHORIZATION_CODE}),
        auth_method="none",
        scopes=("mcp",),
    )
    recorded = await SqliteHosts(provider.database).register(
        "host_stranger", stranger, secret=None, token=bytes(32), network=""
    )
    assert recorded == Recorded()
    await provider.other_client(name="A gate", role="gate", grant_types=[CIBA])
    listed = (await here.http.get("/m2m/clients?limit=1", headers=admin)).json()
    assert [client["name"] for client in listed] == ["The manager"]
    # What is listed can be shown, and what cannot be shown is not listed.
    listed = (await here.http.get("/m2m/clients", headers=admin)).json()
    for client in listed:
        shown = await here.http.get(f"/m2m/clients/{client['id']}", headers=admin)
        assert shown.json() == client
    assert len(listed) == 1


async def test_hosts_are_listed_a_page_at_a_time(here: Site, admin: dict[str, str]) -> None:
    for number in range(3):
        body = {"name": f"Number {number}", "redirectUris": ["http://127.0.0.1/"]}
        assert (await here.http.post("/m2m/hosts", json=body, headers=admin)).status_code == 201
    every = (await here.http.get("/m2m/hosts", headers=admin)).json()
    pages = [
        (await here.http.get(f"/m2m/hosts?limit=2&offset={offset}", headers=admin)).json()
        for offset in (0, 2, 4)
    ]
    assert [*pages[0], *pages[1]] == every
    assert pages[2] == []
    for query in ("limit=x", "limit=-1", "offset=1.5", "offset=9999999"):
        assert (await here.http.get(f"/m2m/hosts?{query}", headers=admin)).status_code == 400


async def test_a_host_is_switched_off_here_and_changed_nowhere(
    here: Site, admin: dict[str, str]
) -> None:
    body = {"name": "Host", "redirectUris": ["http://127.0.0.1/"]}
    made = (await here.http.post("/m2m/hosts", json=body, headers=admin)).json()
    path = f"/m2m/clients/{made['id']}"
    for change in ({"name": "New"}, {"scopes": ["mcp"]}, {"disabled": True, "name": "New"}):
        answer = await here.http.put(path, json=change, headers=admin)
        assert answer.status_code == 400
        assert answer.json()["error_description"] == (
            "a host is not changed: delete it at /m2m/hosts, and make it anew"
        )
    assert (await here.http.get(f"/m2m/hosts/{made['id']}", headers=admin)).json() == made
    assert (await here.http.put(path, json={"disabled": True}, headers=admin)).status_code == 200
    shown = (await here.http.get(f"/m2m/hosts/{made['id']}", headers=admin)).json()
    assert shown == {**made, "disabled": True}


@pytest.mark.seed("C6")
async def test_an_expiry_is_taken_off_by_null_and_nothing_else_is(
    here: Site, admin: dict[str, str]
) -> None:
    made = await created(here, admin, expiresIn=30, metadata={"team": "ops"})
    path = f"/m2m/clients/{made['id']}"
    for name in ("name", "scopes", "audiences", "metadata", "disabled", "dpopBoundAccessTokens"):
        answer = await here.http.put(path, json={name: None}, headers=admin)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), name
    assert (await here.http.put(path, json={}, headers=admin)).json()["expiresAt"] is not None
    answer = await here.http.put(path, json={"expiresIn": None}, headers=admin)
    assert (answer.status_code, answer.json()["expiresAt"]) == (200, None)
    assert answer.json()["metadata"] == {"team": "ops"}


@pytest.mark.seed("C6")
def test_the_terminal_takes_an_expiry_off(run: Any) -> None:
    made = json.loads(run("clients", "create", "nightly", "--days", "3", "--json").stdout)
    client_id = made["client_id"]
    assert run("clients", "update", client_id, "--days", "2", "--no-expiry").exit_code == 2
    assert json.loads(run("clients", "show", client_id, "--json").stdout)["expires_at"] is not None
    assert run("clients", "update", client_id, "--no-expiry").exit_code == 0
    assert json.loads(run("clients", "show", client_id, "--json").stdout)["expires_at"] is None


@pytest.mark.seed("C3")
@pytest.mark.seed("C6")
def test_the_terminal_sets_and_shows_metadata(run: Any) -> None:
    given = ("--metadata", '{"team": "ops", "tier": 1}')
    made = json.loads(run("clients", "create", "nightly", *given, "--json").stdout)
    assert made["metadata"] == {"team": "ops", "tier": 1}
    client_id = made["client_id"]
    assert '{"team": "ops", "tier": 1}' in run("clients", "show", client_id).stdout
    assert run("clients", "update", client_id, "--scope", "a").exit_code == 0
    shown = json.loads(run("clients", "show", client_id, "--json").stdout)
    assert (shown["metadata"], shown["scopes"]) == ({"team": "ops", "tier": 1}, "a")
    assert run("clients", "update", client_id, "--metadata", "{}").exit_code == 0
    assert json.loads(run("clients", "show", client_id, "--json").stdout)["metadata"] == {}


@pytest.mark.parametrize("text", ["ops", "[]", '{"a": 1, "a": 2}', '{"a": NaN}', '"a"'])
def test_metadata_that_is_no_json_object_is_refused(run: Any, text: str) -> None:
    for command in (("clients", "create", "nightly"), ("clients", "update", "client_x")):
        result = run(*command, "--metadata", text)
        assert result.exit_code == 2
        assert "--metadata" in result.stderr
    assert run("clients", "list").stderr.startswith("No machine clients yet")


def test_metadata_that_is_too_much_is_refused(run: Any) -> None:
    result = run("clients", "create", "nightly", "--metadata", json.dumps({"a": "x" * 5000}))
    assert (result.exit_code, result.stderr) == (1, "metadata is over 4 KiB\n")


def test_what_was_created_is_told_whole(run: Any) -> None:
    made = json.loads(
        run("clients", "create", "nightly", "--audience", "https://x.example", "--json").stdout
    )
    shown = json.loads(run("clients", "show", made["client_id"], "--json").stdout)
    assert made == {**shown, "client_secret": made["client_secret"]}
    rotated = json.loads(run("clients", "rotate", made["client_id"], "--json").stdout)
    assert rotated["audiences"] == "https://x.example"
    assert rotated["client_secret"] != made["client_secret"]


def test_the_terminal_lists_machines_and_gates_and_no_hosts(run: Any) -> None:
    assert run("hosts", "create", "Host", "--redirect-uri", "http://127.0.0.1/").exit_code == 0
    assert run("clients", "list").stderr.startswith("No machine clients yet")
    assert run("clients", "create", "nightly").exit_code == 0
    (only,) = json.loads(run("clients", "list", "--json").stdout)
    assert only["name"] == "nightly"


async def test_the_terminal_lists_every_client_and_every_host_there_is(
    database: Database, sealer: Sealer
) -> None:
    async with running_provider(database, sealer) as provider:
        await database.write(lambda tx: tx.execute("DELETE FROM client_documents"))
        clients = ClientOperations(provider.clients, provider.people, end_calls_of=None)
        store = SqliteOperatorHosts(database)
        hosts = HostOperations(
            OperatorHosts(store, user_ids=(), now=database.now), end_calls_of=None
        )
        uris: Any = ["http://127.0.0.1/"]
        names = [f"Number {number}" for number in range(MANY)]
        await asyncio.gather(
            *(provider.clients.create(name=name, by="operator") for name in names),
            *(hosts.create({"name": name, "redirect_uris": uris}) for name in names),
        )
        for listed in (await clients.list({}), await hosts.list({})):
            assert {one["name"] for one in cast("list[dict[str, str]]", listed)} == {*names}
