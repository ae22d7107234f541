"""The listening socket: where it may stand, and how its connections send."""

import contextlib
import socket
from contextlib import closing

import pytest

from ports import free_port
from signoff.app.errors import CannotRunError
from signoff.app.http import listening


def loopback_addresses() -> list[str]:
    """The addresses `localhost` can mean on this machine."""
    found = ["127.0.0.1"]
    with contextlib.suppress(OSError), closing(socket.socket(socket.AF_INET6)) as probe:
        probe.bind(("::1", 0))
        found.append("::1")
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_connection_sends_each_part_of_an_answer_at_once(host: str) -> None:
    with listening(host, free_port()) as listener:
        assert len(listener.sockets) == len(loopback_addresses())
        for one in listener.sockets:
            with (
                closing(socket.create_connection(one.getsockname()[:2])),
                closing(one.accept()[0]) as accepted,
            ):
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("address", loopback_addresses())
def test_neither_address_of_localhost_is_left_to_a_stranger(address: str) -> None:
    """Whoever has the other one is the same origin to a browser."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with closing(socket.socket(family)) as stranger:
        stranger.bind((address, 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        with pytest.raises(CannotRunError, match=f"port {port} is taken"):
            listening("localhost", port)


def test_another_host_than_loopback_is_refused() -> None:
    with pytest.raises(CannotRunError, match="let the network in"):
        listening("0.0.0.0", 0)  # noqa: S104 — the point


def test_a_taken_port_is_refused_in_one_sentence() -> None:
    port = free_port()
    taken = pytest.raises(CannotRunError, match=f"port {port} is taken")
    with listening("127.0.0.1", port), taken:
        listening("127.0.0.1", port)
