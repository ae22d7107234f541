"""Machine clients: the operator's doors, and the token a machine gets for itself."""

from datetime import timedelta
from typing import Any

import pytest

from as_parts import BANK, ISSUER, Provider, basic, refused
from conftest import TurnedClock
from signoff.oauth.clients import CIBA, Client, ClientError, Issued, hash_secret
from signoff.storage.sqlite import Database
from signoff.tokens.verify import verify_access_token

FORM = {"grant_type": "client_credentials"}


async def token(provider: Provider, issued: Issued, **form: Any) -> Any:
    return await provider.post("/oauth2/token", {**FORM, **form}, auth=basic(issued))


@pytest.mark.seed("C1")
@pytest.mark.seed("C2")
async def test_a_machine_gets_a_token_for_itself_and_no_refresh_token(
    provider: Provider, clock: TurnedClock
) -> None:
    issued = await provider.other_client()
    answer = (await token(provider, issued)).json()
    now = int(clock().timestamp())
    claims = verify_access_token(
        answer.pop("access_token"),
        keys=provider.keyring.public,
        issuer=ISSUER,
        audience=BANK,
        now=clock(),
    )
    assert answer == {"token_type": "Bearer", "expires_in": 3600, "scope": "payments reports"}
    assert claims == {
        "iss": ISSUER,
        "aud": BANK,
        "sub": issued.client.id,
        "client_id": issued.client.id,
        "jti": claims["jti"],
        "iat": now,
        "exp": now + 3600,
        "scope": "payments reports",
    }
    assert (await provider.clients.show(issued.client.id)).last_used_at == clock()


@pytest.mark.seed("C1")
async def test_a_machine_may_ask_for_less_and_never_for_more(provider: Provider) -> None:
    issued = await provider.other_client()
    assert (await token(provider, issued, scope="reports")).json()["scope"] == "reports"
    for scope in ("admin", "reports admin", "openid", "reports  payments"):
        refused(await token(provider, issued, scope=scope), "invalid_scope")


async def test_a_machine_gets_no_token_for_a_resource_that_is_not_its_own(
    provider: Provider,
) -> None:
    issued = await provider.other_client()
    for resource in (f"{ISSUER}/mcp", f"{BANK}/", [BANK, f"{ISSUER}/gate"]):
        refused(await token(provider, issued, resource=resource), "invalid_target")


@pytest.mark.seed("C1")
async def test_a_grant_that_is_missing_unknown_or_not_the_clients_is_refused(
    provider: Provider,
) -> None:
    machine = await provider.other_client(grant_types=["client_credentials"])
    refused(await token(provider, machine, grant_type=None), "invalid_request")
    refused(await token(provider, machine, grant_type=""), "invalid_request")
    refused(await token(provider, machine, grant_type="password"), "unsupported_grant_type")
    refused(await token(provider, machine, grant_type=CIBA), "unauthorized_client")
    refused(await provider.post("/oauth2/token", FORM), "unauthorized_client")


async def test_a_token_does_not_outlive_its_client(provider: Provider, clock: TurnedClock) -> None:
    issued = await provider.other_client(expires_in=timedelta(minutes=5))
    clock.turn(240)
    assert (await token(provider, issued)).json()["expires_in"] == 60


@pytest.mark.seed("C3")
@pytest.mark.seed("C9")
async def test_a_secret_is_shown_once_and_kept_as_a_hash(
    provider: Provider, database: Database
) -> None:
    issued = await provider.other_client(metadata={"team": "ops"})
    assert issued.secret is not None
    assert len(issued.secret) == 43
    shown = await provider.clients.show(issued.client.id)
    assert shown == issued.client
    assert (shown.secret_start, shown.metadata) == (issued.secret[:6], {"team": "ops"})
    assert issued.secret not in repr(shown)
    row = await database.fetch_one("SELECT * FROM clients")
    assert row is not None
    assert row["secret_hash"] == hash_secret(issued.secret)
    assert issued.secret not in str(tuple(row))


