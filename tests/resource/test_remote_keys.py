"""The keys of an issuer elsewhere: fetched once for many, and kept when it fails."""

import asyncio
from collections.abc import Callable
from typing import cast

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from resource_parts import ISSUER, bearer, verifier
from signoff.resource import (
    RemoteKeys,
    ResourceError,
)
from signoff.tokens.keyring import Keyring
from signoff.tokens.keys import KeysUnavailableError


class Publisher:
    """An issuer's JWKS, counted, and as broken as a test wants it."""

    def __init__(self, keyring: Keyring) -> None:
        self.fetched = 0
        self.answer: Callable[[], Response] = lambda: JSONResponse(keyring.public.as_json())

    async def serve(self, request: Request) -> Response:
        del request
        self.fetched += 1
        return self.answer()

    @property
    def app(self) -> ASGIApp:
        return Starlette(routes=[Route("/jwks", self.serve)])


@pytest.fixture
def publisher(keyring: Keyring) -> Publisher:
    return Publisher(keyring)


@pytest.fixture
def stopwatch() -> list[float]:
    return [0.0]


@pytest.fixture
def remote(publisher: Publisher, stopwatch: list[float]) -> RemoteKeys:
    return RemoteKeys(
        f"{ISSUER}/jwks",
        transport=httpx2.ASGITransport(publisher.app),
        monotonic=lambda: stopwatch[0],
    )


async def test_keys_are_fetched_once_for_many(
    keyring: Keyring, publisher: Publisher, remote: RemoteKeys
) -> None:
    checks = verifier(keyring, keys=remote, single_use=None)
    await asyncio.gather(*(checks.verify(bearer(keyring)) for _ in range(50)))
    assert publisher.fetched == 1


async def test_ten_thousand_unknown_kids_cause_one_fetch_a_minute(
    publisher: Publisher, remote: RemoteKeys, stopwatch: list[float]
) -> None:
    await remote.keys_for(None)
    for number in range(10_000):
        await remote.keys_for(f"kid {number}")
    assert publisher.fetched == 1
    stopwatch[0] = 60
    await remote.keys_for("another")
    await remote.keys_for("and another")
    assert publisher.fetched == 2


async def test_a_new_key_is_found_when_a_token_names_it(
    keyring: Keyring, remote: RemoteKeys, stopwatch: list[float]
) -> None:
    await remote.keys_for(None)
    await keyring.rotate()
    stopwatch[0] = 60
    published = cast("list[dict[str, str]]", keyring.public.as_json()["keys"])
    new = published[-1]["kid"]
    assert new in await remote.keys_for(new)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response("gone", 500),
        lambda: Response("", 302, headers={"location": "http://127.0.0.1:1/"}),
        lambda: Response("<html>", 200),
        lambda: Response(b" " * 300_000, 200),
        lambda: JSONResponse({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}),
    ],
    ids=["500", "redirect", "html", "huge", "secret"],
)
async def test_a_failed_fetch_keeps_the_keys_and_without_any_says_so(
    keyring: Keyring,
    publisher: Publisher,
    remote: RemoteKeys,
    stopwatch: list[float],
    answer: Callable[[], Response],
) -> None:
    honest, publisher.answer = publisher.answer, answer
    with pytest.raises(KeysUnavailableError):
        await remote.keys_for(None)
    checks = verifier(keyring, keys=remote)
    with pytest.raises(ResourceError) as refused:
        await checks.verify(bearer(keyring))
    assert (refused.value.status, refused.value.headers["retry-after"]) == (503, "5")
    publisher.answer = honest
    stopwatch[0] = 1
    assert await checks.verify(bearer(keyring))
    publisher.answer = answer
    stopwatch[0] = 601
    assert await checks.verify(bearer(keyring, jti="two"))
