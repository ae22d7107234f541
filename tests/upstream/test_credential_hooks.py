"""Credentials that a Python function makes for each call."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from secured_upstream import bank, scheme, secured, sent
from signoff.catalog.model import Credential
from signoff.upstream.hooks import HookContext
from signoff.upstream.request import (
    UpstreamError,
)
from signoff.upstream.transport import NotSent, Transports
from upstream_parts import frozen, references
from wire import answer, listening, plain


def known(context: HookContext) -> str:
    return f"for-{context.caller.sub}-{context.tool}-{context.call_id}"


async def later(context: HookContext) -> SecretStr:
    await asyncio.sleep(0)
    return SecretStr(f"{context.method} {context.url}".replace(" ", "+"))


def failing(context: HookContext) -> str:
    raise RuntimeError(f"secret {context.tool}")


def empty(_: HookContext) -> str:
    return ""


def breaking(_: HookContext) -> str:
    return "a\r\nX: y"


def hooked(name: str) -> Credential:
    return Credential(scheme=scheme("bearer"), kind="hook", hook=f"hooks_under_test:{name}")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415 — only to make this file importable by a name

    monkeypatch.setitem(sys.modules, "hooks_under_test", sys.modules[__name__])


@pytest.mark.parametrize(
    ("name", "token"), [("known", "for-alice-thing-None"), ("later", "GET+http://")]
)
async def test_a_hook_makes_the_value_from_the_call(name: str, token: str, tmp_path: Path) -> None:
    async with listening(plain(answer())) as wire:
        to = bank(wire.url, hooked(name))
        request = frozen(secured(), {}, to=to)
        assert request.details()["headers"] == {
            **{header.name: header.value for header in request.headers},
            "Authorization": {
                "reference": f"Bearer ${{hook:hooks_under_test:{name}}}",
                "fingerprint": None,
            },
        }
        await sent(to, secured(), tmp_path)
    assert dict(wire.head()[1])["Authorization"].startswith(f"Bearer {token}")


@pytest.mark.parametrize("name", ["failing", "empty", "breaking"])
async def test_a_hook_that_gives_nothing_usable_sends_nothing(name: str, tmp_path: Path) -> None:
    async with listening(plain(answer())) as wire:
        got = await sent(bank(wire.url, hooked(name)), secured(), tmp_path)
    assert isinstance(got, NotSent)
    assert "secret" not in got.reason
    assert wire.requests == []


@pytest.mark.parametrize("name", ["missing", "SECRET"])
async def test_a_hook_that_cannot_be_loaded_stops_the_start(name: str, tmp_path: Path) -> None:
    to = bank("https://bank.example", hooked(name))
    with pytest.raises(UpstreamError, match="hook"):
        async with Transports([to], data_dir=tmp_path, references=references()):
            pass
