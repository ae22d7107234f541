"""Which addresses a request may go to when somebody other than the operator chose them.

Owns the rule: a server of a spec, a variable, or a link in an answer may lead to public addresses
only, unless the operator listed the origin, network or address. A name is resolved once, every
address of it is checked, and the connection goes to one of exactly those. The operator's own
`base_url` is trusted as written and never comes here.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

_PORTS: Final = {"http": 80, "https": 443}
# Prefixes of IPv6 that carry an IPv4 address in their last 32 bits (RFC 6052, RFC 4291 §2.5.5.1).
_CARRIERS: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
_NEVER: Final = (
    IPv6Network("64:ff9b:1::/48"),  # RFC 8215: translation for local use
    IPv6Network("fec0::/10"),  # RFC 3879: site-local, deprecated and still routed
    IPv6Network("5f00::/16"),  # RFC 9602: segment routing
    IPv6Network("3fff::/20"),  # RFC 9637: documentation, unknown to older Pythons
    IPv4Network("192.88.99.0/24"),  # RFC 7526: 6to4 relays
    IPv4Network("192.0.0.0/24"),  # RFC 6890 §2.2.2: protocols; a cloud has its metadata in it
    IPv4Network("168.63.129.16/32"),  # looks public: a cloud's host, to the machines on it
)


class RefusedAddressError(OSError):
    """The host leads to an address that this request may not go to."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} leads to an address inside a private network")
        self.strerror = "it leads to an address that is private or local, and is not allowed"


def is_public(address: Address) -> bool:
    """Say whether everybody can reach this address, in whatever form it hides one."""
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
    if any(address.version == network.version and address in network for network in _NEVER):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address inside an IPv6 one: mapped, translated, tunnelled."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _CARRIERS) and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


class Guard:
    """The addresses one upstream's foreign servers may have."""

    def __init__(self, allowed: Iterable[str] = (), *, resolve: Resolve | None = None) -> None:
        self._origins: set[tuple[str, str, int]] = set()
        self._networks: list[Network] = []
        self._resolve = resolve or resolved
        for entry in allowed:
            if "://" in entry:
                parts = urlsplit(entry)
                port = parts.port or _PORTS.get(parts.scheme, 0)
                self._origins.add((parts.scheme, parts.hostname or "", port))
            else:
                self._networks.append(ip_network(entry, strict=False))

    async def addresses(self, scheme: str, host: str, port: int) -> list[str]:
        """Return what `host` resolves to, now and for this connection.

        Raises:
            RefusedAddressError: one of the addresses may not be reached.
            OSError: it resolves to nothing.
        """
        found = await self._resolve(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        if (scheme, host.lower(), port) in self._origins:
            return found
        for text in found:
            # A scope (`fe80::1%eth0`) names an interface, which is local by itself.
            if "%" in text or not self._may(ip_address(text)):
                raise RefusedAddressError(host)
        return found

    def _may(self, address: Address) -> bool:
        if is_public(address):
            return True
        return any(
            address.version == network.version and address in network for network in self._networks
        )


async def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of `host`, as the system resolves it."""
    with contextlib.suppress(ValueError):
        return [str(ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return list(dict.fromkeys(str(place[0]) for *_, place in found))
