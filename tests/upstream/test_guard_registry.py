"""The registries of special addresses, whole: what this Python knows of them does not matter.

IANA's IPv4 and IPv6 special-purpose registries (RFC 6890), and where clouds keep their metadata.
"""

from ipaddress import ip_address, ip_network

import pytest

from signoff.upstream.guard import is_public

SPECIAL = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/29", "192.0.0.170/31", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::1/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001:2::/48",
    "2001:10::/28", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
    "fec0::/10", "ff00::/8",
]  # fmt: skip
METADATA = [
    "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    "fd00:ec2::254", "fd20:ce::254", "::ffff:192.0.0.192", "64:ff9b::a83f:8110",
]  # fmt: skip


@pytest.mark.parametrize("network", SPECIAL)
def test_no_address_of_a_special_network_is_public(network: str) -> None:
    block = ip_network(network)
    for at in (0, block.num_addresses // 2, block.num_addresses - 1):
        assert not is_public(block[at]), block[at]


@pytest.mark.parametrize("address", METADATA)
def test_no_address_of_a_clouds_metadata_is_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["168.63.129.15", "192.0.1.1", "3ffe::1", "2001:4860::8888"])
def test_what_stands_beside_is_public(address: str) -> None:
    assert is_public(ip_address(address))
