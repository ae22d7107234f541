"""The line on the terminal: a link and who is asked, and nothing a stranger chose."""

import subprocess
import sys
from datetime import datetime

import pytest

from signoff.canonical import Json
from signoff.notify.terminal import Terminal, sentence

LINK = "http://localhost:8420/approvals/apr_1"
UNTIL = "2026-11-22T14:15:00+00:00"


def local(iso: str) -> str:
    return datetime.fromisoformat(iso).astimezone().strftime("%H:%M %Z")


@pytest.mark.seed("B12")
async def test_the_line_names_who_is_asked_until_when_and_where() -> None:
    shown: list[str] = []
    terminal = Terminal(
        link=lambda each: f"http://localhost:8420/approvals/{each}", show=shown.append
    )

    await terminal.deliver("apr_1", {"eligible": ["alice", "bob"], "expires_at": UNTIL})

    assert shown == [f"A request waits for alice, bob until {local(UNTIL)}: {LINK}"]


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"eligible": [], "expires_at": None},
        {"eligible": "alice", "expires_at": "soon"},
        {"eligible": ["\x1b[2Jalice", "al\nice", "", 7, None, "x" * 65], "expires_at": "9" * 40},
        {"title": "Transfer 25 EUR", "said": "please", "arguments": {"amount": 25}},
    ],
)
def test_what_is_no_plain_id_or_time_is_left_out(payload: dict[str, Json]) -> None:
    assert sentence(payload, link=LINK) == f"A request waits: {LINK}"


def test_many_approvers_are_counted() -> None:
    line = sentence({"eligible": [f"user{number}" for number in range(9)]}, link=LINK)
    assert line == f"A request waits for user0, user1, user2, user3, user4 and 4 more: {LINK}"


def test_without_a_terminal_the_line_goes_to_the_log() -> None:
    program = (
        "import logging; logging.basicConfig(level='INFO', format='%(message)s')\n"
        "from signoff.notify.terminal import on_terminal_or_log\n"
        "on_terminal_or_log('a line')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        start_new_session=True,  # no controlling terminal
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == ("", "a line\n")


def test_with_a_terminal_the_line_goes_there_and_not_to_the_log() -> None:
    program = (
        "import os, pty\n"
        "from signoff.notify.terminal import on_terminal_or_log\n"
        "child, terminal = pty.fork()\n"
        "if child == 0:\n"
        "    on_terminal_or_log('a line')\n"
        "    os._exit(0)\n"
        "print(os.read(terminal, 100))\n"
        "os.waitpid(child, 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("b'a line\\r\\n'\n", "")
