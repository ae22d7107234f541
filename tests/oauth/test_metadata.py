"""Discovery and keys: true in every field, at every address a client looks."""

import asyncio

import httpx2
import pytest

from as_parts import ISSUER, Provider, running_provider, tool_call
from conftest import TurnedClock
from signoff.sealed import Sealer
from signoff.storage.keys import SqliteKeys
from signoff.storage.sqlite import Database
from signoff.tokens.keyring import KEEP_AFTER_ROTATION, PUBLISH_AHEAD, ROTATE_AFTER, Keyring
from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import key_id, verify_access_token

CIBA = "urn:openid:params:grant-type:ciba"


@pytest.mark.seed("CIBA-1")
@pytest.mark.seed("CIBA-2")
@pytest.mark.seed("CIBA-3")
@pytest.mark.seed("CIBA-4")
@pytest.mark.seed("B21")
async def test_both_well_known_addresses_tell_the_same_truth(provider: Provider) -> None:
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    algorithms = ["ES256", "PS256", "Ed25519", "EdDSA"]
    first = await provider.http.get("/.well-known/openid-configuration")
    second = await provider.http.get("/.well-known/oauth-authorization-server")
    assert (
        first.json()
        == second.json()
        == {
            "issuer": ISSUER,
            "token_endpoint": f"{ISSUER}/oauth2/token",
            "jwks_uri": f"{ISSUER}/oauth2/jwks",
            "backchannel_authentication_endpoint": f"{ISSUER}/oauth2/bc-authorize",
            "backchannel_token_delivery_modes_supported": ["poll", "ping", "push"],
            "backchannel_authentication_request_signing_alg_values_supported": algorithms,
            "backchannel_user_code_parameter_supported": True,
            "introspection_endpoint": f"{ISSUER}/oauth2/introspect",
            "revocation_endpoint": f"{ISSUER}/oauth2/revoke",
            "grant_types_supported": [CIBA, "client_credentials", "refresh_token"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "offline_access", "mcp"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": [
                "client_secret_basic",
                "client_secret_post",
                "private_key_jwt",
            ],
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "introspection_endpoint_auth_methods_supported": methods,
            "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
            "revocation_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
            "signoff_withdraw_endpoint": f"{ISSUER}/ciba/withdraw",
            "signoff_outcome_endpoint": f"{ISSUER}/ciba/outcome",
            "dpop_signing_alg_values_supported": algorithms,
            "acr_values_supported": ["session"],
            "authorization_details_types_supported": ["tool_call", "payment"],
            "claims_supported": [
                *("iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "at_hash"),
            ],
            "claims_parameter_supported": False,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }
    )


async def test_every_endpoint_named_in_the_metadata_answers(provider: Provider) -> None:
    document = (await provider.http.get("/.well-known/openid-configuration")).json()
    assert (await provider.http.get(document["jwks_uri"])).status_code == 200
    for name in ("token_endpoint", "backchannel_authentication_endpoint"):
        assert (await provider.http.post(document[name])).status_code == 400


async def test_an_issuer_with_a_path_is_found_at_appended_and_inserted_addresses(
    database: Database, sealer: Sealer
) -> None:
    issuer = f"{ISSUER}/tenants/a"
    async with running_provider(database, sealer, issuer=issuer) as provider:
        answers = [
            await provider.http.get(path)
            for path in (
                "/tenants/a/.well-known/openid-configuration",
                "/tenants/a/.well-known/oauth-authorization-server",
                "/.well-known/openid-configuration/tenants/a",
                "/.well-known/oauth-authorization-server/tenants/a",
            )
        ]
        assert [answer.status_code for answer in answers] == [200] * 4
        document = answers[0].json()
        assert document["issuer"] == issuer
        assert document["token_endpoint"] == f"{issuer}/oauth2/token"
        assert (await provider.http.get(document["jwks_uri"])).status_code == 200


async def test_the_host_of_a_request_changes_no_address(provider: Provider) -> None:
    answer = await provider.http.get(
        "/.well-known/openid-configuration", headers={"Host": "evil.example"}
    )
    assert "evil" not in answer.text


async def test_the_published_keys_are_public(provider: Provider) -> None:
    response = await provider.http.get("/oauth2/jwks")
    (key,) = response.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert len(KeySet.parse(response.content)) == 1


async def _token(provider: Provider, name: str) -> str:
    auth_req_id = await provider.asked(tool_call(name))
    await provider.decide(auth_req_id)
    return (await provider.poll(auth_req_id)).json()["access_token"]


async def test_a_rotation_fails_no_verification_of_whoever_reads_the_keys_hourly(
    provider: Provider, clock: TurnedClock
) -> None:
    def holds(token: str, keys: KeySet) -> bool:
        try:
            verify_access_token(
                token, keys=keys, issuer=ISSUER, audience=f"{ISSUER}/gate", now=clock()
            )
        except TokenError:
            return False
        return True

    async def published() -> KeySet:
        return KeySet.parse((await provider.http.get("/oauth2/jwks")).content)

    old_keys = await published()
    before = await _token(provider, "before")
    await provider.keyring.rotate()
    assert key_id(await _token(provider, "published, not in use")) == key_id(before)
    read_now = await published()
    assert len(read_now) == 2
    assert holds(before, read_now)
    clock.turn(PUBLISH_AHEAD.total_seconds())
    after = await _token(provider, "after")
    assert key_id(after) != key_id(before)
    assert holds(after, read_now)
    assert not holds(after, old_keys)
    clock.turn(KEEP_AFTER_ROTATION.total_seconds() - 1)
    await provider.keyring.maintain()
    assert len(await published()) == 2
    clock.turn(1)
    await provider.keyring.maintain()
    (left,) = (await provider.http.get("/oauth2/jwks")).json()["keys"]
    assert left["kid"] == key_id(after)


async def test_a_key_is_rotated_when_it_is_old_and_not_twice(
    provider: Provider, clock: TurnedClock
) -> None:
    clock.turn(ROTATE_AFTER.total_seconds())
    await provider.keyring.maintain()
    assert len(provider.keyring.public) == 2
    await provider.keyring.maintain()
    assert len(provider.keyring.public) == 2


async def test_a_restart_finds_the_same_key_sealed_in_the_store(
    provider: Provider, database: Database, sealer: Sealer
) -> None:
    again = Keyring(SqliteKeys(database, sealer), now=database.now)
    await again.maintain()
    assert again.public.as_json() == provider.keyring.public.as_json()
    (row,) = await database.fetch_all("SELECT private FROM signing_keys")
    assert b'"d"' not in row["private"]


async def test_tokens_are_issued_while_keys_rotate(provider: Provider, clock: TurnedClock) -> None:
    async def issue(number: int) -> httpx2.Response:
        auth_req_id = await provider.asked(tool_call(f"call_{number}"))
        await provider.decide(auth_req_id)
        return await provider.poll(auth_req_id)

    async def rotate() -> None:
        for _ in range(3):
            await provider.keyring.rotate()
            clock.turn(1)

    answers, _ = await asyncio.gather(asyncio.gather(*map(issue, range(20))), rotate())
    for answer in answers:
        verify_access_token(
            answer.json()["access_token"],
            keys=provider.keyring.public,
            issuer=ISSUER,
            audience=f"{ISSUER}/gate",
            now=clock(),
        )
