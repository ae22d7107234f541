"""The listening socket: where it may stand, and how its connections send."""

import socket
from contextlib import closing

import pytest

from signoff.app.errors import CannotRunError
from signoff.app.http import listening


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_connection_sends_each_part_of_an_answer_at_once(host: str) -> None:
    with (
        listening(host, 0) as listener,
        closing(socket.create_connection(listener.getsockname()[:2])),
        closing(listener.accept()[0]) as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_another_host_than_loopback_is_refused() -> None:
    with pytest.raises(CannotRunError, match="let the network in"):
        listening("0.0.0.0", 0)  # noqa: S104 — the point


def test_a_taken_port_is_refused_in_one_sentence() -> None:
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CannotRunError, match=f"port {port} is taken"):
            listening("127.0.0.1", port)
