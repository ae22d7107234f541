"""A body that does not arrive: whoever trickles it is answered, and holds nothing for long."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette

from as_parts import Provider
from signoff.oauth import forms

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/oauth2/token", FORM),
        ("/oauth2/bc-authorize", FORM),
        ("/oauth2/introspect", FORM),
        ("/oauth2/revoke", FORM),
        ("/ciba/withdraw", FORM),
        ("/ciba/outcome", FORM),
        ("/oauth/token", JSON),
        ("/bc-authorize", JSON),
    ],
)
async def test_a_body_that_never_ends_is_given_up(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, path: str, content_type: str
) -> None:
    monkeypatch.setattr(forms, "BODY_DEADLINE_S", 0.01)
    never, sent = asyncio.Event(), list[Any]()
    parts = [{"type": "http.request", "body": b"grant_type=", "more_body": True}]

    async def receive() -> Any:
        if not parts:
            await never.wait()
        return parts.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", content_type.encode())],
    }
    await Starlette(routes=provider.routes)(scope, receive, send)
    assert sent[0]["status"] == 408
    assert dict(sent[0]["headers"])[b"cache-control"] == b"no-store"
    assert sent[1]["body"] == (
        b'{"error":"invalid_request","error_description":"the body took too long"}'
    )
