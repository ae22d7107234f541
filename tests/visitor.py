"""A program that is signed in at the pages and sends what a browser would, or something else."""

import re
from collections.abc import AsyncGenerator
from urllib.parse import urlencode

import httpx2
import pytest

from conftest import TurnedClock
from signoff.approvals.request import Approval
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from street import Street, street

HTTPS = "https://signoff.example"


class Visitor:
    """A signed-in program that sends what a browser would, unless told otherwise."""

    def __init__(self, here: Street, client: httpx2.AsyncClient, origin: str) -> None:
        self.here, self.client, self.origin = here, client, origin

    async def sign_in(self, user_id: str) -> httpx2.Response:
        link = await self.here.link(user_id)
        fields = {"device_key": ""}
        return await self.client.post(link, data=fields, headers={"Origin": self.origin})

    async def form(self, approval: Approval) -> dict[str, str]:
        page = (await self.client.get(f"{self.here.url}/approvals/{approval.id}")).text
        csrf = re.search(
            r'action="/approvals/[^"]*".*?name="csrf" value="([0-9a-f]+)"', page, re.DOTALL
        )
        assert csrf is not None, page
        return {"csrf": csrf[1], "digest": approval.digest, "decision": "deny"}

    async def decide(
        self,
        approval: Approval,
        fields: dict[str, str] | str,
        *,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        return await self.client.post(
            f"{self.here.url}/approvals/{approval.id}/decision",
            content=fields if isinstance(fields, str) else urlencode(fields),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": self.origin,
                **(headers or {}),
            },
        )


async def signed_in(there: Street, client: httpx2.AsyncClient, user_id: str) -> Visitor:
    visitor = Visitor(there, client, HTTPS)
    set_cookie = (await visitor.sign_in(user_id)).headers["set-cookie"]
    value, attributes = set_cookie.split("; ", 1)
    assert re.fullmatch(r"__Host-signoff=[\w-]{43}", value)
    assert attributes == "HttpOnly; Max-Age=7776000; Path=/; SameSite=lax; Secure"
    client.headers["Cookie"] = value
    return visitor


@pytest.fixture
async def visitor(here: Street) -> AsyncGenerator[Visitor, None]:
    async with httpx2.AsyncClient(timeout=60) as client:
        alice = Visitor(here, client, here.url)
        assert (await alice.sign_in("alice")).status_code == 303
        yield alice


@pytest.fixture
async def secure(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> AsyncGenerator[Visitor, None]:
    """Alice behind a proxy that ends TLS: the cookie goes by hand, as the hop is plain."""
    async with (
        street(database, sealer, clock, public_url=HTTPS) as there,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        yield await signed_in(there, client, "alice")
