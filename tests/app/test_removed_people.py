"""Whom the catalogue no longer names: nothing of theirs goes on after the next start."""

from pathlib import Path
from typing import Any

import httpx2

from scripted_person import ScriptedPerson
from whole import Whole, whole

ALICE = {"id": "alice", "name": "Alice"}
BOB = {"id": "bob", "name": "Bob"}


def cookie(person: ScriptedPerson) -> str:
    return next(iter(person.http.cookies.jar)).value or ""


async def status_of(house: Whole, value: str) -> int:
    """Return what the list of requests answers to a cookie of an earlier start."""
    cookies = {f"signoff-{house.port}": value}
    async with httpx2.AsyncClient(
        base_url=house.server.url, trust_env=False, cookies=cookies, timeout=60
    ) as http:
        return (await http.get("/approvals")).status_code


async def ask(house: Whole, client: dict[str, Any]) -> str:
    """Have a machine client ask Bob."""
    async with httpx2.AsyncClient(base_url=house.server.url, trust_env=False, timeout=60) as http:
        answer = await http.post(
            "/oauth2/bc-authorize",
            data={"scope": "openid", "login_hint": "bob", "binding_message": "W4SCT"},
            auth=(client["client_id"], client["client_secret"]),
        )
    return str(answer.json()["auth_req_id"])


async def fetch(house: Whole, client: dict[str, Any], auth_req_id: str) -> str:
    """Return what the token endpoint says of a request."""
    async with httpx2.AsyncClient(base_url=house.server.url, trust_env=False, timeout=60) as http:
        answer = await http.post(
            "/oauth2/token",
            data={"grant_type": "urn:openid:params:grant-type:ciba", "auth_req_id": auth_req_id},
            auth=(client["client_id"], client["client_secret"]),
        )
    return str(answer.json().get("error", "tokens"))


async def made(house: Whole) -> dict[str, Any]:
    client: Any = await house.server.operations.handlers()["clients.create"]({
        "name": "shop",
        "grants": ["ciba"],
    })
    return client


async def test_who_is_removed_is_signed_out_and_decides_nothing(tmp_path: Path) -> None:
    async with whole(tmp_path, users=[ALICE, BOB]) as house:
        alice, bob = await house.person("alice"), await house.person("bob")
        shop = await made(house)
        approved, waiting = await ask(house, shop), await ask(house, shop)
        first = next(iter(await bob.waiting()))
        await bob.approve(first)
        cookies = cookie(alice), cookie(bob)
        await alice.close()
        await bob.close()
    async with whole(tmp_path, users=[ALICE]) as house:
        assert [await status_of(house, value) for value in cookies] == [200, 401]
        said = {await fetch(house, shop, one) for one in (approved, waiting)}
        assert said == {"invalid_grant", "access_denied"}
        events = await tail(house)
        assert events.count("account.removed") == 1
    async with whole(tmp_path, users=[ALICE, BOB]) as house:
        assert [await status_of(house, value) for value in cookies] == [200, 401]
        assert (await tail(house)).count("account.removed") == 1


async def tail(house: Whole) -> list[str]:
    rows: Any = await house.server.operations.handlers()["audit.tail"]({"count": 200})
    return [str(row["event"]) for row in rows]
