"""Every endpoint, whatever a stranger sends: an error body has its members and characters only.

RFC 6749 §5.2 and CIBA Core §13: `error`, `error_description` and `error_uri`, in printable ASCII
without quotes and backslashes, so that nothing that was sent can come back in it.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from typing import Any, cast
from urllib.parse import urlencode

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from as_parts import BANK, PAYMENT
from host_house import HostHouse, host_house
from signoff.oauth.clients import CIBA, DEVICE_CODE, Issued
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

CHARACTERS = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
MEMBERS = {"error", "error_description", "error_uri"}
POSTS = (
    *("/oauth2/bc-authorize", "/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"),
    *("/oauth2/device_authorization", "/bc-authorize", "/oauth/token"),
    *("/ciba/withdraw", "/ciba/outcome"),
)
NAMES = (
    *("grant_type", "auth_req_id", "scope", "login_hint", "login_hint_token", "id_token_hint"),
    *("binding_message", "user_code", "requested_expiry", "acr_values", "resource", "request"),
    *("client_notification_token", "authorization_details", "request_uri", "client_id"),
    *("client_secret", "client_assertion", "client_assertion_type", "code", "code_verifier"),
    *("redirect_uri", "refresh_token", "device_code", "token", "state", "at", "note"),
)
GRANTS = (CIBA, "client_credentials", "authorization_code", "refresh_token", DEVICE_CODE)
NASTY = st.sampled_from((
    *("<script>", '"', "\\", "\r\nset-cookie: a=b", "\x00", "é", "\u202e", "\ud7ff", "💸" * 9),
    *("{}", "[]", '[{"type":"payment"}]', '[{"type":"\\"<b>"}]', '{"format":"iss_sub"}', "a.b.c"),
    *("openid", "openid offline_access", "alice", "9" * 400, "-1", "1e9", "x" * 3000),
    *(BANK, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "e30.e30.", "null", "{"),
))
VALUES = NASTY | st.text(max_size=60) | st.sampled_from(GRANTS)
FORMS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=12), VALUES, max_size=8)
TYPES = st.sampled_from((
    *("application/x-www-form-urlencoded", "application/json", "text/plain", ""),
    "application/x-www-form-urlencoded; charset=utf-16",
))
HEADERS = st.dictionaries(
    st.sampled_from(("authorization", "dpop", "prefer")),
    st.sampled_from((
        *("Basic YTpi", "Basic !!", "Bearer x", "DPoP x", "wait=0", "a.b.c", "x" * 9000, "é", ""),
    )),
    max_size=2,
)


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer, details_types={"payment": PAYMENT}) as running:
        yield running


@pytest.fixture
async def client(house: HostHouse) -> Issued:
    return await house.clients.create(
        name="Payroll",
        by="operator",
        grant_types=[*GRANTS[:2], "refresh_token", DEVICE_CODE],
        scopes=["payments"],
        audiences=[BANK],
        details_types=["payment"],
    )


def check(answer: httpx2.Response, sent: object) -> None:
    """Assert that an answer is either no error, or one whose body is as it must be."""
    assert answer.status_code < 500 or answer.status_code == 503, (sent, answer.text)
    if answer.status_code < 400:
        return
    assert answer.headers["content-type"] == "application/json", sent
    assert answer.headers["cache-control"] == "no-store", sent
    body = answer.json()
    assert set(body) <= MEMBERS, (sent, body)
    assert {"error", "error_description"} <= set(body), (sent, body)
    for value in body.values():
        assert CHARACTERS.fullmatch(value), (sent, body)


def encoded(form: dict[str, str], media_type: str) -> bytes:
    if media_type == "application/json":
        return json.dumps(form).encode()
    return urlencode(form, errors="surrogatepass").encode()


@pytest.mark.seed("CIBA-54")
@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("known", [True, False], ids=["a client", "a stranger"])
async def test_no_error_body_carries_anything_that_was_sent(
    house: HostHouse, client: Issued, path: str, *, known: bool
) -> None:
    loop = asyncio.get_running_loop()

    async def send(form: dict[str, str], media_type: str, headers: dict[str, str]) -> None:
        if known:
            # An assertion or a secret of its own beside it is a fault of its own: left out.
            form = {name: value for name, value in form.items() if "client" not in name}
            form |= {"client_id": client.client.id, "client_secret": str(client.secret)}
            headers = {name: value for name, value in headers.items() if name == "dpop"}
        raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        raw[b"content-type"] = media_type.encode()
        answer = await house.http.post(path, content=encoded(form, media_type), headers=raw)
        check(answer, (form, media_type, headers))

    @settings(max_examples=40)
    @given(FORMS, TYPES, HEADERS)
    def every(form: dict[str, str], media_type: str, headers: dict[str, str]) -> None:
        asyncio.run_coroutine_threadsafe(send(form, media_type, headers), loop).result(30)

    await asyncio.to_thread(every)


MEMBERS_OF_A_HOST = st.sampled_from((
    *("client_name", "redirect_uris", "grant_types", "response_types", "scope", "client_id"),
    *("token_endpoint_auth_method", "software_statement", "dpop_bound_access_tokens"),
    *("authorization_details_types", "backchannel_token_delivery_mode", "client_secret"),
))
JSONS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(VALUES, inner, max_size=2),
    max_leaves=5,
)
REGISTRATIONS = st.dictionaries(MEMBERS_OF_A_HOST | VALUES, JSONS, max_size=6) | JSONS


@pytest.mark.seed("CIBA-54")
@pytest.mark.parametrize("managed", [False, True], ids=["register", "replace"])
async def test_no_registration_error_carries_anything_that_was_sent(
    house: HostHouse, *, managed: bool
) -> None:
    loop = asyncio.get_running_loop()
    host = await house.register()
    method = "PUT" if managed else "POST"
    path = host["registration_client_uri"] if managed else "/oauth2/register"
    headers = {"authorization": f"Bearer {host['registration_access_token']}"} if managed else {}

    async def send(body: Any) -> None:
        asked: Any = body
        if managed and isinstance(body, dict):
            asked = {**cast("dict[str, Any]", body), "client_id": host["client_id"]}
        content = json.dumps(asked).encode(errors="surrogatepass")
        sent = {**headers, "content-type": "application/json"}
        answer = await house.http.request(method, path, content=content, headers=sent)
        check(answer, asked)

    @settings(max_examples=80)
    @given(REGISTRATIONS)
    def every(body: Any) -> None:
        asyncio.run_coroutine_threadsafe(send(body), loop).result(30)

    await asyncio.to_thread(every)
