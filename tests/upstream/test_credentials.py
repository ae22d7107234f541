"""Credentials of security schemes, judged by the bytes that arrive and by what people see."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from secured_upstream import SECRET, bank, key, scheme, secured, sent
from signoff.canonical import Json
from signoff.catalog.model import Credential, Upstream
from signoff.catalog.wire import Parameter, SchemeUse, Security, Server
from signoff.identity import Caller
from signoff.upstream.headers import parsed
from signoff.upstream.request import (
    AuthRequiredError,
    FrozenRequest,
    RequestError,
    UpstreamError,
)
from signoff.upstream.transport import Answered, Changed, NotSent, Transports
from upstream_parts import ENVIRONMENT, frozen, parameter, references, tool, upstream
from wire import Script, Wire, answer, listening, plain

ENCODED = "s3cret-t0ken%2F%2B"
BEARER = Credential(scheme=scheme("bearer"), kind="value", value=parsed("${env:BANK_TOKEN}"))
BASIC = Credential(
    scheme=scheme("basic"),
    kind="basic",
    username=parsed("${caller.sub}"),
    password=parsed("${env:BANK_TOKEN}"),
)
ARRIVES: list[tuple[Credential, str, tuple[str, str] | None]] = [
    (key("header", "X-Api-Key"), "/x", ("X-Api-Key", SECRET)),
    (key("query", "api_key"), f"/x?api_key={ENCODED}", None),
    (key("cookie", "sid"), "/x", ("Cookie", f"sid={SECRET}")),
    (BEARER, "/x", ("Authorization", f"Bearer {SECRET}")),
    (
        BASIC,
        "/x",
        ("Authorization", f"Basic {base64.b64encode(f'alice:{SECRET}'.encode()).decode()}"),
    ),
    (key("header", "X-Key", "pre ${caller.sub} ${env:OTHER}"), "/x",
     ("X-Key", "pre alice another-value")),
]  # fmt: skip


@pytest.mark.parametrize(("credential", "target", "header"), ARRIVES)
async def test_a_credential_stands_where_its_scheme_says(
    credential: Credential, target: str, header: Any, tmp_path: Path
) -> None:
    async with listening(plain(answer())) as wire:
        assert isinstance(await sent(bank(wire.url, credential), secured(), tmp_path), Answered)
    line, headers = wire.head()
    assert line == f"GET {target} HTTP/1.1"
    if header is not None:
        assert [pair for pair in headers if pair[0] == header[0]] == [header]


@pytest.mark.parametrize(("credential", "target", "header"), ARRIVES)
def test_people_see_its_reference_and_fingerprint_and_never_its_value(
    credential: Credential, target: str, header: Any
) -> None:
    request = frozen(secured(), {}, to=bank("https://bank.example", credential))
    details = request.details()
    everything = json.dumps(details) + repr(request) + request.to_record().decode()
    for text in (SECRET, ENCODED, "another-value", base64.b64encode(SECRET.encode()).decode()):
        assert text not in everything
    assert details["url"] == "https://bank.example/x"
    seen: Any = details.get("credentials") or [details["headers"]]
    assert "${env:" in json.dumps(seen)
    assert FrozenRequest.from_record(request.to_record()) == request
    assert header or target


async def test_credentials_join_arguments_in_query_and_cookie(tmp_path: Path) -> None:
    to = {"q": key("query", "api_key"), "c": key("cookie", "sid")}
    spec = tool(
        "/x",
        parameters=[parameter("a", "query"), parameter("theme", "cookie")],
        security=Security(credentials=("q", "c")),
    )
    async with listening(plain(answer())) as wire:
        both = upstream(wire.url, credentials=to)
        await sent(both, spec, tmp_path, {"a": 1, "theme": "dark"})
    line, headers = wire.head()
    assert line == f"GET /x?a=1&api_key={ENCODED} HTTP/1.1"
    assert [value for name, value in headers if name == "Cookie"] == [f"theme=dark; sid={SECRET}"]


async def test_what_an_upstream_echoes_of_a_credential_is_taken_out(tmp_path: Path) -> None:
    blob = base64.b64encode(f"alice:{SECRET}".encode()).decode()
    body = json.dumps({"raw": SECRET, "url": ENCODED, "basic": blob}).encode()
    for credential in (key("query", "k"), BASIC):
        async with listening(plain(answer(body=body))) as wire:
            got = await sent(bank(wire.url, credential), secured(), tmp_path)
        assert isinstance(got, Answered)
        assert SECRET.encode() not in got.body
        assert ENCODED.encode() not in got.body
        if credential is BASIC:
            assert blob.encode() not in got.body


@pytest.mark.parametrize(
    ("credential", "argument"),
    [
        (key("header", "X-Api-Key"), parameter("a", "header", name="X-Api-Key")),
        (key("header", "X-Api-Key"), parameter("a", "header", name="x_api_key")),
        (key("query", "api_key"), parameter("a", "query", name="api_key")),
        (key("query", "api_key"), parameter("a", "query", name="API_KEY")),
        (key("query", "api_key"), parameter("a", "querystring")),
        (key("cookie", "sid"), parameter("a", "cookie", name="sid")),
        (BEARER, parameter("a", "header", name="Authorization")),
    ],
)
def test_an_argument_never_sets_what_a_credential_sets(
    credential: Credential, argument: Parameter
) -> None:
    spec = secured(parameters=[argument])
    with pytest.raises(RequestError, match=r"^a: "):
        frozen(spec, {"a": "mine"}, to=bank("https://bank.example", credential))


def test_an_object_that_explodes_never_sets_what_a_credential_sets() -> None:
    spec = secured(parameters=[parameter("a", "query")])
    with pytest.raises(RequestError, match="may not set"):
        frozen(spec, {"a": {"api_key": "x"}}, to=bank("https://b.example", key("query", "api_key")))


def test_what_looks_like_a_reference_is_sent_as_it_is() -> None:
    spec = tool("/x", parameters=[parameter("a", "query")])
    assert frozen(spec, {"a": "${env:BANK_TOKEN}"}).url.endswith("a=%24%7Benv%3ABANK_TOKEN%7D")


def test_a_requirement_that_nobody_meets_says_which_and_sends_nothing() -> None:
    missing = (SchemeUse(scheme="oauth", scopes=("read", "write")), SchemeUse(scheme="key"))
    with pytest.raises(AuthRequiredError, match=r"auth_required: .*oauth \(scopes: read, write\)"):
        frozen(tool("/x", security=Security(missing=missing)))


@pytest.mark.parametrize(
    "to",
    [
        upstream(),
        upstream(credentials={"main": key("header", "X", "${env:NOT_SET}")}),
        upstream(credentials={"main": Credential(scheme=scheme("mutual_tls"), kind="value")}),
        upstream(credentials={"main": BEARER}, headers={"Authorization": "x"}),
        upstream(credentials={"main": key("header", "X_Trace")}, headers={"X-Trace": "x"}),
        upstream(credentials={"main": key("cookie", "s")}, headers={"Cookie": "${env:OTHER}"}),
    ],
)
def test_credentials_that_cannot_be_sent_stop_the_call(to: Upstream) -> None:
    with pytest.raises(UpstreamError):
        frozen(secured(), {}, to=to)


def test_two_credentials_never_share_one_place() -> None:
    spec = tool("/x", security=Security(credentials=("a", "b")))
    to = upstream(credentials={"a": key("header", "X-Key"), "b": key("header", "x_key")})
    with pytest.raises(UpstreamError, match="would both be"):
        frozen(spec, {}, to=to)


def test_a_person_without_a_name_has_no_credential_by_name() -> None:
    machine = Caller(kind="oauth", issuer="i", client_id="m")
    with pytest.raises(UpstreamError, match="has no sub"):
        frozen(secured(), {}, to=bank("https://b.example", BASIC), caller=machine)


async def test_problems_are_all_listed_before_anything_starts(tmp_path: Path) -> None:
    to = upstream(
        headers={"X-Key": "x"},
        credentials={
            "clash": key("header", "X_Key"),
            "framing": key("header", "Host"),
            "unset": key("query", "k", "${env:NOT_SET}"),
            "cert": Credential(scheme=scheme("mutual_tls"), kind="value"),
            "fine": BEARER,
        },
    )
    with pytest.raises(UpstreamError) as caught:
        async with Transports([to], data_dir=tmp_path, references=references()):
            pass
    lines = str(caught.value).split("\n")
    assert [line.split(":")[0].rpartition(".")[2] for line in lines] == [
        "clash",
        "framing",
        "unset",
        "cert",
    ]


@pytest.mark.parametrize("credential", [BEARER, BASIC, key("query", "k"), key("cookie", "c")])
async def test_a_credential_that_changed_since_the_approval_is_refused(
    credential: Credential, tmp_path: Path
) -> None:
    async with listening(plain(answer())) as wire:
        to = bank(wire.url, credential)
        later = references({**ENVIRONMENT, "BANK_TOKEN": "rotated-token"})
        async with Transports([to], data_dir=tmp_path, references=later) as transports:
            got = await transports.send(frozen(secured(), {}, to=to), to, fresh=True)
    assert got == Changed(reason="a credential changed since the approval")
    assert wire.requests == []


async def test_a_credential_that_is_gone_since_the_approval_is_refused(tmp_path: Path) -> None:
    async with listening(plain(answer())) as wire:
        request = frozen(secured(), {}, to=bank(wire.url, BEARER))
        other = upstream(wire.url)
        async with Transports([other], data_dir=tmp_path, references=references()) as transports:
            got = await transports.send(request, other, fresh=True)
    assert isinstance(got, Changed)
    assert wire.requests == []


async def test_credentials_stay_with_their_own_host(tmp_path: Path) -> None:
    async with listening(plain(answer())) as other, listening(plain(answer())) as own:
        to = bank(own.url, key("query", "k"), allow_private=("127.0.0.0/8",))
        spec = secured(server=Server(url=other.url))
        await sent(to, spec, tmp_path)
    assert own.requests == []
    assert other.head()[0] == "GET /x HTTP/1.1"


async def test_the_approval_token_may_be_a_credential(tmp_path: Path) -> None:
    bearer = Credential(scheme=scheme("bearer"), kind="value", value=parsed("${approval.token}"))
    async with listening(plain(answer())) as wire:
        to = bank(wire.url, bearer)
        assert isinstance(await sent(to, secured(), tmp_path), NotSent)
        await sent(to, secured(), tmp_path, approval_token=SecretStr("eyJ-token"))
    assert dict(wire.head()[1])["Authorization"] == "Bearer eyJ-token"
    assert len(wire.requests) == 1


async def test_a_username_never_reaches_into_the_password(tmp_path: Path) -> None:
    async with listening(plain(answer())) as wire:
        to = bank(wire.url, replace(BASIC, username=parsed("alice:x")))
        assert isinstance(await sent(to, secured(), tmp_path), NotSent)
    assert wire.requests == []


def token_answer(**members: Json) -> bytes:
    return answer(body=json.dumps({"access_token": "tok-1", **members}).encode())


@asynccontextmanager
async def token_endpoint(script: Script) -> AsyncGenerator[tuple[Wire, Credential], None]:
    async with listening(script) as wire:
        yield (
            wire,
            Credential(
                scheme=scheme("oauth2"),
                kind="client_credentials",
                client_id=parsed("me:you"),
                client_secret=parsed("${env:BANK_TOKEN}"),
                token_url=f"{wire.url}/token?tenant=1",
                scopes=("a", "b c"),
                audience="https://api",
            ),
        )


async def test_a_token_is_fetched_once_and_shared_by_all_who_wait(tmp_path: Path) -> None:
    script = plain(token_answer(expires_in=3600, token_type="Bearer"))
    async with token_endpoint(script) as (tokens, credential), listening(plain(answer())) as api:
        to = bank(api.url, credential)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            request = frozen(secured(), {}, to=to)
            await asyncio.gather(*(transports.send(request, to, fresh=False) for _ in range(8)))
    assert len(api.requests) == 8
    assert all(b"Authorization: Bearer tok-1\r\n" in request for request in api.requests)
    assert len(tokens.requests) == 1
    line, headers = tokens.head()
    assert line == "POST /token?tenant=1 HTTP/1.1"
    pair = base64.b64encode(b"me%3Ayou:s3cret-t0ken%2F%2B").decode()
    assert dict(headers)["Authorization"] == f"Basic {pair}"
    assert tokens.body() == (
        b"grant_type=client_credentials&scope=a+b+c&audience=https%3A%2F%2Fapi"
    )


async def test_a_token_the_upstream_refuses_or_that_is_old_is_fetched_anew(tmp_path: Path) -> None:
    async def unauthorized(writer: asyncio.StreamWriter) -> None:
        writer.write(answer("401 No"))
        await writer.drain()

    for script, expires_in in ((unauthorized, 3600), (plain(answer()), 10)):
        async with (
            token_endpoint(plain(token_answer(expires_in=expires_in))) as (tokens, credential),
            listening(script) as api,
        ):
            to = bank(api.url, credential)
            async with Transports([to], data_dir=tmp_path, references=references()) as transports:
                for _ in range(2):
                    await transports.send(frozen(secured(), {}, to=to), to, fresh=False)
        assert len(tokens.requests) == 2


@pytest.mark.parametrize(
    "content",
    [
        answer("401 No", b'{"error":"invalid_client","secret":"leak"}'),
        answer("302 Found", b"", "text/plain", "Location: http://127.0.0.1:1/"),
        answer("200 OK", b"<html>"),
        answer("200 OK", b"[]"),
        answer("200 OK", b"{}"),
        token_answer(access_token=""),
        token_answer(access_token=5),
        token_answer(access_token="a\r\nX: y"),
        token_answer(token_type="mac"),
        answer("200 OK", b'{"access_token":"' + b"x" * 70_000 + b'"}'),
        b"garbage\r\n\r\n",
    ],
)
async def test_an_endpoint_that_gives_no_token_means_nothing_is_sent(
    content: bytes, tmp_path: Path
) -> None:
    async with (
        token_endpoint(plain(content)) as (tokens, credential),
        listening(plain(answer())) as api,
    ):
        got = await sent(bank(api.url, credential), secured(), tmp_path)
    assert isinstance(got, NotSent)
    assert "token endpoint" in got.reason
    assert "leak" not in got.reason
    assert api.requests == []
    assert len(tokens.requests) == 1  # and it was not tried again
