"""What an upstream learns of a token that was taken back, from the server that gave it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from as_parts import BANK, ISSUER, Provider, basic, running_provider
from signoff.oauth.clients import Issued
from signoff.resource import (
    SCOPE_KEY,
    Introspection,
    MemorySingleUse,
    RequireToken,
    ResourceError,
    ResourceVerifier,
)
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

FORM = {"grant_type": "client_credentials"}
INTROSPECT = f"{ISSUER}/oauth2/introspect"


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> AsyncGenerator[Provider, None]:
    async with running_provider(database, sealer) as running:
        yield running


@pytest.fixture
async def bank(provider: Provider) -> Issued:
    """The credentials of the resource server itself."""
    return await provider.other_client(
        name="The bank", grant_types=["client_credentials"], scopes=["signoff:introspect"]
    )


@pytest.fixture
def stopwatch() -> list[float]:
    return [0.0]


class Wire:
    """The way to the issuer, counted; `answer` takes its place."""

    def __init__(self, provider: Provider) -> None:
        self.asked = 0
        self.answer: Callable[[], Response] | None = None
        self.open = asyncio.Event()
        self.open.set()
        self._issuer = Starlette(routes=provider.routes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        await self.open.wait()
        app = self._issuer if self.answer is None else self.answer()
        await app(scope, receive, send)


@pytest.fixture
def wire(provider: Provider) -> Wire:
    return Wire(provider)


def verifier(
    provider: Provider, wire: Wire, bank: Issued, stopwatch: list[float], **changed: Any
) -> ResourceVerifier:
    standing = Introspection(
        INTROSPECT,
        client_id=bank.client.id,
        client_secret=changed.pop("client_secret", bank.secret),
        transport=httpx2.ASGITransport(wire),
        monotonic=lambda: stopwatch[0],
    )
    settings: dict[str, Any] = {"issuer": ISSUER, "audience": BANK, "keys": provider.keyring}
    return ResourceVerifier(
        **settings, standing=standing, now=provider.database.now, scope="payments", **changed
    )


@pytest.fixture
def checks(
    provider: Provider, wire: Wire, bank: Issued, stopwatch: list[float]
) -> ResourceVerifier:
    return verifier(provider, wire, bank, stopwatch)


async def token(provider: Provider, client: Issued) -> str:
    answer = await provider.post("/oauth2/token", FORM, auth=basic(client))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def refusal(checks: ResourceVerifier, access_token: str) -> ResourceError:
    with pytest.raises(ResourceError) as refused:
        await checks.verify(f"Bearer {access_token}")
    return refused.value


@pytest.mark.seed("C11")
async def test_a_token_that_was_taken_back_is_refused_within_a_minute(
    provider: Provider, checks: ResourceVerifier, stopwatch: list[float], wire: Wire
) -> None:
    client = await provider.other_client()
    taken, kept = await token(provider, client), await token(provider, client)
    assert (await checks.verify(f"Bearer {taken}")).client_id == client.client.id
    await provider.post("/oauth2/revoke", {"token": taken}, auth=basic(client))
    stopwatch[0] = 59.9
    assert await checks.verify(f"Bearer {taken}")
    assert wire.asked == 1
    stopwatch[0] = 60
    error = await refusal(checks, taken)
    assert (error.code, error.status) == ("invalid_token", 401)
    assert await checks.verify(f"Bearer {kept}")


@pytest.mark.seed("C11")
@pytest.mark.parametrize("end", ["disabled", "deleted"])
async def test_a_token_ends_with_the_client_it_was_given_to(
    provider: Provider, checks: ResourceVerifier, end: str
) -> None:
    client = await provider.other_client()
    access_token = await token(provider, client)
    if end == "disabled":
        await provider.people.disable(client.client.id, by="operator")
    else:
        await provider.clients.delete(client.client.id, by="operator")
    assert (await refusal(checks, access_token)).code == "invalid_token"


async def test_a_token_that_does_not_hold_by_itself_is_asked_about_nowhere(
    provider: Provider, checks: ResourceVerifier, wire: Wire
) -> None:
    elsewhere = await token(provider, await provider.other_client(audiences=["https://x.example"]))
    scopeless = await token(provider, await provider.other_client(scopes=["reports"]))
    assert (await refusal(checks, elsewhere)).code == "invalid_token"
    error = await refusal(checks, scopeless)
    assert error.code == "insufficient_scope"
    assert error.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", scope="payments"'
    )
    assert (await refusal(checks, "none")).code == "invalid_token"
    assert wire.asked == 0


async def test_a_token_that_nobody_answers_for_is_not_spent_and_not_let_in(
    provider: Provider, wire: Wire, bank: Issued, stopwatch: list[float]
) -> None:
    checks = verifier(provider, wire, bank, stopwatch, single_use=MemorySingleUse())
    access_token = await token(provider, await provider.other_client())
    for answer in (
        lambda: Response("gone", 500),
        lambda: Response("", 302, headers={"location": "http://127.0.0.1:1/"}),
        lambda: Response("<html>", 200),
        lambda: JSONResponse([]),
        lambda: JSONResponse({}),
        lambda: JSONResponse({"active": "true"}),
        lambda: JSONResponse({"active": True, "filler": "x" * 70_000}),
        lambda: JSONResponse({"error": "temporarily_unavailable"}, 503),
    ):
        wire.answer = answer
        error = await refusal(checks, access_token)
        assert (error.code, error.status) == ("temporarily_unavailable", 503)
        assert error.headers == {"cache-control": "no-store", "retry-after": "5"}
    wire.answer = None
    assert await checks.verify(f"Bearer {access_token}")
    assert (await refusal(checks, access_token)).detail == "the token was used before"


async def test_a_resource_server_with_a_wrong_secret_lets_nobody_in_and_blames_no_token(
    provider: Provider, wire: Wire, bank: Issued, stopwatch: list[float]
) -> None:
    checks = verifier(provider, wire, bank, stopwatch, client_secret="wrong")
    access_token = await token(provider, await provider.other_client())
    assert (await refusal(checks, access_token)).code == "temporarily_unavailable"


async def test_a_resource_server_that_may_not_ask_lets_nobody_in(
    provider: Provider, wire: Wire, stopwatch: list[float]
) -> None:
    access_token = await token(provider, await provider.other_client())
    for changed in ({"scopes": ["payments"]}, {"audiences": ["https://other.example"]}):
        stranger = await provider.other_client(**{"scopes": ["signoff:introspect"], **changed})
        checks = verifier(provider, wire, stranger, stopwatch)
        assert (await refusal(checks, access_token)).code == "invalid_token"


async def test_of_many_that_show_one_token_at_once_one_asks(
    provider: Provider, checks: ResourceVerifier, wire: Wire
) -> None:
    access_token = await token(provider, await provider.other_client())
    wire.open.clear()
    first = asyncio.create_task(checks.verify(f"Bearer {access_token}"))
    others = [asyncio.create_task(checks.verify(f"Bearer {access_token}")) for _ in range(20)]
    async with asyncio.timeout(30):
        while not wire.asked:  # noqa: ASYNC110 — nothing announces it
            await asyncio.sleep(0)
    first.cancel()  # whoever asked first may leave
    wire.open.set()
    assert len(await asyncio.gather(*others)) == 20
    assert wire.asked == 1


async def test_a_scope_that_could_break_out_of_the_challenge_is_refused_at_once(
    provider: Provider,
) -> None:
    for scope in ('a"b', "a\\b", "a\x00b"):
        with pytest.raises(ValueError, match="a scope is printable"):
            ResourceVerifier(issuer=ISSUER, audience=BANK, keys=provider.keyring, scope=scope)


async def test_as_a_middleware_it_answers_also_what_the_handler_finds_wrong(
    provider: Provider, bank: Issued, wire: Wire, stopwatch: list[float]
) -> None:
    checks = verifier(provider, wire, bank, stopwatch, single_use=MemorySingleUse())

    async def pay(request: Request) -> Response:
        await checks.take(request.scope[SCOPE_KEY])
        return JSONResponse({"paid": True})

    app = Starlette(routes=[Route("/pay", pay, methods=["POST"])])
    app.add_middleware(RequireToken, verifier=checks)
    access_token = await token(provider, await provider.other_client())
    headers = {"authorization": f"Bearer {access_token}"}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="https://bank.example"
    ) as client:
        assert (await client.post("/pay", headers=headers)).json() == {"paid": True}
        again = await client.post("/pay", headers=headers)
    assert (again.status_code, again.json()) == (401, {"error": "invalid_token"})
    assert again.headers["www-authenticate"] == 'Bearer error="invalid_token"'
