"""Ports of servers whose port has to be known before they listen.

They lie below those that the kernel gives to connections, and every worker has its own: what was
free a moment ago is not taken by another test.
"""

import errno
import os
import random
import socket
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Final

_FIRST: Final = 12_000
_EACH: Final = 2_500
_WORKERS: Final = 8


def free_port() -> int:
    """Return a port that nobody listens on, on either loopback address."""
    return next(port for port in _ports if _is_free(port))


def _of_this_worker() -> Iterator[int]:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    first = _FIRST + number * _EACH
    begin = random.randrange(_EACH)  # noqa: S311 — another run on this machine begins elsewhere
    return islice(cycle(range(first, first + _EACH)), begin, None)


def _is_free(port: int) -> bool:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            socket.create_server((address, port), family=family).close()
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                return False
    return True


_ports: Final = _of_this_worker()
