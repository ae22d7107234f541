"""An MCP host that is a page of another origin: it signs in and calls tools by `fetch` alone."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest_asyncio
from playwright.async_api import Page

from harness import Launch, Person, Server, SignIn, catalogue
from ports import free_port

PAGE = b"<!doctype html><title>A host in a browser</title><h1>A host in a browser</h1>"
# What a host does, step by step; each is a function of what the step before it gave.
BEGIN = """async ({ server, redirect }) => {
  const get = async (url, init) => {
    const answer = await fetch(url, init);
    return { status: answer.status, headers: answer.headers, json: await answer.json() };
  };
  const shut = await fetch(`${server}/mcp`, { method: "POST", body: "{}",
    headers: { "content-type": "application/json" } });
  const challenge = shut.headers.get("www-authenticate");
  const resource = (await get(/resource_metadata="([^"]+)"/.exec(challenge)[1])).json;
  const known = `${resource.authorization_servers[0]}/.well-known/oauth-authorization-server`;
  const provider = (await get(known, { headers: { "mcp-protocol-version": "2025-11-25" } })).json;
  await get(provider.jwks_uri);
  const client = await get(provider.registration_endpoint, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ client_name: "A host in a browser", redirect_uris: [redirect],
      grant_types: ["authorization_code", "refresh_token"], token_endpoint_auth_method: "none" }),
  });
  const url64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=+$/, "");
  const verifier = url64(crypto.getRandomValues(new Uint8Array(32)));
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  sessionStorage.verifier = verifier;
  sessionStorage.client = client.json.client_id;
  const asked = new URLSearchParams({ response_type: "code", client_id: client.json.client_id,
    redirect_uri: redirect, scope: "mcp", state: "s", resource: resource.resource,
    code_challenge: url64(hash), code_challenge_method: "S256" });
  location.assign(`${provider.authorization_endpoint}?${asked}`);
  return { shut: shut.status, registered: client.status };
}"""
FINISH = """async ({ server, redirect }) => {
  const post = (path, fields) => fetch(`${server}${path}`, { method: "POST",
    body: new URLSearchParams({ client_id: sessionStorage.client, ...fields }) });
  const back = new URLSearchParams(location.search);
  const redeem = { grant_type: "authorization_code", code: back.get("code"),
    redirect_uri: redirect, code_verifier: sessionStorage.verifier };
  const tokens = await (await post("/oauth2/token", redeem)).json();
  const call = async (method, params, session) => {
    const answer = await fetch(`${server}/mcp`, { method: "POST",
      headers: { authorization: `Bearer ${tokens.access_token}`, "content-type": "application/json",
        accept: "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25",
        ...(session ? { "mcp-session-id": session } : {}) },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
    return { status: answer.status, session: answer.headers.get("mcp-session-id"),
      text: await answer.text() };
  };
  const hello = await call("initialize", { protocolVersion: "2025-11-25", capabilities: {},
    clientInfo: { name: "page", version: "1" } });
  const listed = await call("tools/list", {}, hello.session);
  const renewed = await (await post("/oauth2/token", { grant_type: "refresh_token",
    refresh_token: tokens.refresh_token })).json();
  const revoked = await post("/oauth2/revoke", { token: renewed.refresh_token });
  const after = await call("tools/list", {}, hello.session);
  return { state: back.get("state"), hello: [hello.status, Boolean(hello.session)],
    listed: [listed.status, listed.text.includes("transfer_funds")],
    renewed: Boolean(renewed.access_token), revoked: revoked.status, after: after.status };
}"""
POST = """({ url, fields }) => {
  const form = document.createElement("form");
  Object.assign(form, { method: "POST", action: url });
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), { name, value }));
  }
  document.body.append(form);
  form.submit();
}"""
TRY = """async ({ url, init }) => {
  try {
    const answer = await fetch(url, init);
    return `${answer.type} ${answer.status}`;
  } catch (error) {
    return error.name;
  }
}"""


@asynccontextmanager
async def website(port: int) -> AsyncGenerator[str, None]:
    """Serve one empty page at every address of an origin."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readline()).strip():
            pass
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(PAGE) + PAGE)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "localhost", port):
        yield f"http://localhost:{port}"


@pytest_asyncio.fixture(loop_scope="session")
async def app() -> AsyncGenerator[str, None]:
    async with website(free_port()) as origin:
        yield origin


@pytest_asyncio.fixture(loop_scope="session")
async def stranger() -> AsyncGenerator[str, None]:
    async with website(free_port()) as origin:
        yield origin


