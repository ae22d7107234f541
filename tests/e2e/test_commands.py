"""The operator's commands, with a running server and without one: the same answers."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from e2e_parts import launching, open_house
from harness import House, Server, catalogue, signoff, transfer
from scripted_person import ScriptedPerson


async def listed(server: Server, *words: str) -> Any:
    """Run a command with `--json` and return its one document."""
    return json.loads(await server.command(*words, "--json", "--config", str(server.config)))


async def test_login_prints_one_link_that_works_once(house: House) -> None:
    code, out, err = await house.server.run("login", "bob", "--config", str(house.server.config))
    assert code == 0
    link = out.strip()
    assert link.startswith(f"{house.server.url}/login/")
    assert "bob" in err
    assert link not in err
    bob = await ScriptedPerson(house.server.url).sign_in(link)
    used = await bob.http.post(link, data={"device_key": ""})
    assert used.status_code == 410
    await bob.close()


async def test_calls_are_listed_shown_and_denied_but_never_approved(house: House) -> None:
    asked = await house.server.ask(transfer(150))
    (call,) = await listed(house.server, "calls", "list")
    assert call["state"] == "waiting"
    assert call["title"] == "Transfer 150 EUR from checking to savings"
    table = await house.server.command("calls", "list", "--config", str(house.server.config))
    assert table.splitlines()[0].startswith("ID")
    shown = await house.server.command(
        "calls", "show", call["id"], "--config", str(house.server.config)
    )
    assert "Transfer 150 EUR" in shown
    denied = await house.server.command(
        "calls", "deny", call["id"], "--reason", "Wrong account.",
        "--config", str(house.server.config),
    )  # fmt: skip
    assert denied == f"{call['id']}: denied\n"
    outcome = await asked.work
    assert "operator denied this call" in outcome.text
    assert "Wrong account." in outcome.text
    again = await house.server.run("calls", "deny", call["id"])
    assert again[0] == 1
    assert "there is nothing left to deny" in again[2]
    unknown = await house.server.run("calls", "show", "call_nobody_made")
    assert unknown[0] == 1
    assert "there is no call call_nobody_made" in unknown[2]
    refused = await house.server.run("calls", "approve", call["id"])
    assert refused[0] == 2
    assert house.bank.count(150) == 0


async def test_a_client_is_created_listed_rotated_and_deleted_and_its_secret_shown_once(
    house: House,
) -> None:
    created = await listed(
        house.server, "clients", "create", "nightly job", "--scope", "mcp",
        "--audience", f"{house.server.url}/mcp", "--days", "30",
    )  # fmt: skip
    client, secret = created["client_id"], created["client_secret"]

    async def token(with_secret: str) -> int:
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            answer = await http.post(
                f"{house.server.url}/oauth2/token",
                data={"grant_type": "client_credentials"},
                auth=(client, with_secret),
            )
        return answer.status_code

    assert await token(secret) == 200
    (known,) = [
        one for one in await listed(house.server, "clients", "list") if one["client_id"] == client
    ]
    assert known["name"] == "nightly job"
    assert secret not in json.dumps(await listed(house.server, "clients", "show", client))
    rotated = await listed(house.server, "clients", "rotate", client)
    assert await token(secret) == 401
    assert await token(rotated["client_secret"]) == 200
    await house.server.command("clients", "delete", client)
    assert await token(rotated["client_secret"]) == 401
    gone = await house.server.run("clients", "show", client)
    assert (gone[0], gone[2].strip()) == (1, f"there is no client {client}")


async def test_disabling_a_user_ends_their_sessions_and_what_only_they_could_approve(
    house: House,
) -> None:
    asked = await house.server.ask(transfer(151))
    (alice,) = [one for one in await listed(house.server, "users", "list") if one["id"] == "alice"]
    assert (alice["disabled"], alice["signed_in"]) == (False, True)
    assert await house.server.command("users", "disable", "alice") == "alice: disabled\n"
    try:
        page = await house.alice.http.get(f"/approvals/{asked.card}")
        assert page.status_code == 401
        outcome = await asked.work
        assert outcome.state == "failed"
        assert "Nothing was sent" in outcome.text
        assert house.bank.count(151) == 0
        link = await house.server.run("login", "alice")
        assert link[0] == 1
        assert "alice is disabled" in link[2]
        assert (await house.server.run("users", "disable", "alice"))[0] == 1
    finally:
        assert await house.server.command("users", "enable", "alice") == "alice: enabled\n"
    await house.alice.sign_in(await house.server.login_link())
    unknown = await house.server.run("users", "disable", "carol")
    assert unknown[0] == 1
    assert "the catalogue has no user carol; it has alice, bob" in unknown[2]


async def test_check_and_tools_speak_to_people_and_to_programs(house: House) -> None:
    config = str(house.server.config)
    assert (await signoff("check", "--config", config))[1].endswith("good, 5 tools\n")
    report = json.loads((await signoff("check", "--config", config, "--json"))[1])
    assert (report["ok"], report["problems"], report["tools"]) == (True, [], 5)
    rows = json.loads((await signoff("tools", "--config", config, "--json"))[1])
    policies = {row["name"]: row["policy"] for row in rows}
    assert policies["list_accounts"] == "allow"
    assert policies["close_account"].startswith("deny: Accounts are closed")
    assert policies["transfer_funds"].startswith("ask")


async def test_audit_verify_and_tail_tell_what_happened(house: House) -> None:
    asked = await house.server.ask(transfer(152))
    await house.alice.approve(asked.card)
    await asked.work
    verified = await listed(house.server, "audit", "verify")
    assert verified["intact"] is True
    rows = await listed(house.server, "audit", "tail", "-n", "50")
    events = [row["event"] for row in rows]
    assert events.index("approval.approved") < events.index("capability.executed")
    assert "checking" not in json.dumps(rows)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stopped(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House, None]:
    """A data directory whose server was stopped while a call waited."""
    async with open_house(tmp_path_factory.mktemp("stopped")) as house:
        asked = await house.server.ask(transfer(153))
        await house.server.end()
        asked.work.cancel()
        yield house


async def test_without_a_server_the_commands_open_the_store_themselves(stopped: House) -> None:
    server = stopped.server
    (call,) = await listed(server, "calls", "list")
    assert call["state"] == "waiting"
    await server.command("calls", "deny", call["id"], "--config", str(server.config))
    created = await listed(server, "clients", "create", "offline", "--scope", "mcp")
    assert created["client_secret"]
    assert (await listed(server, "audit", "verify"))["intact"] is True
    await server.start()
    outcome = await server.call(transfer(153))
    assert outcome.state == "failed"
    assert "operator denied this call" in outcome.text
    await server.end()


async def test_a_changed_audit_row_is_found_and_named(stopped: House) -> None:
    with closing(sqlite3.connect(stopped.server.data_dir / "signoff.db")) as database:
        (seq,) = database.execute("SELECT seq FROM audit ORDER BY seq LIMIT 1 OFFSET 2").fetchone()
        database.execute("UPDATE audit SET body = CAST(body || ' ' AS BLOB) WHERE seq = ?", (seq,))
        database.commit()
    code, out, _ = await stopped.server.run(
        "audit", "verify", "--config", str(stopped.server.config)
    )
    assert code == 1
    assert f"row {seq}" in out


async def test_a_folder_that_is_no_data_directory_is_named(tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("empty")
    async with launching(folder) as launch:
        server = await launch(catalogue(None), up=False)
        code, out, err = await server.run("calls", "list", "--config", str(server.config))
    assert (code, out) == (1, "")
    assert f"{server.data_dir} is no data directory" in err
    assert not server.data_dir.exists()
