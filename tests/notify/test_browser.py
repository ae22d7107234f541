"""A browser opens only when asked, and only where somebody would see it."""

import webbrowser
from collections.abc import Mapping
from typing import NoReturn

import pytest

from signoff.notify.browser import has_display, open_page

URL = "http://localhost:8420/approvals"


@pytest.mark.parametrize(
    ("environment", "platform", "shown"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "1 2 3 4"}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", False),
    ],
)
def test_a_screen_is_there_or_not(
    environment: Mapping[str, str], platform: str, *, shown: bool
) -> None:
    assert has_display(environment, platform=platform) is shown


@pytest.mark.parametrize(
    ("asked", "environment"), [(False, {"DISPLAY": ":0"}), (True, {}), (False, {})]
)
async def test_nothing_opens_unasked_or_unseen(
    environment: Mapping[str, str], *, asked: bool
) -> None:
    opened: list[str] = []

    def opener(url: str) -> bool:
        opened.append(url)
        return True

    assert not await open_page(URL, asked=asked, environment=environment, opener=opener)
    assert opened == []


async def test_the_page_opens_when_asked_to() -> None:
    opened: list[str] = []

    def opener(url: str) -> bool:
        opened.append(url)
        return True

    assert await open_page(URL, asked=True, environment={"DISPLAY": ":0"}, opener=opener)
    assert opened == [URL]


async def test_a_browser_that_does_not_start_is_no_error() -> None:
    def opener(_url: str) -> NoReturn:
        raise webbrowser.Error("no browser")

    assert not await open_page(URL, asked=True, environment={"DISPLAY": ":0"}, opener=opener)
