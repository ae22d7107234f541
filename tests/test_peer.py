"""Which network a request is counted with: of whom the operator's proxy saw, and of nobody else."""

from typing import Any

import pytest

from signoff.origin import Receive, Scope, Send
from signoff.peer import HERE, UNKNOWN, BehindProxy, network_of

HEADER = "X-Forwarded-For"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:4711", "203.0.113.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:0DB8:1:2::9", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", HERE),
        ("127.9.9.9", HERE),
        ("::1", HERE),
        ("::ffff:127.0.0.1", HERE),
        ("", UNKNOWN),
        ("unknown", UNKNOWN),
        ("_hidden", UNKNOWN),
        ("gate", UNKNOWN),
        ("203.0.113", UNKNOWN),
        ("203.0.113.007", UNKNOWN),
        ("203.0.113.7 ", UNKNOWN),
        ("0xCB007107", UNKNOWN),
        ("203.0.113.0/24", UNKNOWN),
        ("[203.0.113.7", "203.0.113.7"),
        ("1:2", UNKNOWN),
        ("x" * 10_000, UNKNOWN),
    ],
)
def test_an_address_is_counted_with_its_network(address: str, network: str) -> None:
    assert network_of({"client": (address, 4711)}) == network


def test_whoever_has_no_address_is_unknown() -> None:
    assert network_of({"client": None}) == network_of({}) == UNKNOWN


async def seen(*lines: tuple[str, str], client: str = "127.0.0.1") -> str:
    """Return the network of a request with these headers, behind the proxy."""
    found: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        found.append(network_of(scope))

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    headers = [(name.lower().encode(), value.encode()) for name, value in lines]
    scope: dict[str, Any] = {"type": "http", "headers": headers, "client": (client, 1)}
    await BehindProxy(app, header=HEADER)(scope, nothing, nothing)
    return found[0]


@pytest.mark.parametrize(
    ("lines", "network"),
    [
        ([(HEADER, "203.0.113.7")], "203.0.113.7"),
        ([("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
        # What stands before the last, the sender wrote.
        ([(HEADER, "198.51.100.1, 203.0.113.7")], "203.0.113.7"),
        ([(HEADER, "198.51.100.1"), (HEADER, "203.0.113.7")], "203.0.113.7"),
        ([(HEADER, "198.51.100.1,203.0.113.7 ")], "203.0.113.7"),
        ([(HEADER, "2001:db8:1:2::1, 2001:db8:9:9::1")], "2001:db8:9:9::/64"),
        # Nothing, or no address: one of those who cannot be told apart.
        ([], UNKNOWN),
        ([(HEADER, "")], UNKNOWN),
        ([(HEADER, "203.0.113.7,")], UNKNOWN),
        ([(HEADER, "203.0.113.7"), (HEADER, "")], UNKNOWN),
        ([(HEADER, "203.0.113.7, localhost")], UNKNOWN),
        # Another header is anybody's.
        ([("X-Real-IP", "203.0.113.7")], UNKNOWN),
        ([("Forwarded", "for=203.0.113.7")], UNKNOWN),
    ],
)
async def test_behind_a_proxy_its_own_entry_counts_and_no_other(
    lines: list[tuple[str, str]], network: str
) -> None:
    assert await seen(*lines) == network


async def test_behind_a_proxy_the_connection_says_nothing() -> None:
    assert await seen(client="198.51.100.1") == UNKNOWN
