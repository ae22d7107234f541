"""Posting to an address that a client registered, without being led astray by it.

Owns: the name is resolved once and every address it has must be public; the connection goes to
that very address; no redirect is followed, no proxy used, no cookie kept, and next to nothing of
the answer is read. Loopback is reached only where the operator allows it, and only by its name.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import httpx2

from signoff.oauth.delivery import LOOPBACK_HOSTS, DeliveryError, parse_endpoint

_DEADLINE_S: Final = 5.0
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class UnreachedError(Exception):
    """The post did not arrive. `final`: it never will, the address itself is refused."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Outside:
    """Posts to registered addresses. `loopback`: this computer is one of them (development)."""

    def __init__(self, *, loopback: bool, resolve: Resolve = resolve) -> None:
        self._loopback, self._resolve = loopback, resolve

    async def post(self, url: str, body: bytes, *, headers: Mapping[str, str]) -> int:
        """Post once and return the status; a redirect is a status like any other.

        Raises:
            UnreachedError: there was no answer in five seconds, or the address is refused.
        """
        try:
            async with asyncio.timeout(_DEADLINE_S):
                return await self._post(url, body, headers)
        except TimeoutError:
            raise UnreachedError("no answer in time", final=False) from None
        except (httpx2.HTTPError, OSError) as error:
            raise UnreachedError(type(error).__name__, final=False) from error

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        try:
            parts, port = parse_endpoint(url)
        except DeliveryError as error:
            raise UnreachedError(str(error), final=True) from error
        host = str(parts.hostname)
        address = await self._address(host, port)
        pinned = httpx2.URL(url).copy_with(host=str(address), port=port)
        sent = {**headers, "host": parts.netloc, "accept-encoding": "identity"}
        async with (
            httpx2.AsyncClient(trust_env=False, follow_redirects=False) as client,
            # The certificate must be the name's, though the connection goes to the address.
            client.stream(
                "POST", pinned, content=body, headers=sent, extensions={"sni_hostname": host}
            ) as response,
        ):
            return response.status_code

    async def _address(self, host: str, port: int) -> Address:
        addresses = [ipaddress.ip_address(each) for each in await self._resolve(host, port)]
        if not addresses:
            raise UnreachedError("the name has no address", final=False)
        if host in LOOPBACK_HOSTS:
            allowed = self._loopback and all(address.is_loopback for address in addresses)
        else:
            # All of them: a name with one public and one private address is a trap.
            allowed = all(map(is_public, addresses))
        if not allowed:
            raise UnreachedError("the address is not public", final=True)
        return addresses[0]


def is_public(address: Address) -> bool:
    """Tell whether an address leads to the internet and nowhere else, not even when translated."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        tunnelled = address.sixtofour is not None or address.teredo is not None
        if tunnelled or address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast
