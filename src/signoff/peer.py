"""Whom a request is counted with: the network it comes from.

Owns reading an address, off the connection or from the header of a reverse proxy that the operator
named. Decides nothing and proves nobody: an address only says whose share of what is left
something comes out of. It stands beside what is counted, and in no log.
"""

import ipaddress
from typing import Final, cast

from signoff.origin import App, Receive, Scope, Send

HERE: Final = "here"
"""This computer, however many addresses it gives itself."""
UNKNOWN: Final = ""
"""Everybody who cannot be told apart is one."""
_SUBNET_BITS: Final = 64  # RFC 4291 §2.5.4: a site has at least as many addresses as that


class BehindProxy:
    """ASGI: who asks is who the proxy in front of us says it saw, in the header it writes."""

    def __init__(self, app: App, *, header: str) -> None:
        self._app, self._header = app, header.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
            lines = [value for name, value in headers if name == self._header]
            # A proxy adds what it saw at the end. Whatever stands before it, anybody wrote.
            seen = lines[-1].rpartition(b",")[2].strip() if lines else b""
            scope = {**scope, "client": (seen.decode("latin-1"), 0)}
        await self._app(scope, receive, send)


def network_of(scope: Scope) -> str:
    """Return the network that a request comes from: an IPv4 address, or the /64 of an IPv6 one."""
    client = cast("tuple[str, int] | None", scope.get("client"))
    address = _address(client[0]) if client else None
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return HERE
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    site = ipaddress.IPv6Address(int(address) >> _SUBNET_BITS << _SUBNET_BITS)
    return f"{site}/{_SUBNET_BITS}"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address as proxies write one: alone, in brackets, or with a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
