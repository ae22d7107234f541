"""schemathesis, unmodified, over the OpenAPI document that the running server serves of itself."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest

from e2e_parts import launching
from harness import Server, catalogue
from interop_parts import python

PROGRAM = ("schemathesis_program.py", "schemathesis==4.32.5")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server, None]:
    async with launching(tmp_path) as start:
        yield await start(catalogue(None))


async def test_no_request_that_the_document_allows_or_forbids_upsets_the_server(
    server: Server,
) -> None:
    made = json.loads(
        await server.command(
            *("clients", "create", "fuzz", "--json", "--scope", "payments"),
            *("--grant", "ciba", "--grant", "client_credentials"),
        )
    )
    known = {"CLIENT_ID": made["client_id"], "CLIENT_SECRET": made["client_secret"]}
    ran = await python(*PROGRAM, ISSUER=server.url, **known)
    assert ran["failures"] == ""
    assert ran["generated"] == ran["passed"] > 300


@pytest.mark.seed("C10")
async def test_no_request_of_who_manages_clients_upsets_the_server(server: Server) -> None:
    made = json.loads(
        await server.command(
            *("clients", "create", "manager", "--json", "--scope", "signoff:clients"),
            *("--audience", f"{server.url}/m2m"),
        )
    )
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(
            f"{server.url}/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(made["client_id"], made["client_secret"]),
        )
    ran = await python(*PROGRAM, ISSUER=server.url, BEARER=answer.json()["access_token"])
    assert ran["failures"] == ""
    assert ran["generated"] == ran["passed"] > 300
