"""What we send and answer, judged by message classes that somebody else wrote."""

import json
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from pydantic import SecretStr
from starlette.applications import Starlette

from as_parts import GATE_SECRET, basic, tool_call
from callback_parts import TOKEN, called_back, listening, telling
from interop_parts import Served, python, served
from signoff.gate.ciba import Asked, CibaClient, Granted
from signoff.gate.credentials import SharedSecret
from signoff.gate.wire import Wire

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Message = tuple[str, dict[str, Any] | str, dict[str, Any]]


class Recording(httpx2.AsyncBaseTransport):
    """Passes everything on, and keeps what went by."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self.sent: list[str] = []
        self.answered: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        answer = await self._inner.handle_async_request(request)
        content = await answer.aread()
        self.sent.append(body.decode())
        self.answered.append(json.loads(content))
        return httpx2.Response(answer.status_code, headers=answer.headers, content=content)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Served, None]:
    async with served(tmp_path) as running:
        yield running


async def of_the_gate(here: Served) -> tuple[dict[str, Message], dict[str, Any]]:
    """Let our own gate ask and poll; return its messages, and the tokens it got."""
    provider = here.provider
    transport = Recording(httpx2.ASGITransport(Starlette(routes=provider.routes)))
    credential = SharedSecret("signoff-gate", SecretStr(GATE_SECRET))
    wire = Wire(
        issuer=here.url, credential=credential, transport=transport, now=provider.database.now
    )
    gate = CibaClient(wire, client_id="signoff-gate")
    asked = await gate.ask(
        tool_call(),
        login_hint="alice",
        binding_message="pay ABCD1234",
        requested_expiry_s=900,
        acr="session",
        resource=f"{here.url}/gate",
    )
    assert isinstance(asked, Asked), asked
    assert isinstance(await gate.poll(asked.auth_req_id.get_secret_value()), Granted)
    await gate.close()
    request, polled = transport.sent
    acknowledged, tokens = transport.answered
    return {
        "the gate's request": ("AuthenticationRequest", request, {"mode": "poll"}),
        "our acknowledgement": ("AuthenticationResponse", acknowledged, {}),
        "the gate's poll": ("TokenRequest", polled, {}),
    }, tokens


async def of_callbacks(here: Served) -> dict[str, Message]:
    """Let a ping and a push client be told; return what they heard."""
    provider = here.provider
    found: dict[str, Message] = {}
    async with listening() as listener, telling(provider):
        for mode, hint in (("ping", "alice"), ("push", "bob"), ("push", "alice")):
            client = await called_back(provider, mode, listener.url)  # pyright: ignore[reportArgumentType] — one of the modes
            form = {"scope": "openid", "login_hint": hint, "client_notification_token": TOKEN}
            await provider.post("/oauth2/bc-authorize", form, auth=basic(client))
            heard = (await listener.next()).body
            if mode == "ping":
                found["a ping"] = ("NotificationRequest", heard, {})
            elif hint == "bob":
                found["a push of a no"] = ("PushErrorPayload", heard, {})
            else:
                pushed = {name: each for name, each in heard.items() if name != "id_token"}
                found["a push of a yes"] = ("AccessTokenResponse", pushed, {})
    return found


BAD: dict[str, Message] = {
    "two hints": ("AuthenticationRequest", {"login_hint": "a", "id_token_hint": "b"}, {}),
    "no token for a ping": ("AuthenticationRequest", {"login_hint": "a"}, {"mode": "ping"}),
    "no id": ("AuthenticationResponse", {"expires_in": 5}, {}),
    "no expiry": ("AuthenticationResponse", {"auth_req_id": "a"}, {}),
    "a push without an error": ("PushErrorPayload", {"auth_req_id": "a"}, {}),
}
"""That it judges at all."""


@pytest.mark.seed("CIBA-34")
@pytest.mark.seed("CIBA-41")
@pytest.mark.seed("CIBA-47")
@pytest.mark.seed("CIBA-48")
@pytest.mark.seed("CIBA-53")
async def test_every_message_of_ours_holds_for_idpyoidc_and_its_signed_request_for_us(
    here: Served,
) -> None:
    provider, client = here.provider, here.with_key.client
    messages, tokens = await of_the_gate(here)
    own = json.loads(json.dumps(tokens))
    own["id_token"] = tokens["id_token"][:-4] + "AAAA"
    messages |= await of_callbacks(here)
    messages |= {
        "the gate's tokens": ("AccessTokenResponse", tokens, {}),
        "forged tokens": ("AccessTokenResponse", own, {}),
        **BAD,
    }
    now = int(time.time())
    claims = {
        "iss": client.id,
        "aud": [here.url],
        "iat": now,
        "nbf": now,
        "exp": now + 60,
        "jti": "made-by-idpyoidc",
        "scope": ["openid"],
        "login_hint": "alice",
        "binding_message": "W4SCT",
        "requested_expiry": 60,
    }
    known = {
        "issuer": here.url,
        "client_id": "signoff-gate",
        "jwks": provider.keyring.public.as_json(),
        "claims": claims,
    }
    asking = {"KNOWN": json.dumps(known), "MESSAGES": json.dumps(messages)}
    environment = here.environment(here.with_key) | asking
    found = await python("idpyoidc_program.py", "idpyoidc==5.0.0", **environment)
    told = found["told"]
    assert {name for name, each in told.items() if each == "holds"} == set(messages) - {
        "forged tokens",
        *BAD,
    }, told
    proof = {"iss": client.id, "sub": client.id, "aud": here.url, "jti": "a", "exp": now + 60}
    form = {
        "request": found["signed"],
        "client_assertion_type": ASSERTION,
        "client_assertion": jwt.encode({"alg": "ES256"}, proof, here.private),
    }
    answer = await provider.post("/oauth2/bc-authorize", form, auth=None)
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_in"] == 60
