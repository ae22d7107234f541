"""How a page must look wherever it is seen: it passes axe and never scrolls sideways."""

from typing import Any, Final

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

PHONE: Final = {"device_scale_factor": 2, "is_mobile": True, "has_touch": True}
SCREENS: Final[dict[str, dict[str, Any]]] = {
    "narrow": {"viewport": {"width": 320, "height": 640}, **PHONE},
    "phone": {"viewport": {"width": 390, "height": 844}, **PHONE},
    "desk": {"viewport": {"width": 1100, "height": 900}},
}


async def check(page: Page, url: str, width: int) -> None:
    """Open the page with its folds open, and look."""
    await page.goto(url)
    await page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    axe: Any = Axe()  # untyped
    found: list[dict[str, Any]] = (await axe.run(page)).response["violations"]
    assert [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found] == [], url
    # In mobile emulation the viewport grows with its content, so this is the honest measure.
    assert await page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [
        width,
        width,
    ], url
