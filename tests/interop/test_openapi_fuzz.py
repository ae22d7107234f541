"""schemathesis, unmodified, over the OpenAPI document that the running server serves of itself."""

import json
from pathlib import Path

from e2e_parts import launching
from harness import catalogue
from interop_parts import python


async def test_no_request_that_the_document_allows_or_forbids_upsets_the_server(
    tmp_path: Path,
) -> None:
    async with launching(tmp_path) as start:
        server = await start(catalogue(None))
        made = json.loads(
            await server.command(
                *("clients", "create", "fuzz", "--json", "--scope", "payments"),
                *("--grant", "ciba", "--grant", "client_credentials"),
            )
        )
        ran = await python(
            "schemathesis_program.py",
            "schemathesis==4.32.5",
            ISSUER=server.url,
            CLIENT_ID=made["client_id"],
            CLIENT_SECRET=made["client_secret"],
        )
    assert ran["failures"] == ""
    assert ran["generated"] == ran["passed"] > 300
