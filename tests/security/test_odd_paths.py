"""Addresses beside the addresses: a slash too many, another case, another method."""

import asyncio
from collections.abc import AsyncGenerator

import httpx2
import pytest
import pytest_asyncio

from whole import Whole, whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Whole, None]:
    """One server for all of these. A task of its own enters and leaves it, as anyio wants."""
    up: asyncio.Future[Whole] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def run() -> None:
        async with whole(tmp_path_factory.mktemp("whole")) as running:
            up.set_result(running)
            await stop.wait()

    task = asyncio.create_task(run())
    await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    yield await up
    stop.set()
    await task


pytestmark = pytest.mark.asyncio(loop_scope="module")

POSTED = (
    "/oauth2/bc-authorize",
    "/oauth2/token",
    "/oauth2/introspect",
    "/oauth2/revoke",
    "/oauth2/register",
    "/oauth2/device_authorization",
    "/bc-authorize",
    "/oauth/token",
    "/ciba/withdraw",
    "/ciba/outcome",
)
READ = (
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-protected-resource/mcp",
    "/oauth2/jwks",
    "/openapi.json",
)
SECRET = {"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "typed"}


async def sent(here: Whole, method: str, path: str) -> httpx2.Response:
    url = here.server.url + path  # joined by hand: a client reads two slashes as a host
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.request(method, url, data=SECRET if method == "POST" else None)


@pytest.mark.parametrize("path", [*POSTED, "/mcp"])
async def test_a_slash_too_many_never_has_a_secret_sent_again_to_another_address(
    here: Whole, path: str
) -> None:
    for spelling in (f"{path}/", f"{path}//", f"/{path}", path.upper(), f"{path};x", f"{path}%2f"):
        answer = await sent(here, "POST", spelling)
        assert (answer.status_code, "location" in answer.headers) == (404, False), spelling


@pytest.mark.parametrize("path", READ)
async def test_a_document_stands_at_its_own_address_and_at_no_other(here: Whole, path: str) -> None:
    assert (await sent(here, "GET", path)).status_code == 200
    for spelling in (f"{path}/", f"/{path}", path.upper(), f"{path}/x", f"{path}%00"):
        answer = await sent(here, "GET", spelling)
        assert (answer.status_code, "location" in answer.headers) == (404, False), spelling


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", POSTED)
async def test_an_endpoint_has_one_method_and_no_other_site_is_told_it_may_ask(
    here: Whole, method: str, path: str
) -> None:
    answer = await sent(here, method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert not [name for name in answer.headers if name.startswith("access-control-")]