@pytest_asyncio.fixture(loop_scope="session")
async def server(launch: Launch, app: str) -> Server:
    shipped = catalogue(None)
    return await launch({**shipped, "server": {**shipped["server"], "allowed_origins": [app]}})


async def attempt(page: Page, url: str, **init: Any) -> str:
    return await page.evaluate(TRY, {"url": url, "init": init})


async def test_a_page_of_a_named_origin_signs_in_calls_and_signs_out_by_fetch(
    server: Server, app: str, person: SignIn
) -> None:
    alice: Person = await person(server)
    given = {"server": server.url, "redirect": f"{app}/back"}
    await alice.page.goto(app)
    assert await alice.page.evaluate(BEGIN, given) == {"shut": 401, "registered": 201}
    await alice.page.get_by_role("button", name="Let it act for me").click()
    await alice.page.wait_for_url(re.compile(re.escape(app)))
    assert await alice.page.evaluate(FINISH, given) == {
        "state": "s",
        "hello": [200, True],
        "listed": [200, True],
        "renewed": True,
        "revoked": 200,
        "after": 401,
    }


async def test_a_page_reads_none_of_ours_though_its_person_is_signed_in(
    server: Server, app: str, stranger: str, person: SignIn
) -> None:
    alice: Person = await person(server)
    form = {
        "method": "POST", "body": "csrf=x",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
    }  # fmt: skip
    for origin in (app, stranger):
        await alice.page.goto(origin)
        for credentials in ("omit", "include"):
            for path in ("/approvals", "/applications", "/oauth2/authorize", "/m2m/clients"):
                url = f"{server.url}{path}"
                assert await attempt(alice.page, url, credentials=credentials) == "TypeError"
            url = f"{server.url}/applications/consent_x/take-back"
            assert await attempt(alice.page, url, credentials=credentials, **form) == "TypeError"
        known = f"{server.url}/.well-known/oauth-authorization-server"
        assert await attempt(alice.page, known) == "cors 200"
        # A cookie never comes along: the browser gives nothing away where it was to be sent.
        assert await attempt(alice.page, known, credentials="include") == "TypeError"


async def test_a_page_that_nobody_named_is_no_host(
    server: Server, app: str, stranger: str, person: SignIn
) -> None:
    alice: Person = await person(server)
    message = {"method": "POST", "body": "{}", "headers": {"content-type": "application/json"}}
    doors = ("/mcp", "/oauth2/register", "/oauth2/token", "/oauth2/revoke")
    await alice.page.goto(stranger)
    for path in doors:
        assert await attempt(alice.page, f"{server.url}{path}", **message) == "TypeError"
    await alice.page.goto(app)
    assert await attempt(alice.page, f"{server.url}/mcp", **message) == "cors 401"
    withcookie = await attempt(alice.page, f"{server.url}/mcp", credentials="include", **message)
    assert withcookie == "TypeError"


async def test_a_page_of_another_site_posts_its_request_and_gets_the_answer(
    server: Server, stranger: str, person: SignIn
) -> None:
    """OpenID Connect Core §3.1.2.1. The session's cookie is Lax: it comes with the GET alone."""
    alice: Person = await person(server)
    site = stranger.replace("localhost", "127.0.0.1")  # to a browser another site, not only origin
    async with httpx2.AsyncClient(trust_env=False) as http:
        host = {"redirect_uris": [f"{site}/back"], "token_endpoint_auth_method": "none"}
        registered = await http.post(f"{server.url}/oauth2/register", json=host)
    fields = {
        "client_id": registered.json()["client_id"],
        "redirect_uri": f"{site}/back",
        "response_type": "code",
        "scope": "mcp",
        "state": "a b&c",
        "resource": f"{server.url}/mcp",
        "code_challenge": "A" * 43,
        "code_challenge_method": "S256",
    }
    await alice.page.goto(site)
    await alice.page.evaluate(POST, {"url": f"{server.url}/oauth2/authorize", "fields": fields})
    await alice.page.get_by_role("button", name="Let it act for me").click()
    await alice.page.wait_for_url(re.compile(re.escape(f"{site}/back")))
    back = parse_qs(urlsplit(alice.page.url).query)
    assert (back["state"], len(back["code"])) == (["a b&c"], 1)
    # By script it is nobody's to read.
    form = {"method": "POST", "body": urlencode(fields)}
    kind = {"headers": {"content-type": "application/x-www-form-urlencoded"}}
    url = f"{server.url}/oauth2/authorize"
    for credentials in ("omit", "include"):
        assert (
            await attempt(alice.page, url, credentials=credentials, **form, **kind) == "TypeError"
        )
