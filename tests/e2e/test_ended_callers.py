"""Whoever is switched off or deleted asks nobody any more: what it has not sent ends at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from harness import until
from host_house import CALLBACK, VERIFIER, ConsentingPerson, query, registration, returned
from signoff.client.session import call_tool
from whole import Whole, whole

AMOUNT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["amount"],
    "properties": {"amount": {"type": "number"}},
}
PAY: dict[str, Any] = {
    "name": "pay",
    "description": "Pays.",
    "upstream": "bank",
    "request": {"method": "POST", "path": "/pay"},
    "input": AMOUNT,
    "approval": {"title": "Pay {amount}", "approver": "alice"},
}


@dataclass
class Caller:
    """A caller with a token, and how one makes it end."""

    client_id: str
    token: str


class Town:
    """The whole server, Alice, and a machine that manages."""

    def __init__(self, here: Whole, alice: ConsentingPerson, http: httpx2.AsyncClient) -> None:
        self.here, self.alice, self.http = here, alice, http

    async def operate(self, operation: str, **parameters: Any) -> dict[str, Any]:
        operations = self.here.server.operations.handlers()
        return cast("dict[str, Any]", await operations[operation](parameters))

    async def token(self, made: dict[str, Any]) -> str:
        answer = await self.http.post(
            "/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(made["client_id"], made["client_secret"]),
        )
        return str(answer.json()["access_token"])

    async def machine(self) -> Caller:
        resource = f"{self.here.server.url}/mcp"
        made = await self.operate(
            "clients.create", name="nightly", scopes=["mcp"], audiences=[resource]
        )
        return Caller(made["client_id"], await self.token(made))

    async def host(self) -> Caller:
        resource = f"{self.here.server.url}/mcp"
        answer = await self.http.post("/oauth2/register", json=registration())
        client_id = answer.json()["client_id"]
        location = await self.alice.answer(query(client_id, resource=resource))
        answer = await self.http.post(
            "/oauth2/token",
            data={
                "grant_type": "authorization_code",
                "code": returned(location)["code"],
                "redirect_uri": CALLBACK,
                "client_id": client_id,
                "code_verifier": VERIFIER,
            },
        )
        return Caller(client_id, answer.json()["access_token"])

    async def manage(self, method: str, path: str, body: Any = None) -> None:
        made = await self.operate(
            "clients.create",
            name="manager",
            scopes=["signoff:clients"],
            audiences=[f"{self.here.server.url}/m2m"],
        )
        headers = {"authorization": f"Bearer {await self.token(made)}"}
        answer = await self.http.request(method, path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def a_town(tmp_path: Path) -> AsyncGenerator[Town, None]:
    async with whole(tmp_path, capabilities=[PAY]) as here:
        told = cast("dict[str, str]", await here.server.operations.login({"user": "alice"}))
        alice = ConsentingPerson(here.server.url)
        await alice.sign_in(told["url"])
        async with httpx2.AsyncClient(
            base_url=here.server.url, trust_env=False, timeout=60
        ) as http:
            yield Town(here, alice, http)
        await alice.close()


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("machine", "clients.disable"),
        ("machine", "clients.delete"),
        ("machine", "PUT"),
        ("machine", "DELETE"),
        ("host", "clients.disable"),
        ("host", "clients.delete"),
        ("host", "hosts.delete"),
        ("host", "DELETE"),
    ],
)
async def test_what_it_asked_for_ends_at_once_and_sends_nothing(
    tmp_path: Path, kind: str, how: str
) -> None:
    async with a_town(tmp_path) as town:
        await ends(town, kind, how)


async def ends(town: Town, kind: str, how: str) -> None:
    caller = await (town.machine() if kind == "machine" else town.host())
    work = asyncio.create_task(
        call_tool(
            f"{town.here.server.url}/mcp", caller.token, "pay", {"amount": 25},
            list[str]().append, token_from="test",
        )
    )  # fmt: skip

    async def asked() -> list[str]:
        assert not work.done(), work.result()
        return await town.alice.waiting()

    (card,) = await until(asked)
    collection = "clients" if kind == "machine" else "hosts"
    path = f"/m2m/{collection}/{caller.client_id}"
    if how == "PUT":
        await town.manage("PUT", path, {"disabled": True})
    elif how == "DELETE":
        await town.manage("DELETE", path)
    else:
        await town.operate(how, client_id=caller.client_id)

    async def over() -> bool:
        return not await town.alice.waiting()

    await until(over)
    page = await town.alice.page(card)
    assert "data-decide" not in page
    outcome = await asyncio.wait_for(work, 30)
    assert outcome.state == "failed"
    assert town.here.bank.heads == []
