"""The style sheet, the script and the icon, read once and served by their hash.

Owns the bytes under `static/` and their caching. Serves nothing else: a name is looked up in a
fixed table and never becomes a path.
"""

import hashlib
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from signoff.web.session import PageError

_TYPES: Final = {
    "signoff.css": "text/css; charset=utf-8",
    "signoff.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Assets:
    """The files of `static/`, in memory."""

    def __init__(self) -> None:
        folder = files("signoff.web") / "static"
        self._content = {name: (folder / name).read_bytes() for name in _TYPES}

    def url(self, name: str) -> str:
        """Return the address of `name`; it changes with the content, so it may be cached."""
        version = hashlib.sha256(self._content[name]).hexdigest()[:12]
        return f"/static/{name}?v={version}"

    async def serve(self, request: Request) -> Response:
        """Answer one file."""
        name = request.path_params["name"]
        if name not in self._content:
            raise PageError.not_found()
        return Response(
            self._content[name],
            media_type=_TYPES[name],
            headers={
                "Cache-Control": "public, max-age=31536000, immutable",
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )
