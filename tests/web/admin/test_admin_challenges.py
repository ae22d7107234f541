"""What the admin API tells a machine whose token will not do (RFC 6750 §3, RFC 9449 §7.1)."""

from typing import Any

import pytest

from admin_door import ALGORITHMS
from as_parts import ISSUER, Provider, basic
from conftest import TurnedClock
from dpop_parts import KeyHolder
from signed_in import Site
from signoff.web.machine_clients import SCOPE


async def token(provider: Provider, **settings: Any) -> tuple[str, str]:
    """Return a token and the id of its client."""
    given = {"scopes": [SCOPE], "audiences": [f"{ISSUER}/m2m"], **settings}
    made = await provider.other_client(**given)
    form = {"grant_type": "client_credentials"}
    answer = await provider.post("/oauth2/token", form, auth=basic(made))
    return str(answer.json()["access_token"]), made.client.id


@pytest.mark.seed("C10")
@pytest.mark.parametrize("path", ["/m2m/clients", "/m2m/hosts"])
async def test_a_machine_is_told_what_its_token_lacks(
    provider: Provider, here: Site, path: str
) -> None:
    scopeless, _ = await token(provider, scopes=["reports"])
    answer = await here.http.get(path, headers={"authorization": f"Bearer {scopeless}"})
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert answer.headers["www-authenticate"] == (
        f'Bearer error="insufficient_scope", scope="{SCOPE}", DPoP {ALGORITHMS}'
    )
    for header in ("Bearer none", "Bearer", "Bearer a b"):
        answer = await here.http.get(path, headers={"authorization": header})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
        assert answer.headers["www-authenticate"] == (
            f'Bearer error="invalid_token", DPoP {ALGORITHMS}'
        )


async def test_who_shows_nothing_is_told_no_error(here: Site) -> None:
    for headers in ({}, {"authorization": "Basic eDp5"}):
        answer = await here.http.get("/m2m/clients", headers=headers)
        assert answer.status_code == 401
        assert "error" not in answer.headers["www-authenticate"]


async def test_a_token_that_was_taken_back_is_an_invalid_one(
    provider: Provider, here: Site
) -> None:
    manager, client_id = await token(provider)
    await provider.people.disable(client_id, by="operator")
    answer = await here.http.get("/m2m/clients", headers={"authorization": f"Bearer {manager}"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


async def test_a_proof_that_does_not_hold_is_named(
    provider: Provider, here: Site, clock: TurnedClock
) -> None:
    holder = KeyHolder(clock, issuer=ISSUER)
    made = await provider.other_client(scopes=[SCOPE], audiences=[f"{ISSUER}/m2m"], dpop_bound=True)
    form = {"grant_type": "client_credentials"}
    bound = (await holder.token(provider.http, form, auth=basic(made))).json()["access_token"]
    headers = {
        "authorization": f"DPoP {bound}",
        "dpop": holder.proof("DELETE", f"{ISSUER}/m2m/clients", token=bound),
    }
    answer = await here.http.get("/m2m/clients", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_dpop_proof")
    assert answer.headers["www-authenticate"] == (f'DPoP error="invalid_dpop_proof", {ALGORITHMS}')
