"""By which client a test's calls go out: each test that says so runs with each there is."""

import pytest

from sending import sender
from upstream_parts import CLIENTS, Sending

__all__ = ["each_client", "fresh", "sender"]


@pytest.fixture(params=CLIENTS)
def each_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sending, "by", request.param)


@pytest.fixture(
    params=[("httpcore2", True), ("httpcore2", False), ("aiohttp", False)],
    ids=["gated", "allowed", "allowed, aiohttp"],
)
def fresh(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Every way a call may go out. A test that takes `fresh` sends by it."""
    by, is_fresh = request.param
    monkeypatch.setattr(Sending, "by", by)
    return is_fresh
