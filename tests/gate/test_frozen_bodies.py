"""Files and credentials of a spec through the gate: what the card tells is what is sent."""

import base64
import json
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gate_house import Bank, House, house
from gate_parts import ALICE, INFO, PAY, READ, catalogue
from signoff.canonical import sha256_hex
from signoff.catalog.model import Catalogue, Credential
from signoff.catalog.wire import Body, Encoding, SchemeUse, Security, SecurityScheme
from signoff.gate.answers import Refused, Waiting
from signoff.gate.call import State
from signoff.gate.opening import audience_of
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.upstream.headers import parsed

CONTENT = b"\x89PNG\x00\xff"
KEY = Credential(
    scheme=SecurityScheme(name="key", kind="api_key", carrier="query", key="api_key"),
    kind="value",
    value=parsed("${env:BANK_TOKEN}"),
)
UPLOAD = replace(
    PAY,
    name="upload",
    path="/files",
    input_schema={"type": "object"},
    body=Body(
        kind="members",
        required=True,
        format="multipart",
        content_type="multipart/form-data",
        members={"file": "file", "note": "note", "pin": "pin"},
        encodings={"file": Encoding(is_file=True)},
        secrets=frozenset({("pin",)}),
    ),
    approval=replace(PAY.approval, title=None),
    security=Security(credentials=("key",)),
)
NEEDY = replace(
    READ,
    name="needy",
    path="/x",
    parameters=(),
    input_schema={"type": "object"},
    security=Security(missing=(SchemeUse(scheme="oauth", scopes=("read",)),)),
)


@pytest.fixture
def served(bank: Bank) -> Catalogue:
    made = catalogue(base_url=bank.base_url, tools=(UPLOAD, NEEDY))
    upstreams = {
        name: replace(one, credentials={"key": KEY}) for name, one in made.upstreams.items()
    }
    return replace(made, upstreams=upstreams)


@pytest.fixture
def opened(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer, served: Catalogue
) -> AbstractAsyncContextManager[House]:
    return house(database, bank, data_dir=tmp_path, sealer=sealer, served=served)


async def test_an_approved_file_is_sent_as_its_card_describes_it(
    opened: AbstractAsyncContextManager[House],
) -> None:
    data = base64.b64encode(CONTENT).decode()
    arguments: dict[str, Any] = {"file": {"data": data, "filename": "a.png"}, "note": "hi"}
    async with opened as home:
        answer = await home.gate.call(ALICE, INFO, "upload", arguments, said=None)
        assert isinstance(answer, Waiting)
        request: Any = (await home.card(answer.call)).authorization_details[0]["request"]
        await home.decide(answer.call)
        finished = await home.finished(answer.call)
    assert finished.call is not None
    assert finished.call.state is State.SUCCEEDED, finished.call.note
    (body,) = home.bank.bodies
    assert request["body"] is None
    assert request["body_sha256"] == sha256_hex(body)
    assert request["parts"] == [
        {
            "name": "file",
            "filename": "a.png",
            "media_type": "application/octet-stream",
            "bytes": len(CONTENT),
            "sha256": sha256_hex(CONTENT),
            "text": None,
        },
        {
            "name": "note",
            "filename": None,
            "media_type": "text/plain",
            "bytes": 2,
            "sha256": sha256_hex(b"hi"),
            "text": "hi",
        },
    ]
    assert CONTENT in body
    assert request["url"] == f"{home.bank.base_url}/files"
    assert [(one["in"], one["reference"]) for one in request["credentials"]] == [
        ("query", "${env:BANK_TOKEN}")
    ]
    assert home.bank.heads[0].startswith("POST /files?api_key=bank-token HTTP/1.1\r\n")


async def test_a_masked_part_is_sent_and_stands_nowhere_in_clear(
    opened: AbstractAsyncContextManager[House],
) -> None:
    arguments: dict[str, Any] = {"note": "hi", "pin": "canary-1234"}
    async with opened as home:
        answer = await home.gate.call(ALICE, INFO, "upload", arguments, said=None)
        assert isinstance(answer, Waiting)
        shown = json.dumps((await home.card(answer.call)).authorization_details[0])
        await home.decide(answer.call)
        finished = await home.finished(answer.call)
        files = home.database.path.parent.glob("signoff.db*")
        assert b"canary" not in b"".join(path.read_bytes() for path in files)
    assert finished.call is not None
    assert finished.call.state is State.SUCCEEDED, finished.call.note
    assert b"canary-1234" in home.bank.bodies[0]
    for hidden in ("canary", "bank-token", sha256_hex(b"canary-1234"), sha256_hex(b"")):
        assert hidden not in shown
    assert sha256_hex(home.bank.bodies[0]) not in shown


async def test_a_credential_nobody_set_is_named_and_nothing_is_sent(
    opened: AbstractAsyncContextManager[House],
) -> None:
    async with opened as home:
        answer = await home.gate.call(ALICE, INFO, "needy", {}, said=None)
    assert isinstance(answer, Refused)
    assert answer.code == "auth_required"
    assert "oauth (scopes: read)" in answer.message
    assert home.bank.heads == []


def test_an_approval_token_that_is_a_credential_is_for_the_upstream(served: Catalogue) -> None:
    seen = replace(served.upstreams["bank"], audience="https://bank.example/api")
    assert audience_of(seen, "http://localhost:8420/") == "http://localhost:8420/gate"
    token = replace(KEY, value=parsed("Bearer ${approval.token}"))
    assert audience_of(replace(seen, credentials={"t": token}), "x") == "https://bank.example/api"
