"""The endpoints of people and admins in the OpenAPI document: all of them, as they are."""

from collections.abc import AsyncGenerator
from typing import Any, cast

import jsonschema_rs
import pytest

from as_parts import ISSUER, Provider, basic
from signed_in import Site, site
from signoff.oauth.openapi import openapi
from signoff.web.described import described
from signoff.web.machine_clients import SCOPE


@pytest.fixture
async def here(provider: Provider) -> AsyncGenerator[Site, None]:
    async with site(provider) as running:
        yield running


@pytest.fixture
async def manager(provider: Provider) -> dict[str, str]:
    client = await provider.other_client(scopes=[SCOPE], audiences=[f"{ISSUER}/m2m"])
    form = {"grant_type": "client_credentials"}
    answer = await provider.post("/oauth2/token", form, auth=basic(client))
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    paths = cast("dict[str, dict[str, dict[str, Any]]]", described().paths)
    return {
        (path, method.upper()): operation
        for path, item in paths.items()
        for method, operation in item.items()
    }


def test_every_endpoint_is_described_and_every_description_is_one(here: Site) -> None:
    served = {
        (route.path, method)
        for route in here.routes
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert set(operations()) == served


def test_it_joins_the_document_of_the_authorization_server(provider: Provider) -> None:
    whole = cast("dict[str, Any]", openapi(provider.profile, described()))
    alone = cast("dict[str, Any]", openapi(provider.profile))
    assert set(whole["paths"]) == {*alone["paths"], *described().paths}
    schemes = whole["components"]["securitySchemes"]
    for operation in operations().values():
        for needed in operation["security"]:
            assert set(needed) <= set(schemes)
    assert set(alone["components"]["securitySchemes"]) == {"client", "registration"}


async def test_a_stranger_is_refused_as_described(here: Site) -> None:
    for (path, method), operation in operations().items():
        answer = await here.http.request(method, path.replace("{id}", "x"), json={})
        assert str(answer.status_code) in operation["responses"], (path, method)
        assert set(answer.json()) == {"error", "error_description"}


def fits(value: Any, path: str, method: str, status: int) -> None:
    content = operations()[path, method]["responses"][str(status)]["content"]
    jsonschema_rs.validate(content["application/json"]["schema"], value)


async def test_every_answer_has_the_members_that_are_described_and_no_other(
    here: Site, manager: dict[str, str]
) -> None:
    made: dict[str, Any] = {
        "/m2m/clients": {"name": "Job", "expiresIn": 3, "metadata": {"a": 1}},
        "/m2m/hosts": {"name": "Host", "redirectUris": ["http://127.0.0.1/"]},
    }
    for collection, body in made.items():
        one = f"{collection}/{{id}}"
        answer = await here.http.post(collection, json=body, headers=manager)
        fits(answer.json(), collection, "POST", 201)
        schema = operations()[collection, "POST"]["responses"]["201"]["content"]
        named = set(schema["application/json"]["schema"]["properties"])
        assert set(answer.json()) <= named
        fits((await here.http.get(collection, headers=manager)).json(), collection, "GET", 200)
        path = f"{collection}/{answer.json()['id']}"
        fits((await here.http.get(path, headers=manager)).json(), one, "GET", 200)
        if collection == "/m2m/clients":
            changed = await here.http.put(path, json={"disabled": False}, headers=manager)
            fits(changed.json(), one, "PUT", 200)
            rotated = await here.http.post(f"{path}/rotate", json={}, headers=manager)
            fits(rotated.json(), f"{one}/rotate", "POST", 200)
        fits((await here.http.delete(path, headers=manager)).json(), one, "DELETE", 200)


async def test_a_body_has_the_members_that_are_described_and_no_other(
    here: Site, manager: dict[str, str]
) -> None:
    for (path, method), operation in operations().items():
        if "requestBody" not in operation or path.startswith("/ciba/"):
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        target = path.replace("{id}", "x")
        if "{id}" in path:
            client = await here.http.post("/m2m/clients", json={"name": "Job"}, headers=manager)
            target = path.replace("{id}", client.json()["id"])
        answer = await here.http.request(method, target, json={"more": 1}, headers=manager)
        known = ", ".join(sorted(schema["properties"]))
        assert answer.json()["error_description"] == f"the members are {known}"
