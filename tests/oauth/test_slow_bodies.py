"""A body that does not arrive: whoever trickles it is answered, and holds nothing for long."""

import json

import pytest
from starlette.applications import Starlette

from as_parts import ISSUER, Provider, refused
from host_house import host_house, registration
from signoff.oauth import forms
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from trickle import trickled

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
    status, headers, body = await trickled(
        Starlette(routes=provider.routes),
        "POST",
        path,
        {"content-type": content_type},
        begun=b"grant_type=",
    )
    assert (status, headers["cache-control"]) == (408, "no-store")
    assert body == b'{"error":"invalid_request","error_description":"the body took too long"}'


async def test_a_registration_that_never_ends_is_given_up(
    database: Database, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "BODY_DEADLINE_S", 0.01)
    async with host_house(database, sealer) as house:
        host = await house.register()
        token = {"authorization": f"Bearer {host['registration_access_token']}"}
        own = host["registration_client_uri"].removeprefix(ISSUER)
        for method, path in (("POST", "/oauth2/register"), ("PUT", own)):
            status, headers, body = await trickled(
                house.transport.app, method, path, {"content-type": JSON, **token}
            )
            assert (status, headers["cache-control"]) == (408, "no-store")
            assert b'"error":"invalid_client_metadata"' in body
        told = await house.http.get(host["registration_client_uri"], headers=token)
        assert told.json() == host


async def test_a_registration_of_two_types_is_refused(database: Database, sealer: Sealer) -> None:
    async with host_house(database, sealer) as house:
        answer = await house.http.post(
            "/oauth2/register",
            content=json.dumps(registration()),
            headers=[("content-type", JSON), ("content-type", FORM)],
        )
        refused(answer, "invalid_client_metadata")
