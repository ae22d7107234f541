"""The server's own OpenAPI document: every endpoint stands in it, and nothing else."""

import json
from typing import Any, cast

from as_parts import ISSUER
from host_house import HostHouse, host_house
from signoff.oauth.openapi import openapi
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

OURS_ALONE = {"/ciba/withdraw", "/ciba/outcome", "/openapi.json"}
"""The gate's own endpoints, and the document itself."""
ALIASES = {"/oauth/token", "/bc-authorize"}
PAGES = (
    *("/", "/approvals", "/applications", "/login", "/logout", "/static", "/device"),
    "/oauth2/authorize/decision",
)


async def document(house: HostHouse) -> dict[str, Any]:
    answer = await house.http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def test_every_endpoint_is_described_and_every_description_is_one(
    house: HostHouse,
) -> None:
    described = {
        (path, method.upper())
        for path, item in (await document(house))["paths"].items()
        for method in item
    }
    served = {
        (path, method)
        for path, methods in house.routes
        for method in methods - {"HEAD"}
        if path not in OURS_ALONE | ALIASES and not _is_page(path)
    }
    assert described == served


def _is_page(path: str) -> bool:
    return any(path == page or path.startswith(f"{page}/") for page in PAGES)


async def test_every_reference_leads_somewhere(house: HostHouse) -> None:
    whole = await document(house)

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            if "$ref" in members:
                found: Any = whole
                for part in str(members["$ref"]).removeprefix("#/").split("/"):
                    found = found[part]
            for member in members.values():
                walk(member)
        elif isinstance(value, list):
            for item in cast("list[Any]", value):
                walk(item)

    walk(whole)
    assert whole["servers"] == [{"url": ISSUER}]
    assert "secret" not in json.dumps(whole["info"])


async def test_what_is_switched_off_is_not_described(database: Database, sealer: Sealer) -> None:
    async with host_house(database, sealer, registration=False) as house:
        assert not [path for path in (await document(house))["paths"] if "register" in path]
        assert openapi(house.profile) == await document(house)


async def test_a_refusal_looks_as_described(house: HostHouse) -> None:
    for path, item in (await document(house))["paths"].items():
        for method, operation in item.items():
            if method == "get" and "401" not in operation["responses"]:
                continue
            answer = await house.http.request(method.upper(), path.replace("{client_id}", "x"))
            assert str(answer.status_code) in operation["responses"], (path, method)
            described = operation["responses"][str(answer.status_code)]
            if "text/html" in described.get("content", {}):
                assert answer.headers["content-type"] == "text/html; charset=utf-8"
            else:
                assert set(answer.json()) == {"error", "error_description"}
