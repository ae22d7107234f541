"""A type of the catalogue on its way through the running server: registered, asked for, shown."""

import json
from pathlib import Path
from typing import Any, cast

import httpx2

from whole import whole

TYPES: dict[str, Any] = {
    "payment": {
        "title": "Payment",
        "description": "Moves money out of an account.",
        "schema": "schemas/payment.json",
    }
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"type": {}, "amount": {"type": "integer"}},
    "required": ["amount"],
}


async def test_a_type_of_the_catalogue_is_offered_checked_and_shown_in_the_operators_words(
    tmp_path: Path,
) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "payment.json").write_text(json.dumps(SCHEMA))
    async with (
        whole(tmp_path, authorization_details_types=TYPES) as house,
        httpx2.AsyncClient(base_url=house.server.url, trust_env=False, timeout=60) as http,
    ):
        told = (await http.get("/.well-known/oauth-authorization-server")).json()
        assert told["authorization_details_types_supported"] == ["tool_call", "payment"]
        make = house.server.operations.handlers()["clients.create"]
        made = cast(
            "dict[str, str]",
            await make({"name": "shop", "grants": ["ciba"], "details_types": ["payment"]}),
        )
        auth = httpx2.BasicAuth(made["client_id"], made["client_secret"])

        async def ask(amount: Any) -> httpx2.Response:
            details = [{"type": "payment", "amount": amount}]
            form = {
                "scope": "openid",
                "login_hint": "alice",
                "authorization_details": json.dumps(details),
            }
            return await http.post("/oauth2/bc-authorize", data=form, auth=auth)

        wrong = await ask("much")
        assert wrong.json() == {
            "error": "invalid_authorization_details",
            "error_description": "member 1 does not fit its type: type",
        }
        assert (await ask(25)).status_code == 200
        alice = await house.person()
        inbox = (await alice.http.get("/approvals")).text
        place = inbox.partition('href="/approvals/')[2].partition('"')[0]
        card = (await alice.http.get(f"/approvals/{place}")).text
        assert "<b>Payment:</b> Moves money out of an account." in card
