"""A Python app as an upstream: over a socket that only we may use."""

import asyncio
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from signoff.catalog.model import Upstream
from signoff.upstream.target import UpstreamError
from signoff.upstream.transport import Answered, NotSent, Transports, Unknown
from upstream_parts import Sending, frozen, references, tool

EVENTS: list[str] = []


def left_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def echo(request: Request) -> Response:
    return JSONResponse({"path": request.url.path, "host": request.headers["host"]})


async def crash(_: Request) -> Response:
    raise RuntimeError("boom")


async def hang(_: Request) -> Response:
    EVENTS.append("began")
    await asyncio.Event().wait()
    return Response()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
    EVENTS.append("up")
    yield
    EVENTS.append("down")


@asynccontextmanager
async def broken_lifespan(_: Starlette) -> AsyncGenerator[None, None]:
    raise RuntimeError("no database")
    yield


app = Starlette(
    routes=[Route("/echo", echo), Route("/crash", crash), Route("/hang", hang)], lifespan=lifespan
)
broken = Starlette(lifespan=broken_lifespan)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415 — only to give this file a name that can be imported

    monkeypatch.setitem(sys.modules, "app_under_test", sys.modules[__name__])
    EVENTS.clear()


def serving(target: str, data_dir: Path, **more: float) -> tuple[Transports, Upstream]:
    upstream = Upstream(
        name="bank",
        base_url=f"app:{target}",
        client=Sending.by,
        **more,  # pyright: ignore[reportArgumentType]
    )
    return Transports([upstream], data_dir=data_dir, references=references()), upstream


async def test_an_app_is_called_over_a_socket_of_mode_0600(tmp_path: Path, fresh: bool) -> None:
    transports, bank = serving("app_under_test:app", tmp_path)
    async with transports:
        [path] = left_in(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(path.stat().st_mode)
        sent = await transports.send(frozen(tool("/echo"), to=bank), bank, fresh=fresh)
        assert isinstance(sent, Answered)
        assert sent.body == b'{"path":"/echo","host":"bank"}'
        assert EVENTS == ["up"]
    assert EVENTS == ["up", "down"]
    assert left_in(tmp_path) == []


async def test_a_socket_left_by_a_killed_process_is_replaced(tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "upstream-bank.sock").write_text("stale")
    transports, bank = serving("app_under_test:app", tmp_path)
    async with transports:
        assert isinstance(
            await transports.send(frozen(tool("/echo"), to=bank), bank, fresh=fresh), Answered
        )


async def test_a_data_directory_with_a_long_name_still_works(tmp_path: Path, fresh: bool) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    transports, bank = serving("app_under_test:app", deep)
    async with transports:
        assert isinstance(
            await transports.send(frozen(tool("/echo"), to=bank), bank, fresh=fresh), Answered
        )


async def test_an_app_that_raises_answers_500(tmp_path: Path, fresh: bool) -> None:
    transports, bank = serving("app_under_test:app", tmp_path)
    async with transports:
        sent = await transports.send(frozen(tool("/crash"), to=bank), bank, fresh=fresh)
    assert isinstance(sent, Answered)
    assert sent.status == 500


async def test_an_app_that_hangs_meets_the_deadline_like_a_network_would(
    tmp_path: Path, fresh: bool
) -> None:
    transports, bank = serving("app_under_test:app", tmp_path, timeout_s=0.2)
    async with transports:
        sent = await transports.send(frozen(tool("/hang"), to=bank), bank, fresh=fresh)
        assert isinstance(sent, Unknown)
    assert EVENTS[:2] == ["up", "began"]


async def test_a_socket_that_is_gone_means_nothing_was_sent(tmp_path: Path, fresh: bool) -> None:
    transports, bank = serving("app_under_test:app", tmp_path)
    async with transports:
        (tmp_path / "upstream-bank.sock").unlink()
        sent = await transports.send(frozen(tool("/echo"), to=bank), bank, fresh=fresh)
    assert isinstance(sent, NotSent)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:app", "cannot import no_such_module"),
        ("app_under_test:nothing", "app_under_test has no nothing"),
        ("app_under_test", "write app:module:attribute"),
        (":app", "write app:module:attribute"),
        ("app_under_test:broken", "the app did not start"),
    ],
)
async def test_an_app_that_cannot_be_served_is_named(
    tmp_path: Path, target: str, reason: str
) -> None:
    transports, _ = serving(target, tmp_path)
    with pytest.raises(UpstreamError, match=rf"upstreams\.bank\.base_url: .*{reason}"):
        async with transports:
            pytest.fail("started")
    assert left_in(tmp_path) == []
