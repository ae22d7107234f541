"""Addresses that others choose: every spelling of an inside address is refused."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import Authority
from signoff.catalog.model import Upstream
from signoff.catalog.wire import Server
from signoff.upstream.guard import Guard, RefusedAddressError, is_public, resolved
from signoff.upstream.transport import Answered, NotSent, Sent, Transports
from upstream_parts import frozen, references, tool, upstream
from wire import answer, listening, plain

INSIDE = [
    "0.0.0.0",  # noqa: S104 — an address to refuse
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "5f00::1",
]
OUTSIDE = [
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2002:101:101::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_inside_address_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_outside_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_is_as_public_inside_another_as_by_itself(address: object) -> None:
    text = str(address)
    plain_v4 = is_public(ip_address(text))
    packed = int(ip_address(text))
    assert is_public(ip_address(f"::ffff:{text}")) == plain_v4
    assert is_public(ip_address((0x64FF9B << 96) | packed)) == plain_v4


def resolving(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, port: int) -> list[str]:
        assert host
        assert port
        return list(addresses)

    return resolve


@pytest.mark.parametrize("address", [*INSIDE, "fe80::1%eth0", "fe80::1%lo"])
async def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    guard = Guard(resolve=resolving("1.1.1.1", address))
    with pytest.raises(RefusedAddressError):
        await guard.addresses("https", "api.example", 443)


@pytest.mark.parametrize(
    "host", ["localhost", "2130706433", "0x7f.1", "127.1", "0", "0177.0.0.1", "127.0.0.1", "::1"]
)
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        await Guard().addresses("http", host, 80)
    # Where the system does not know a spelling it resolves to nothing, which is as good.
    assert isinstance(caught.value, RefusedAddressError) or await _unknown(host)


async def _unknown(host: str) -> bool:
    try:
        await resolved(host, 80)
    except OSError:
        return True
    return False


async def test_a_name_without_addresses_is_refused() -> None:
    with pytest.raises(OSError, match="no address"):
        await Guard(resolve=resolving()).addresses("https", "api.example", 443)


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        ("http://in.example", ("http", "in.example", 80)),
        ("https://IN.example:8443", ("https", "in.example", 8443)),
        ("10.0.0.0/8", ("http", "any", 80)),
        ("10.0.0.7", ("https", "any", 443)),
    ],
)
async def test_what_the_operator_lists_is_reached(entry: str, target: tuple[str, str, int]) -> None:
    guard = Guard([entry], resolve=resolving("10.0.0.7"))
    assert await guard.addresses(*target) == ["10.0.0.7"]


@pytest.mark.parametrize(
    "target",
    [
        ("https", "in.example", 80),
        ("http", "in.example", 81),
        ("http", "in.example.evil.example", 80),
        ("http", "evil-in.example", 80),
    ],
)
async def test_a_listed_origin_is_no_other(target: tuple[str, str, int]) -> None:
    guard = Guard(["http://in.example"], resolve=resolving("10.0.0.7"))
    with pytest.raises(RefusedAddressError):
        await guard.addresses(*target)


async def sent_to(
    server: str, tmp_path: Path, to: Upstream, resolve: object = None, *, fresh: bool
) -> Sent:
    spec = tool("/x", server=Server(url=server))
    async with Transports(
        [to],
        data_dir=tmp_path,
        references=references(),
        resolve=resolve,  # pyright: ignore[reportArgumentType] — a test's own resolver, or none
    ) as transports:
        return await transports.send(frozen(spec, {}, to=to), to, fresh=fresh)


async def test_a_server_inside_gets_no_byte(tmp_path: Path, fresh: bool) -> None:
    async with listening(plain(answer())) as wire:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            sent = await sent_to(f"http://{host}:{wire.port}", tmp_path, upstream(), fresh=fresh)
            assert isinstance(sent, NotSent)
    assert wire.connections == 0


async def test_the_connection_goes_to_the_address_that_was_checked(
    tmp_path: Path, fresh: bool
) -> None:
    """A name that resolves anew for the connection could lead anywhere by then."""
    asked: list[str] = []

    async def once(host: str, port: int) -> list[str]:
        assert port
        asked.append(host)
        return ["127.0.0.1"]

    async with listening(plain(answer())) as wire:
        server = f"http://rebind.example:{wire.port}"
        to = upstream(allow_private=("127.0.0.0/8",))
        sent = await sent_to(server, tmp_path, to, once, fresh=fresh)
    assert isinstance(sent, Answered)
    assert asked == ["rebind.example"]
    assert dict(wire.head()[1])["Host"] == f"rebind.example:{wire.port}"


async def test_the_operators_own_base_url_is_trusted_as_written(
    tmp_path: Path, fresh: bool
) -> None:
    async with listening(plain(answer())) as wire:
        to = upstream(wire.url)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            assert isinstance(
                await transports.send(frozen(tool(), to=to), to, fresh=fresh), Answered
            )


async def test_a_redirect_inside_is_told_and_not_followed(tmp_path: Path, fresh: bool) -> None:
    async with listening(plain(answer())) as inside:
        moved = answer("302 Found", b"", "text/plain", f"Location: {inside.url}/admin")
        async with listening(plain(moved)) as wire:
            to = upstream(wire.url)
            async with Transports([to], data_dir=tmp_path, references=references()) as transports:
                sent = await transports.send(frozen(tool(), to=to), to, fresh=fresh)
    assert isinstance(sent, Answered)
    assert sent.status == 302
    assert inside.connections == 0


async def test_the_next_address_of_a_name_is_tried_when_one_refuses(
    tmp_path: Path, fresh: bool
) -> None:
    async with listening(plain(answer())) as wire:
        to = upstream(allow_private=("127.0.0.0/8",))
        found = resolving("127.0.0.9", "127.0.0.1")
        sent = await sent_to(f"http://two.example:{wire.port}", tmp_path, to, found, fresh=fresh)
        none = resolving("127.0.0.9", "127.0.0.8")
        refused = await sent_to(f"http://two.example:{wire.port}", tmp_path, to, none, fresh=fresh)
    assert isinstance(sent, Answered)
    assert refused == NotSent(
        reason="bank: the connection was not made (connection refused)", transient=True
    )


@pytest.mark.parametrize(("name", "holds"), [("bank.example", True), ("other.example", False)])
async def test_a_certificate_counts_for_the_name_wherever_it_resolves_to(
    name: str, holds: bool, tmp_path: Path, fresh: bool
) -> None:
    """The server's is also good for the address that the connection goes to."""
    bank = Authority(tmp_path)
    async with listening(plain(answer()), tls=bank.server(name)) as wire:
        to = upstream(allow_private=("127.0.0.0/8",))
        spec = tool("/x", server=Server(url=f"https://bank.example:{wire.port}"))
        async with Transports(
            [to],
            data_dir=tmp_path,
            references=references(),
            tls=bank.trusted(),
            resolve=resolving("127.0.0.1"),
        ) as transports:
            sent = await transports.send(frozen(spec, {}, to=to), to, fresh=fresh)
    assert isinstance(sent, Answered if holds else NotSent)
    assert len(wire.requests) == holds
