"""Calls that go past the SDK: they answer as it does, and only where it would let them in."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from mcp_parts import LEGACY, MODERN, TOKEN, Signoff, client, running
from signoff.assistant import direct
from signoff.catalog.model import Policy, PolicyRule

OLD = "2025-11-25"
EVENTS = "text/event-stream"
JSON = "application/json"
ARGUMENTS = {"account": "savings"}
INFO = {"name": "host", "version": "1"}


class Raw:
    """A client of one era that writes its own envelopes."""

    def __init__(self, signoff: Signoff, http: httpx2.AsyncClient, era: str) -> None:
        self.signoff, self.http, self.era = signoff, http, era
        self.headers = {"authorization": f"Bearer {TOKEN}", "accept": f"{JSON}, {EVENTS}"}
        self.meta: dict[str, Any] = {}
        if era == MODERN:
            self.headers |= {"mcp-protocol-version": MODERN, "mcp-method": "tools/call"}
            prefix = "io.modelcontextprotocol"
            self.meta = {
                f"{prefix}/protocolVersion": MODERN,
                f"{prefix}/clientCapabilities": {},
                f"{prefix}/clientInfo": INFO,
            }

    async def open(self) -> None:
        if self.era == MODERN:
            return
        hello = {"protocolVersion": OLD, "capabilities": {}, "clientInfo": INFO}
        answer = await self.post({"id": 0, "method": "initialize", "params": hello})
        self.headers |= {
            "mcp-session-id": answer.headers["mcp-session-id"],
            "mcp-protocol-version": OLD,
        }
        await self.post({"method": "notifications/initialized"})

    async def post(self, message: Mapping[str, Any], **headers: str) -> httpx2.Response:
        return await self.http.post(
            self.signoff.url,
            content=json.dumps({"jsonrpc": "2.0", **message}),
            headers={"content-type": JSON, **self.headers, **headers},
        )

    async def call(
        self,
        arguments: Mapping[str, Any] | None = None,
        *,
        name: str = "balance",
        number: Any = 1,
        meta: Mapping[str, Any] | None = None,
        **headers: str,
    ) -> httpx2.Response:
        params: dict[str, Any] = {"name": name, "arguments": arguments or ARGUMENTS}
        whole = {**self.meta, **(meta or {})}
        if whole:
            params["_meta"] = whole
        named = {"mcp-name": name} if self.era == MODERN else {}
        message = {"id": number, "method": "tools/call", "params": params}
        return await self.post(message, **{**named, **headers})


def said(response: httpx2.Response) -> Any:
    """Return the message in an answer, whichever way it came."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"].startswith(JSON):
        return response.json()
    lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
    return json.loads(lines[-1].removeprefix("data: "))


def is_direct(response: httpx2.Response) -> bool:
    """Tell by the form: in the legacy era the SDK answers with a stream of events."""
    return response.headers["content-type"] == JSON


@asynccontextmanager
async def raw(tmp_path: Path, era: str, **more: Any) -> AsyncGenerator[Raw]:
    async with (
        running(tmp_path, **more) as signoff,
        httpx2.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        made = Raw(signoff, http, era)
        await made.open()
        yield made


ANSWERS: dict[str, Any] = {
    "an object": {"account": "savings", "cents": 2**53 + 1, "text": "ä€𝄞", "gone": None},
    "drift": {"other": [1, 2.5, 1e300]},
    "a list": [1, {"a": None}],
    "a huge number": {"account": "x", "n": 2**70},
    "a text": "only words",
}


@pytest.mark.parametrize("era", [LEGACY, MODERN])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
async def test_the_answer_is_the_sdks_own(tmp_path: Path, era: str, answer: Any) -> None:
    async with raw(tmp_path, era) as host:
        host.signoff.bank.balance = lambda _: answer
        first = said(await host.call(number="one"))
        second = said(await host.call(number="one"))
        asked = said(await host.call(number="one", meta={"progressToken": 7}))
    assert first == second == asked
    assert first["result"]["content"]


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_arguments_that_do_not_fit_are_refused_in_the_same_words(
    tmp_path: Path, era: str
) -> None:
    async with raw(tmp_path, era) as host:
        await host.call()
        wrong = said(await host.call({"account": 5}))
        told = said(await host.call({"account": 5}, meta={"progressToken": 7}))
        assert wrong == told
        assert wrong["result"]["isError"] is True
        assert len(host.signoff.bank.headers) == 1


async def test_only_what_the_sdk_let_through_before_goes_past_it(tmp_path: Path) -> None:
    async with raw(tmp_path, LEGACY) as host:
        assert not is_direct(await host.call())
        assert is_direct(await host.call())
        assert is_direct(await host.call({"account": "other"}, number="two"))
        assert not is_direct(await host.call(meta={"progressToken": 1}))
        assert not is_direct(await host.call(meta={"progressToken": 1}))
        assert not is_direct(await host.call(meta={"anything": "else"}))
        assert not is_direct(await host.call(accept=f"{EVENTS}, {JSON}"))
        assert not is_direct(await host.call(meta={"traceparent": "00-1-2-01"}))
        assert is_direct(await host.call(meta={"traceparent": "00-1-3-01"}))


async def test_after_a_while_the_sdk_judges_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "_FOR_S", 0.0)
    async with raw(tmp_path, LEGACY) as host:
        for _ in range(3):
            assert not is_direct(await host.call())


