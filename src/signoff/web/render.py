"""Templates to responses, under the strictest headers a page can carry.

Owns the template environment and the headers. Knows nothing of approvals; every value a template
gets is escaped, and no template marks anything as safe.
"""

from datetime import UTC, datetime
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from signoff.web.assets import Assets
from signoff.web.session import PageError

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    # With `no-referrer` browsers send `Origin: null` on our own posts, which is refused.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "publickey-credentials-get=(self)",
}
_KIB: Final = 1024


class Renderer:
    """Renders the pages of one site."""

    def __init__(self, *, name: str, assets: Assets) -> None:
        self._environment = Environment(
            loader=PackageLoader("signoff.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            clock=_clock, iso=_iso, minutes=_minutes, size=_size, count=_count
        )
        # The globals' declared type is that of jinja's own defaults.
        self._environment.globals["asset"] = assets.url  # pyright: ignore[reportArgumentType]
        self._environment.globals["site_name"] = name  # pyright: ignore[reportArgumentType]

    def page(self, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
        """Return the page."""
        context.setdefault("viewer", None)
        html = self._environment.get_template(template).render(context)
        return HTMLResponse(html, status_code=status, headers=HEADERS)

    def problem(self, error: PageError) -> HTMLResponse:
        """Return the page of a refusal."""
        return self.page("problem.html", status=error.status, error=error)


def _clock(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%H:%M")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _minutes(seconds: int) -> str:
    hours, rest = divmod(max(0, seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _size(count: int) -> str:
    if count < _KIB:
        return f"{count} bytes" if count != 1 else "1 byte"
    size = f"{count / _KIB:.1f} KiB" if count < _KIB**2 else f"{count / _KIB**2:,.1f} MiB"
    return f"{size} ({count:,} bytes)"


def _count(number: int) -> str:
    return f"{number:,}"
