"""Posting to a stranger's address never reaches what is not public."""

import ipaddress
from collections.abc import Sequence

import pytest

from callback_parts import listening
from signoff.oauth.outside import Outside, UnreachedError, is_public

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104 — to be refused
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "5f00::1",
    "2002:808:808::1",
]


@pytest.mark.seed("CIBA-49")
@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_leads_inside_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def resolving(*addresses: str):  # noqa: ANN201 — a resolver
    async def resolve(host: str, port: int) -> Sequence[str]:
        del host, port
        return addresses

    return resolve


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.1",), ("93.184.216.34", "10.0.0.1"), ("::1",), ("::ffff:127.0.0.1",)],
)
async def test_a_name_that_has_a_private_address_is_refused_for_good(
    addresses: tuple[str, ...],
) -> None:
    outside = Outside(loopback=True, resolve=resolving(*addresses))
    with pytest.raises(UnreachedError) as caught:
        await outside.post("https://client.example/", b"{}", headers={})
    assert caught.value.final


@pytest.mark.parametrize(
    "spelling",
    [
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::]/",
        "https://localhost./",
        "https://127.0.0.2/",
    ],
)
async def test_no_spelling_of_this_computer_is_reached(spelling: str) -> None:
    async with listening() as listener:
        url = spelling[:-1] + f":{listener.port}/"
        for loopback in (True, False):
            with pytest.raises(UnreachedError):
                await Outside(loopback=loopback).post(url, b"{}", headers={})
        assert listener.heard.empty()


async def test_a_name_that_is_called_localhost_and_leads_elsewhere_is_refused() -> None:
    outside = Outside(loopback=True, resolve=resolving("93.184.216.34"))
    with pytest.raises(UnreachedError) as caught:
        await outside.post("http://localhost:1/", b"{}", headers={})
    assert caught.value.final


async def test_a_name_without_an_address_may_get_one_later() -> None:
    outside = Outside(loopback=True, resolve=resolving())
    with pytest.raises(UnreachedError) as caught:
        await outside.post("https://client.example/", b"{}", headers={})
    assert not caught.value.final


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """Asked again, the name would lead elsewhere: it is not asked again."""
    async with listening() as listener:
        asked: list[str] = []

        async def rebinding(host: str, port: int) -> Sequence[str]:
            del port
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

        outside = Outside(loopback=True, resolve=rebinding)
        await outside.post(listener.url, b"{}", headers={})
        assert asked == ["localhost"]
        assert (await listener.next()).headers["host"] == f"localhost:{listener.port}"


async def test_a_listener_that_is_not_there_is_tried_again() -> None:
    with pytest.raises(UnreachedError) as caught:
        await Outside(loopback=True).post("http://localhost:1/", b"{}", headers={})
    assert not caught.value.final