@pytest.mark.seed("C4")
@pytest.mark.seed("C5")
async def test_clients_are_listed_newest_first_a_page_at_a_time(
    provider: Provider, clock: TurnedClock
) -> None:
    made: list[Client] = []
    for number in range(3):
        made.append((await provider.other_client(name=f"client {number}")).client)
        clock.turn(1)
    assert await provider.clients.list(limit=2) == [made[2], made[1]]
    assert await provider.clients.list(limit=2, offset=2) == [made[0]]
    with pytest.raises(ClientError, match="there is no client"):
        await provider.clients.show("nobody")


@pytest.mark.seed("C6")
@pytest.mark.seed("C7")
async def test_what_is_changed_counts_from_the_next_request_on(provider: Provider) -> None:
    issued = await provider.other_client()
    changed = await provider.clients.update(
        issued.client.id, by="operator", name="Renamed", scopes=["reports"]
    )
    assert (changed.name, changed.scopes, changed.audiences) == ("Renamed", ("reports",), (BANK,))
    refused(await token(provider, issued, scope="payments"), "invalid_scope")
    await provider.clients.delete(issued.client.id, by="operator")
    refused(await token(provider, issued), "invalid_client", status=401)
    with pytest.raises(ClientError):
        await provider.clients.delete(issued.client.id, by="operator")
    with pytest.raises(ClientError):
        await provider.clients.update(issued.client.id, by="operator", name="Again")


async def test_a_rotated_secret_ends_the_old_one_at_the_end_of_the_overlap(
    provider: Provider, clock: TurnedClock
) -> None:
    old = await provider.other_client()
    new = await provider.clients.rotate(old.client.id, by="operator", overlap=timedelta(minutes=10))
    assert new.secret != old.secret
    assert [(await token(provider, one)).status_code for one in (old, new)] == [200, 200]
    clock.turn(600)
    assert [(await token(provider, one)).status_code for one in (old, new)] == [401, 200]


async def test_without_an_overlap_the_old_secret_ends_at_once(provider: Provider) -> None:
    old = await provider.other_client()
    new = await provider.clients.rotate(old.client.id, by="operator")
    assert [(await token(provider, one)).status_code for one in (old, new)] == [401, 200]
    with pytest.raises(ClientError, match="overlap"):
        await provider.clients.rotate(old.client.id, by="operator", overlap=timedelta(days=8))


@pytest.mark.seed("C8")
@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "alice"},
        {"client_id": "signoff-gate"},
        {"client_id": "a"},
        {"client_id": "with space"},
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 101},
        {"name": "two\nlines"},
        {"name": "\u202eevil"},
        {"scopes": ["two words"]},
        {"scopes": ['quo"te']},
        {"audiences": ["no-uri"]},
        {"audiences": ["https://bank.example#part"]},
        {"grant_types": []},
        {"grant_types": ["password"]},
        {"metadata": {"blob": "x" * 5000}},
        {"expires_in": timedelta(0)},
        {"jwks": "not json"},
        {"jwks": '{"keys":[]}'},
        {"jwks": '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'},
    ],
)
async def test_a_client_that_cannot_be_is_refused(
    provider: Provider, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ClientError):
        await provider.other_client(**wrong)
    assert await provider.clients.list() == []


async def test_an_id_is_given_once(provider: Provider) -> None:
    await provider.other_client(client_id="nightly")
    with pytest.raises(ClientError, match="another client"):
        await provider.other_client(client_id="nightly")


async def test_switching_a_client_off_ends_what_it_asked(provider: Provider) -> None:
    other = await provider.other_client()
    form: dict[str, Any] = {"authorization_details": None, "resource": BANK}
    auth_req_id = await provider.asked(auth=basic(other), **form)
    assert await provider.people.disable(other.client.id, by="operator")
    assert not await provider.people.disable(other.client.id, by="operator")
    assert (await provider.card(auth_req_id, client_id=other.client.id)).status == "withdrawn"
    refused(await provider.poll(auth_req_id, auth=basic(other)), "invalid_client", status=401)
    assert await provider.people.enable(other.client.id, by="operator")
    refused(await provider.poll(auth_req_id, auth=basic(other)), "access_denied")
