"""Canaries: known secrets go through the whole server, and turn up nowhere they must not."""

import asyncio
import io
import logging
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from scripted_person import ScriptedPerson
from signoff import telemetry
from signoff.canonical import Json
from signoff.client.session import CallOutcome, call_tool
from signoff.telemetry import LogFormat
from whole import BANK_TOKEN, PIN, Whole, echo, whole

_JWT: Final = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")
_THEIR_OWN: Final = frozenset({"local-token", "seal.key"})


@contextmanager
def logs(style: LogFormat) -> Generator[io.StringIO, None, None]:
    """Collect what the process would write to stderr with SIGNOFF_LOG_LEVEL=DEBUG."""
    root, written, stderr = logging.getLogger(), io.StringIO(), sys.stderr
    handlers, level = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level for name in list(logging.Logger.manager.loggerDict)
    }
    sys.stderr = written
    try:
        telemetry.configure(level="DEBUG", style=style)
        yield written
    finally:
        sys.stderr = stderr
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, one in levels.items():
            logging.getLogger(name).setLevel(one)


async def call(here: Whole, tool: str, arguments: dict[str, Json], heard: list[str]) -> CallOutcome:
    url, token = f"{here.server.url}/mcp", here.server.token
    return await call_tool(url, token, tool, arguments, heard.append, token_from="a test")


async def decided(
    here: Whole, alice: ScriptedPerson, verdict: str, arguments: dict[str, Json], seen: list[str]
) -> CallOutcome:
    """Make a call as an assistant, decide it as a person, and keep all that either was shown."""
    work = asyncio.create_task(call(here, "pay", arguments, seen))
    async with asyncio.timeout(20):
        while not (waiting := await alice.waiting()):  # noqa: ASYNC110 — a page has no event
            await asyncio.sleep(0.02)
    seen.append(await alice.page(waiting[0]))
    await (alice.approve(waiting[0]) if verdict == "approve" else alice.deny(waiting[0], "no"))
    outcome = await work
    seen.append(await alice.page(waiting[0]))
    seen.append(f"{outcome.text} {outcome.structured}")
    return outcome


@pytest.mark.parametrize("style", ["text", "json"])
async def test_no_secret_is_written_answered_or_shown_anywhere(
    tmp_path: Path, style: LogFormat
) -> None:
    seen: list[str] = []
    with logs(style) as written:
        async with whole(tmp_path) as here:
            alice = await here.person()
            cookie = next(iter(alice.http.cookies.jar)).value
            assert cookie
            echo(here.bank)
            done = await decided(here, alice, "approve", {"amount": 1, "pin": PIN}, seen)
            assert done.state == "done"
            echo(here.bank, status=500)
            await decided(here, alice, "approve", {"amount": 2, "pin": PIN}, seen)
            await decided(here, alice, "deny", {"amount": 3, "pin": PIN}, seen)
            here.bank.fault = "close"
            await decided(here, alice, "approve", {"amount": 4, "pin": PIN}, seen)
            here.bank.fault = "none"
            echo(here.bank, status=403)
            wrong: list[dict[str, Json]] = [{"account": "a"}, {"account": "../x"}, {"wrong": PIN}]
            for arguments in wrong:
                outcome = await call(here, "look", arguments, seen)
                seen.append(outcome.text.replace(PIN, "") if "wrong" in arguments else outcome.text)
            paths = ("/approvals", "/approvals/apr_x", f"/login/{here.links[0][-32:]}")
            seen += [(await alice.http.get(path)).text for path in paths]
            sent = "\n".join(here.bank.heads)
            assert BANK_TOKEN in sent, "the control: it is used"
            assert PIN.encode() in b"".join(here.bank.bodies), "the control: it is sent"
            links, token = list(here.links), here.server.token
            await alice.close()
            stored = b"".join(
                path.read_bytes()
                for path in sorted(here.data_dir.rglob("*"))
                if path.is_file() and path.name not in _THEIR_OWN
            )
    stored += b"".join(
        path.read_bytes()
        for path in sorted((tmp_path / "data").rglob("*"))
        if path.is_file() and path.name not in _THEIR_OWN
    )
    log = written.getvalue()
    assert "A request waits for alice" in log, "the control: it is logged"
    seal_key = (tmp_path / "data" / "seal.key").read_text().strip()
    for name, secret in {
        "the upstream's credential": BANK_TOKEN,
        "a masked argument": PIN,
        "the session": cookie,
        "a sign-in code": links[0].rsplit("/", 1)[1],
        "the assistant's token": token,
        "the seal key": seal_key,
    }.items():
        assert secret not in log, f"{name} stands in the log"
        assert secret.encode() not in stored, f"{name} stands in a file"
        assert not any(secret in text for text in seen), f"{name} was shown"
    assert not _JWT.search(log.encode()), "a token stands in the log"
    assert not _JWT.search(stored.replace(b"audit.head", b"")) or _only_heads(tmp_path / "data")
    assert not any(_JWT.search(text.encode()) for text in seen)


def _only_heads(data_dir: Path) -> bool:
    """The signed head of the audit chain is a JWS, and meant to be read by everybody."""
    found = [
        path.name
        for path in data_dir.rglob("*")
        if path.is_file() and path.name not in _THEIR_OWN and _JWT.search(path.read_bytes())
    ]
    return found == ["audit.head"]