@pytest.mark.parametrize("remembered", [1, 2])
async def test_no_more_is_remembered_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    monkeypatch.setattr(direct, "_REMEMBERED", remembered)
    async with raw(tmp_path, LEGACY) as host:
        for one in range(3):
            await host.call(meta={"n": one})
        found = [is_direct(await host.call(meta={"n": one})) for one in (2, 1, 0)]
    assert found[0]
    assert not found[2]


async def test_an_envelope_too_large_to_be_remembered_is_judged_each_time(tmp_path: Path) -> None:
    async with raw(tmp_path, LEGACY) as host:
        for _ in range(2):
            assert not is_direct(await host.call(meta={"filler": "x" * 8_192}))
            assert not is_direct(await host.call(filler="x" * 8_192))
            said(await host.call(name="x" * 8_192))
        await host.call()
        assert is_direct(await host.call({"account": "x" * 8_192}))


async def test_a_session_that_ended_takes_no_more_calls(tmp_path: Path) -> None:
    async with raw(tmp_path, LEGACY) as host:
        await host.call()
        assert is_direct(await host.call())
        ended = await host.http.delete(host.signoff.url, headers=host.headers)
        assert ended.status_code == 200
        assert (await host.call()).status_code == 404
        assert len(host.signoff.bank.headers) == 2


async def test_a_session_is_nobody_elses(tmp_path: Path) -> None:
    async with raw(tmp_path, LEGACY) as host:
        await host.call()
        assert is_direct(await host.call())
        token = host.signoff.keyring.mint_access_token(host.signoff.claims(sub="bob"))
        answer = await host.call(authorization=f"Bearer {token}")
        assert answer.status_code == 404
        unknown = await host.call(**cast("Any", {"mcp-session-id": "0" * 32}))
        assert unknown.status_code == 404
        assert len(host.signoff.bank.headers) == 2


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_the_bearer_is_verified_for_each_call(tmp_path: Path, era: str) -> None:
    async with raw(tmp_path, era) as host:
        await host.call()
        assert (await host.call(authorization="Bearer wrong")).status_code == 401
        answer = await host.http.post(host.signoff.url, content=b"{}")
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"mcp-protocol-version": "1999-01-01"}, 400),
        ({"mcp-name": "pay"}, 400),
        ({"mcp-method": "tools/list"}, 400),
        ({"accept": "text/html"}, 406),
        ({"mcp-name": ""}, 400),
    ],
    ids=["version", "name", "method", "accept", "no name"],
)
async def test_headers_that_the_sdk_refuses_stay_refused(
    tmp_path: Path, headers: Mapping[str, str], status: int
) -> None:
    async with raw(tmp_path, MODERN) as host:
        said(await host.call())
        said(await host.call())
        assert (await host.call(**cast("Any", headers))).status_code == status
        assert len(host.signoff.bank.headers) == 2


@pytest.mark.parametrize("era", [LEGACY, MODERN])
@pytest.mark.parametrize(
    "message",
    [
        {"id": None},
        {"id": True},
        {"id": 1.5},
        {"params": {"name": "balance", "arguments": [1]}},
        {"params": {"name": 5, "arguments": {}}},
        {"params": []},
        {"jsonrpc": 2.0},
        {"jsonrpc": None},
    ],
    ids=["null", "bool", "float", "list", "number", "no params", "jsonrpc", "no jsonrpc"],
)
async def test_an_envelope_that_is_none_is_the_sdks_to_refuse(
    tmp_path: Path, era: str, message: Mapping[str, Any]
) -> None:
    async with raw(tmp_path, era) as host:
        said(await host.call())
        said(await host.call())
        params = {"name": "balance", "arguments": ARGUMENTS}
        if host.meta:
            params["_meta"] = host.meta
        plain = {"id": 1, "method": "tools/call", "params": params}
        named = {"mcp-name": "balance"} if era == MODERN else {}
        answer = await host.post({**plain, **message}, **named)
        assert len(host.signoff.bank.headers) == 2
        if answer.status_code == 200:
            assert "error" in said(answer)


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_a_call_that_asks_a_person_never_goes_this_way(tmp_path: Path, era: str) -> None:
    pay = {"amount": 5, "to_account": "savings"}
    async with raw(tmp_path, era, budgets_s={"host": 0.01}) as host:
        for _ in range(2):
            result = said(await host.call(pay, name="pay"))["result"]
            assert result["structuredContent"]["status"] == "pending"
            await host.call()
        assert host.signoff.bank.payments == []


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_what_policy_denies_is_denied_here_too(tmp_path: Path, era: str) -> None:
    rule = PolicyRule(id="no", capability="balance", effect="deny", reason="Not today.")
    policy = Policy(defaults={"GET": "allow", "*": "ask"}, rules=(rule,))
    async with raw(tmp_path, era, policy=policy) as host:
        first, second = said(await host.call()), said(await host.call())
        assert first == second
        assert "Not today." in cast("str", first["result"]["content"][0]["text"])
        assert host.signoff.bank.headers == []


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_a_tool_that_is_not_there_is_unknown_twice(tmp_path: Path, era: str) -> None:
    async with raw(tmp_path, era) as host:
        said(await host.call())
        for _ in range(2):
            answer = await host.call(name="balanse")
            assert "did you mean balance?" in answer.text


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_the_sdks_client_reads_both_kinds_of_answer(tmp_path: Path, era: str) -> None:
    async with running(tmp_path) as signoff, client(signoff.url, era=era) as host:
        found = [await host.call_tool("balance", ARGUMENTS) for _ in range(3)]
    assert [one.structured_content for one in found] == [{"account": "savings"}] * 3
