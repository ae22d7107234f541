"""What a client's assertion may be addressed to is the operator's to say."""

import json
import time
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from whole import whole

KEY = ECKey.generate_key("P-256")
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.mark.seed("CIBA-15")
@pytest.mark.parametrize(
    ("rule", "statuses"),
    [
        (None, {"": 200, "/oauth2/token": 401, "/oauth2/bc-authorize": 401, "/mcp": 401}),
        ("issuer", {"": 200, "/oauth2/token": 401, "/oauth2/bc-authorize": 401, "/mcp": 401}),
        ("ciba", {"": 200, "/oauth2/token": 200, "/oauth2/bc-authorize": 200, "/mcp": 401}),
    ],
)
async def test_the_running_server_takes_assertions_by_the_rule_of_its_catalogue(
    tmp_path: Path, rule: str | None, statuses: dict[str, int]
) -> None:
    auth = {"local_user": "alice", **({} if rule is None else {"assertion_audience": rule})}
    async with (
        whole(tmp_path, auth=auth) as house,
        httpx2.AsyncClient(base_url=house.server.url, trust_env=False, timeout=60) as http,
    ):
        make = house.server.operations.handlers()["clients.create"]
        jwks = json.dumps({"keys": [KEY.as_dict(private=False)]})
        made = await make({"name": "shop", "grants": ["ciba"], "jwks": jwks})
        client_id = cast("dict[str, str]", made)["client_id"]

        async def ask(path: str) -> int:
            now = int(time.time())
            claims: dict[str, Any] = {"iss": client_id, "sub": client_id, "jti": f"for {path}"}
            claims |= {"aud": house.server.url + path, "iat": now, "exp": now + 60}
            form = {
                "scope": "openid",
                "login_hint": "alice",
                "client_assertion_type": ASSERTION,
                "client_assertion": jwt.encode({"alg": "ES256"}, claims, KEY),
            }
            return (await http.post("/oauth2/bc-authorize", data=form)).status_code

        assert {path: await ask(path) for path in statuses} == statuses
