"""What docs/ciba.md tells the author of an API, run as it stands there."""

from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from as_parts import BANK
from interop_parts import served

PAGE = Path(__file__).parents[2] / "docs" / "ciba.md"


@pytest.mark.seed("C11")
async def test_the_five_lines_of_the_page_guard_an_api(tmp_path: Path) -> None:
    section = PAGE.read_text().partition("## Check the tokens in your own API")[2]
    lines = section.partition("```python\n")[2].partition("```")[0]
    assert sum(bool(line.strip()) for line in lines.splitlines()) == 5

    def who(request: Request) -> Response:
        return JSONResponse(request.scope["signoff.token"].client_id)

    app = Starlette(routes=[Route("/who", who)])
    async with served(tmp_path) as here:
        text = lines.replace("http://localhost:8420", here.url)
        exec(text.replace("https://bank.example/api", BANK), {"app": app})  # noqa: S102 — our own
        known = (here.with_secret.client.id, str(here.with_secret.secret))
        form = {"grant_type": "client_credentials", "resource": BANK}
        api = httpx2.ASGITransport(app)
        async with (
            httpx2.AsyncClient(trust_env=False, timeout=60) as http,
            httpx2.AsyncClient(transport=api, base_url="https://bank.example") as bank,
        ):
            answer = await http.post(f"{here.url}/oauth2/token", data=form, auth=known)
            headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
            assert (await bank.get("/who")).status_code == 401
            assert (await bank.get("/who", headers=headers)).json() == known[0]
            form["scope"] = "reports"
            answer = await http.post(f"{here.url}/oauth2/token", data=form, auth=known)
            headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
            refused = await bank.get("/who", headers=headers)
    assert refused.status_code == 403
    assert 'scope="payments"' in refused.headers["www-authenticate"]
