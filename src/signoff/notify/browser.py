"""Opens a page in the person's own browser, when asked to and where there is a screen.

Owns the decision whether a browser can be shown at all. Knows no approval and no sign-in: a URL
arrives and is opened.
"""

import asyncio
import sys
import webbrowser
from collections.abc import Callable, Mapping
from typing import Final

_WITHIN_S: Final = 10.0


def has_display(environment: Mapping[str, str], *, platform: str = sys.platform) -> bool:
    """Return whether a window would reach the person at this machine."""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return False  # a forwarded or foreign screen is not the approver's own browser
    if platform == "darwin":
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


async def open_page(
    url: str,
    *,
    asked: bool,
    environment: Mapping[str, str],
    opener: Callable[[str], bool] = webbrowser.open,
) -> bool:
    """Open `url` and return whether a browser took it. Not asked or no screen: nothing happens.

    Without a screen `webbrowser` would start a text browser on our own terminal.
    """
    if not (asked and has_display(environment)):
        return False
    try:
        async with asyncio.timeout(_WITHIN_S):
            return await asyncio.to_thread(opener, url)
    except (TimeoutError, webbrowser.Error, OSError):
        return False
