"""`signoff demo`: runs anywhere, says what to do, shows the loop, stays up, ends cleanly."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import termios
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness import ROOT, SIGNOFF, Bank, Server, until
from ports import free_port
from scripted_person import ScriptedPerson


class Demo:
    """A running demo and everything it has printed."""

    def __init__(self, server: Server, process: asyncio.subprocess.Process, ledger: Path) -> None:
        self.server, self.process = server, process
        self.bank = Bank(url="", ledger=ledger, process=process)
        self.printed = ""

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.printed += line.decode()

    async def says(self, words: str) -> str:
        """Wait until the demo has printed `words`."""

        async def found() -> bool:
            assert self.process.returncode is None or words in self.printed, self.printed
            return words in self.printed

        await until(found, within_s=40)
        return self.printed


@asynccontextmanager
async def demo(
    folder: Path, *, before: Callable[[], None] | None = None
) -> AsyncGenerator[Demo, None]:
    """Run the demo without display; `before` prepares the child, else it has no terminal."""
    port, data_dir = free_port(), folder / "data"
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    process = await asyncio.create_subprocess_exec(
        *SIGNOFF, "demo", "--port", str(port), "--data-dir", str(data_dir), cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key not in hidden},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE, start_new_session=before is None, preexec_fn=before,
    )  # fmt: skip
    server = Server(
        port=port, data_dir=data_dir, config=ROOT / "capabilities.yaml", environment={}, log=folder,
        process=process,
    )  # fmt: skip
    shown = Demo(server, process, data_dir / "bank.db")
    reading = asyncio.create_task(shown.read())
    try:
        yield shown
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def test_without_terminal_or_browser_it_says_what_to_do_and_shows_the_whole_loop(
    tmp_path: Path,
) -> None:
    async with demo(tmp_path) as shown:
        await shown.says("signoff login alice --data-dir")
        await shown.says("assistant calls   transfer_funds(")
        assert "/login/" not in shown.printed  # a link in a log would be a key in a log
        await shown.says("no device signed in")
        code, link, _ = await shown.server.run("login", "alice")
        assert code == 0
        alice = await ScriptedPerson(shown.server.url).sign_in(link.strip())
        (card,) = await until(alice.waiting)
        assert shown.bank.transfers() == []
        await alice.approve(card)
        printed = await shown.says("signoff stays up")
        assert re.search(r"assistant gets +\{.*\"amount\": 25", printed)
        assert shown.bank.transfers() == [("checking", "savings", 2500)]
        assert (await alice.http.get("/healthz")).status_code == 200
        await alice.close()
        shown.process.send_signal(signal.SIGINT)
        assert await shown.process.wait() == 0
    assert "Traceback" not in shown.printed
    assert not re.search(r"sgl_[\w-]{20,}", shown.printed)


async def test_on_a_terminal_the_link_goes_to_the_terminal_and_to_nothing_else(
    tmp_path: Path,
) -> None:
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    async with demo(tmp_path, before=take_terminal) as shown:
        await shown.says("assistant calls   transfer_funds(")
        seen = await asyncio.to_thread(os.read, ours, 4096)
        link = re.search(rb"http://localhost:\d+/login/[\w-]+", seen)
        assert link
        assert "/login/" not in shown.printed
        alice = await ScriptedPerson(shown.server.url).sign_in(link[0].decode())
        (card,) = await until(alice.waiting)
        await alice.deny(card, "I only wanted to look.")
        printed = await shown.says("signoff stays up")
        assert "I only wanted to look." in printed
        assert shown.bank.transfers() == []
        await alice.close()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_stopped_before_anybody_decided_it_ends_at_once_and_cleanly(
    tmp_path: Path, how: signal.Signals
) -> None:
    async with demo(tmp_path) as shown:
        await shown.says("assistant calls   transfer_funds(")
        shown.process.send_signal(how)
        async with asyncio.timeout(20):
            assert await shown.process.wait() == 0
    assert "Traceback" not in shown.printed
