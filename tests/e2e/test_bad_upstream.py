"""An upstream that is down, slow, wordy or wrong: each is told plainly, and nothing is lost."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import pytest_asyncio

from e2e_parts import launching
from harness import Server, until
from ports import free_port
from scripted_person import ScriptedPerson
from signoff.client.session import CallOutcome

HTML: Final = b"<!doctype html><html><body><h1>Welcome to nginx</h1></body></html>"
BIG: Final = b'{"filler": "' + b"x" * 3_000_000 + b'"}'
KINDS: Final = ("down", "slow", "cut", "html", "broken", "html_broken", "big", "moved", "gone")


def http(status: str, body: bytes, media_type: str, *more: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join((*head, *more, "Connection: close", "", "")).encode() + body


ANSWERS: Final = {
    "html": http("200 OK", HTML, "text/html"),
    "broken": http("500 Internal Server Error", b'{"error": "db-7 is gone"}', "application/json"),
    "html_broken": http("502 Bad Gateway", HTML, "text/html"),
    "big": http("200 OK", BIG, "application/json"),
    "moved": http("302 Found", b"", "text/plain", "Location: http://169.254.169.254/secrets"),
    "gone": http("410 Gone", b'{"title": "It was deleted"}', "application/problem+json"),
}


@dataclass
class Awkward:
    """A server that misbehaves by path, and counts what reached it."""

    port: int = 0
    reached: list[str] = field(default_factory=list[str])
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
        kind = path.decode().strip("/")
        self.reached.append(f"{method.decode()} {kind}")
        if kind == "slow":
            await self.over.wait()
        elif kind != "cut":
            writer.write(ANSWERS[kind])
            await writer.drain()
        writer.close()


def awkward_catalogue(port: int) -> dict[str, Any]:
    """Return tools that read and send each way."""
    capabilities: list[dict[str, Any]] = [
        {
            "name": f"{verb}_{kind}",
            "description": f"{verb} {kind}",
            "upstream": "down" if kind == "down" else "awkward",
            "request": {"method": method, "path": f"/{kind}"},
            "input": {"type": "object", "properties": {}},
        }
        for verb, method in (("read", "GET"), ("send", "POST"))
        for kind in KINDS
    ]
    upstreams = {
        "awkward": {"base_url": f"http://127.0.0.1:{port}", "timeout": "1s"},
        "down": {"base_url": f"http://127.0.0.1:{free_port()}", "timeout": "1s"},
    }
    return {
        "signoff": 1,
        "server": {"name": "awkward", "public_url": "http://localhost:8420"},
        "auth": {"local_user": "alice"},
        "upstreams": upstreams,
        "capabilities": capabilities,
        "users": [{"id": "alice", "name": "Alice"}],
    }


@dataclass
class Shop:
    server: Server
    upstream: Awkward
    alice: ScriptedPerson

    async def send(self, kind: str) -> tuple[CallOutcome, str]:
        """Call the gated tool, approve it, and return its outcome and the approver's page."""
        asked = await self.server.ask({}, tool=f"send_{kind}")
        await self.alice.approve(asked.card)
        outcome = await asked.work

        async def settled() -> str | None:
            page = await self.alice.page(asked.card)
            return None if "Approved, now running" in page else page

        return outcome, await until(settled)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Shop, None]:
    upstream = Awkward()
    listener = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = listener.sockets[0].getsockname()[1]
    async with launching(tmp_path_factory.mktemp("shop")) as launch:
        server = await launch(awkward_catalogue(upstream.port))
        alice = await ScriptedPerson(server.url).sign_in(await server.login_link())
        yield Shop(server=server, upstream=upstream, alice=alice)
        await alice.close()
    upstream.over.set()
    listener.close()


def fit_for_an_assistant(outcome: CallOutcome) -> None:
    """Assert that nothing internal, foreign or endless is told."""
    assert len(outcome.text) < 300_000
    for leak in ("Traceback", "httpx", "httpcore", "signoff/", "<html", "nginx", "127.0.0.1"):
        assert leak not in outcome.text


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("down", "Nothing was sent: down: the connection was not made"),
        ("slow", "awkward: no full answer within 1 s"),
        ("cut", "awkward: the connection was closed"),
        ("broken", "500"),
        ("html_broken", "502"),
        ("moved", "redirect"),
        ("gone", "It was deleted"),
    ],
)
async def test_a_read_that_goes_wrong_is_told_to_the_assistant_in_a_sentence(
    shop: Shop, kind: str, words: str
) -> None:
    outcome = await shop.server.call({}, tool=f"read_{kind}")
    assert outcome.state == "failed"
    assert words in outcome.text
    fit_for_an_assistant(outcome)


@pytest.mark.parametrize(
    ("kind", "words", "page"),
    [
        ("down", "nothing was sent", "It did not succeed"),
        ("slow", "may have taken effect", "It may or may not have happened"),
        ("cut", "may have taken effect", "It may or may not have happened"),
        ("broken", "may have taken effect", "It may or may not have happened"),
        ("html_broken", "may have taken effect", "It may or may not have happened"),
        ("moved", "redirect", "It did not succeed"),
        ("gone", "It was deleted", "It did not succeed"),
    ],
)
async def test_an_approved_call_that_goes_wrong_ends_definite_or_unknown_for_both(
    shop: Shop, kind: str, words: str, page: str
) -> None:
    outcome, seen = await shop.send(kind)
    assert outcome.state == "failed"
    assert words in outcome.text
    assert page in seen
    fit_for_an_assistant(outcome)
    again = await shop.server.call({}, tool=f"send_{kind}")
    assert words in again.text
    assert shop.upstream.reached.count(f"POST {kind}") == (0 if kind == "down" else 1)


@pytest.mark.parametrize("kind", ["big", "html"])
async def test_an_approved_call_that_worked_stays_done_whatever_it_answers(
    shop: Shop, kind: str
) -> None:
    outcome, page = await shop.send(kind)
    assert "It was sent once, and it succeeded" in page
    fit_for_an_assistant(outcome)
    assert shop.upstream.reached.count(f"POST {kind}") == 1


async def test_html_is_named_and_never_passed_on(shop: Shop) -> None:
    outcome = await shop.server.call({}, tool="read_html")
    assert outcome.text == "HTTP 200 OK. The answer is an HTML page and is not shown."


async def test_three_megabytes_are_cut_and_marked(shop: Shop) -> None:
    outcome = await shop.server.call({}, tool="read_big")
    assert len(outcome.text) < 300_000
    assert "The answer is more than 1,048,576 bytes long and was cut." in outcome.text


async def test_after_all_of_this_the_server_still_works_and_its_audit_chain_holds(
    shop: Shop,
) -> None:
    outcome = await shop.server.call({}, tool="read_gone")
    assert "It was deleted" in outcome.text
    verified = await shop.server.operate("audit.verify")
    assert verified["intact"] is True
    log = shop.server.log.read_text()
    assert "Traceback" not in log
    assert "failed, reference" not in log
