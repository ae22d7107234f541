"""Somebody at the door of the admin API: a machine that may manage, and what comes in with it."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from as_parts import BANK, ISSUER, Provider, basic
from signed_in import Site, site
from signoff.cli.main import main
from signoff.web.machine_clients import SCOPE

HTTPS = "https://signoff.example"
FORM = {"grant_type": "client_credentials"}
ALGORITHMS = 'algs="ES256 PS256 Ed25519 EdDSA"'
_ROOT = Path(__file__).parents[1]


@pytest.fixture
async def here(provider: Provider) -> AsyncGenerator[Site, None]:
    # Who makes the calls of other tests is no host to be listed here.
    await provider.database.write(lambda tx: tx.execute("DELETE FROM client_documents"))
    async with site(provider) as running:
        yield running


@pytest.fixture
async def admin(provider: Provider) -> dict[str, str]:
    return await bearer(provider)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Return what runs a command as at the terminal, without a server."""
    (tmp_path / "data").mkdir()

    def invoke(*arguments: str) -> Result:
        where = ("--data-dir", str(tmp_path / "data"), "--config", str(_ROOT / "capabilities.yaml"))
        return CliRunner().invoke(main, [*arguments, *where])

    return invoke


async def bearer(provider: Provider, **settings: Any) -> dict[str, str]:
    """Return the header of a machine that manages clients."""
    given = {"name": "The manager", "scopes": [SCOPE], "audiences": [f"{ISSUER}/m2m"], **settings}
    machine = await provider.other_client(**given)
    answer = await provider.post("/oauth2/token", FORM, auth=basic(machine))
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def created(here: Site, headers: dict[str, str], **members: Any) -> dict[str, Any]:
    """Create a machine client and return all that is told of it."""
    body = {"name": "Nightly", "scopes": ["reports"], "audiences": [BANK], **members}
    response = await here.http.post("/m2m/clients", json=body, headers=headers)
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()
