"""A method that an address does not have: JSON where the address speaks it, and never stored."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from whole import whole

POST = ("POST",)
GET = ("GET", "HEAD")
ADDRESSES = {
    **dict.fromkeys(("/oauth2/bc-authorize", "/oauth2/token", "/oauth2/introspect"), POST),
    **dict.fromkeys(("/oauth2/revoke", "/oauth2/device_authorization", "/bc-authorize"), POST),
    **dict.fromkeys(("/oauth/token", "/ciba/withdraw", "/ciba/outcome"), POST),
    **dict.fromkeys(("/ciba/authorize", "/ciba/reject", "/m2m/clients/x/rotate"), POST),
    **dict.fromkeys(("/ciba/verify", "/oauth2/jwks", "/openapi.json"), GET),
    **dict.fromkeys(("/.well-known/openid-configuration",), GET),
    **dict.fromkeys(("/.well-known/oauth-authorization-server",), GET),
    **dict.fromkeys(("/m2m/clients", "/m2m/hosts"), (*GET, *POST)),
    "/m2m/clients/x": ("DELETE", *GET, "PATCH", "PUT"),
    "/m2m/hosts/x": ("DELETE", *GET),
    "/oauth2/register": POST,
    "/oauth2/register/x": ("DELETE", *GET, "PUT"),
}
UNKNOWN = (
    *("/nowhere", "/oauth2", "/oauth2/tokens", "/oauth2/token/", "/m2m", "/m2m/clients/"),
    *("/m2m/clients/x/y", "/m2m/hosts/x/rotate", "/oauth2/register/x/y"),
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


@asynccontextmanager
async def serving(folder: Path) -> AsyncGenerator[httpx2.AsyncClient, None]:
    async with (
        whole(folder) as house,
        httpx2.AsyncClient(base_url=house.server.url, trust_env=False, timeout=60) as http,
    ):
        yield http


async def test_a_method_that_an_endpoint_lacks_is_refused_in_json_and_not_stored(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as http:
        for path, allowed in ADDRESSES.items():
            for method in METHODS:
                answer = await http.request(method, path)
                if method in allowed:
                    assert answer.status_code != 405, (method, path)
                    continue
                assert answer.status_code == 405, (method, path)
                told = ", ".join(allowed)
                assert answer.headers["allow"] == told
                assert answer.headers["content-type"] == "application/json"
                assert answer.headers["cache-control"] == "no-store"
                assert answer.json() == {
                    "error": "invalid_request",
                    "error_description": f"this address takes {told}",
                }
        answer = await http.head("/oauth2/token")
        assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")
        assert answer.headers["cache-control"] == "no-store"


async def test_an_unknown_address_is_a_bare_404_and_a_page_is_no_json(tmp_path: Path) -> None:
    async with serving(tmp_path) as http:
        for path in UNKNOWN:
            for method in ("GET", "POST", "DELETE"):
                answer = await http.request(method, path)
                assert (answer.status_code, answer.text) == (404, "Not Found"), (method, path)
                assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        answer = await http.put("/approvals")
        assert (answer.status_code, answer.text) == (405, "Method Not Allowed")
