"""Reads of several pages through the gate, with a real upstream that counts what arrives."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from gate_house import Bank, House, house
from gate_parts import ALICE, INFO, READ, catalogue
from signoff.catalog.model import HeaderTemplate, Policy, PolicyRule, ToolSpec
from signoff.catalog.wire import FetchAll, Pagination, Parameter
from signoff.gate.answers import Answer, Finished, Waiting
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.upstream.headers import parsed
from wire import Wire, answer, listening, plain

PLAN = Pagination(
    kind="page",
    argument="page",
    items=("items",),
    first=1,
    fetch=FetchAll(max_pages=4, max_items=100, max_time_s=20),
)
LIST = replace(
    READ,
    name="list_things",
    path="/things",
    input_schema={
        "type": "object",
        "properties": {"page": {"type": "integer", "maximum": 50}, "q": {"type": "string"}},
    },
    parameters=tuple(
        Parameter(argument=one, name=one, place="query", style="form", explode=True)
        for one in ("page", "q")
    ),
    pagination=PLAN,
)
Answers = Callable[[dict[str, str]], bytes]


def things(query: dict[str, str], last: int = 3) -> bytes:
    number = int(query.get("page", "1"))
    items = [{"id": number * 10 + at} for at in range(2)] if number <= last else []
    return answer(body=json.dumps({"items": items}).encode())


@asynccontextmanager
async def served(
    database: Database,
    folder: Path,
    answers: Answers,
    *,
    tool: ToolSpec = LIST,
    policy: Policy | None = None,
    timeout_s: float = 10.0,
) -> AsyncGenerator[tuple[House, Wire]]:
    async def script(writer: asyncio.StreamWriter) -> None:
        target = wire.requests[-1].split(b" ", 2)[1].decode()
        writer.write(answers(dict(parse_qsl(urlsplit(target).query))))
        await writer.drain()

    async with listening(script) as wire:
        made = catalogue(base_url=wire.url, tools=(tool,), policy=policy, timeout_s=timeout_s)
        header = HeaderTemplate(name="Authorization", parts=parsed("Bearer ${env:BANK_TOKEN}"))
        bank = replace(made.upstreams["bank"], headers=(header,))
        made = replace(made, upstreams={"bank": bank})
        async with house(
            database, Bank(), data_dir=folder, sealer=Sealer(b"k" * 32), served=made
        ) as home:
            yield home, wire


async def read(home: House, **arguments: Any) -> Answer:
    return await home.gate.call(ALICE, INFO, "list_things", arguments)


def told(given: Answer) -> tuple[Any, dict[str, Any], str]:
    assert isinstance(given, Finished), given
    assert not given.result.is_error
    result = given.result
    return result.structured, dict(result.meta), str(result.content[-1]["text"])


def asked(wire: Wire) -> list[str]:
    return [request.split(b" ", 2)[1].decode() for request in wire.requests]


async def test_one_call_reads_every_page(database: Database, tmp_path: Path) -> None:
    async with served(database, tmp_path, things) as (home, wire):
        structured, meta, note = told(await read(home, q="x y"))
    assert [one["id"] for one in structured["items"]] == [10, 11, 20, 21, 30, 31]
    assert meta == {"pages": 4, "items": 6, "complete": True}
    assert note == "4 pages were read, 6 items: that is all there is."
    assert asked(wire) == [
        "/things?q=x%20y",
        "/things?page=2&q=x%20y",
        "/things?page=3&q=x%20y",
        "/things?page=4&q=x%20y",
    ]
    for request in wire.requests:
        assert b"Authorization: Bearer bank-token\r\n" in request


async def test_how_far_it_is_is_reported(database: Database, tmp_path: Path) -> None:
    said: list[str] = []
    async with served(database, tmp_path, things) as (home, _):
        await home.gate.call(ALICE, INFO, "list_things", {}, report=said.append)
    assert said == [
        "1 page read, 2 items so far",
        "2 pages read, 4 items so far",
        "3 pages read, 6 items so far",
    ]


async def test_pages_stop_at_their_limit_and_the_rest_can_be_asked_for(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path, lambda query: things(query, last=6)) as (home, wire):
        _, meta, _ = told(await read(home))
        assert meta["nextPage"] == {"page": 5}
        structured, meta, _ = told(await read(home, **meta["nextPage"]))
    assert [one["id"] for one in structured["items"]] == [50, 51, 60, 61]
    assert meta["complete"] is True
    assert len(wire.requests) == 4 + 3


async def test_a_page_that_the_schema_does_not_take_is_not_asked_for(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path, lambda query: things(query, last=99)) as (home, wire):
        _, meta, note = told(await read(home, page=49))
    assert asked(wire) == ["/things?page=49", "/things?page=50"]
    assert meta["complete"] is False
    assert "is no argument of this tool" in note


async def test_what_was_read_is_kept_when_a_page_fails(database: Database, tmp_path: Path) -> None:
    def answers(query: dict[str, str]) -> bytes:
        return answer("500 Oops", b"{}") if query.get("page") == "3" else things(query)

    async with served(database, tmp_path, answers) as (home, wire):
        structured, meta, note = told(await read(home))
    assert len(structured["items"]) == 4
    assert meta == {"pages": 2, "items": 4, "complete": False, "nextPage": {"page": 3}}
    assert "HTTP 500" in note
    assert len(wire.requests) == 3


async def test_a_first_page_that_fails_is_an_error_as_ever(
    database: Database, tmp_path: Path
) -> None:
    async with served(database, tmp_path, lambda _: answer("500 Oops", b"{}")) as (home, wire):
        given = await read(home)
    assert isinstance(given, Finished)
    assert given.result.is_error
    assert len(wire.requests) == 1


async def test_an_api_that_never_answers_a_page_costs_its_time_and_no_more(
    database: Database, tmp_path: Path
) -> None:
    plan = replace(PLAN, fetch=FetchAll(max_time_s=0.5))

    def answers(query: dict[str, str]) -> bytes:
        return b"" if query.get("page") == "2" else things(query)

    tool = replace(LIST, pagination=plan)
    async with served(database, tmp_path, answers, tool=tool) as (home, _):
        structured, meta, note = told(await read(home))
    assert len(structured["items"]) == 2
    assert meta == {"pages": 1, "items": 2, "complete": False, "nextPage": {"page": 2}}
    assert "the time for one call, 0.5 s, is over" in note


@pytest.mark.parametrize("host", ["169.254.169.254", "localhost", "evil.example"])
async def test_a_link_to_another_host_is_never_called(
    host: str, database: Database, tmp_path: Path
) -> None:
    async with listening(plain(things({}))) as other:
        link = f'Link: <http://{host}:{other.port}/things?page=2>; rel="next"'
        tool = replace(LIST, pagination=replace(PLAN, kind="link"))
        first = answer("200 OK", b'{"items":[1]}', "application/json", link)
        async with served(database, tmp_path, lambda _: first, tool=tool) as (home, wire):
            structured, meta, note = told(await read(home))
    assert structured == {"items": [1]}
    assert (len(wire.requests), other.connections) == (1, 0)
    assert meta["complete"] is False
    assert host in note


async def test_a_link_leads_to_no_other_path(database: Database, tmp_path: Path) -> None:
    tool = replace(LIST, pagination=replace(PLAN, kind="link"))

    def answers(query: dict[str, str]) -> bytes:
        link = 'Link: </admin/secrets?page=2&admin=1>; rel="next"'
        more = (link,) if "page" not in query else ()
        return answer("200 OK", b'{"items":[1]}', "application/json", *more)

    async with served(database, tmp_path, answers, tool=tool) as (home, wire):
        await read(home)
    assert asked(wire) == ["/things", "/things?page=2"]


async def test_a_call_that_a_person_is_asked_about_reads_one_page(
    database: Database, tmp_path: Path
) -> None:
    policy = Policy(rules=(PolicyRule(id="ask", effect="ask", capability="list_things"),))
    async with served(database, tmp_path, things, policy=policy) as (home, wire):
        waiting = await read(home)
        assert isinstance(waiting, Waiting)
        await home.decide(waiting.call)
        finished = await home.finished(waiting.call)
    assert asked(wire) == ["/things"]
    assert finished.result.meta == {"nextPage": {"page": 2}}


async def test_an_allowed_change_is_never_more_than_one_request(
    database: Database, tmp_path: Path
) -> None:
    tool = replace(LIST, method="POST", read_only=False)
    policy = Policy(defaults={"POST": "allow"})
    async with served(database, tmp_path, things, tool=tool, policy=policy) as (home, wire):
        told(await read(home))
    assert len(wire.requests) == 1
