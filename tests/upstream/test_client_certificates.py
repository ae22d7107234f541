"""Client certificates, with upstreams that demand one: shown where they belong, to no other."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority, Signed
from signoff.catalog.model import ClientCertificate, Reference, Template, Text, Upstream
from signoff.catalog.wire import Server
from signoff.upstream.response import Failed, Succeeded, classify
from signoff.upstream.sent import Answered, NotSent, Sent, Unknown
from signoff.upstream.target import UpstreamError
from signoff.upstream.transport import Transports
from upstream_parts import frozen, references, tool, upstream
from wire import Wire, answer, listening, plain

pytestmark = pytest.mark.usefixtures("each_client")


@dataclass
class World:
    """Two authorities, a server that wants certificates of the first, and a client's own."""

    folder: Path
    bank: Authority
    stranger: Authority
    mine: Signed

    def file(self, path: Path) -> Template:
        return (Reference(kind="file", name=str(path.relative_to(self.folder))),)

    def shown(self, signed: Signed | None = None, **more: Template) -> ClientCertificate:
        mine = signed or self.mine
        members: dict[str, Template] = {
            "cert": self.file(mine.cert),
            "key": self.file(mine.key),
            "ca": self.file(self.bank.path),
        }
        return ClientCertificate(**(members | more))


@pytest.fixture
def world(tmp_path: Path) -> World:
    bank, stranger = Authority(tmp_path, "bank"), Authority(tmp_path, "stranger")
    return World(tmp_path, bank, stranger, bank.signed("me"))


@asynccontextmanager
async def demanding(world: World) -> AsyncGenerator[Wire]:
    context = world.bank.server("localhost", asks=world.bank)
    async with listening(plain(answer()), tls=context) as wire:
        yield wire


@contextmanager
def alerting(world: World) -> Generator[int]:
    """Serve as most do: who shows no good certificate is told so. asyncio's server tells nobody."""
    context = world.bank.server("localhost", asks=world.bank)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                with accepted.dup() as held:
                    with suppress(OSError), context.wrap_socket(accepted, server_side=True):
                        raise AssertionError("the handshake was not refused")
                    # A close with bytes unread would overtake what was told.
                    held.shutdown(socket.SHUT_WR)
                    while held.recv(65_536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


async def sent(
    world: World,
    server: Wire | int,
    certificate: ClientCertificate | None,
    *,
    fresh: bool = False,
) -> Sent:
    port = server if isinstance(server, int) else server.port
    to = upstream(f"https://localhost:{port}", client_certificate=certificate)
    known = references({"PW": "open sesame"}, root=world.folder)
    tls = None if certificate is not None else world.bank.trusted()
    async with Transports([to], data_dir=world.folder, references=known, tls=tls) as transports:
        return await transports.send(frozen(tool(), to=to, using=known), to, fresh=fresh)


@pytest.mark.parametrize("fresh", [False, True], ids=["allowed", "gated"])
async def test_an_upstream_that_demands_a_certificate_is_shown_it(
    fresh: bool, world: World
) -> None:
    async with demanding(world) as wire:
        found = await sent(world, wire, world.shown(), fresh=fresh)
    assert isinstance(found, Answered)
    assert isinstance(classify(tool(), found), Succeeded)
    assert len(wire.requests) == 1


async def test_a_key_may_have_a_password(world: World) -> None:
    locked = world.bank.signed("locked", password=b"open sesame")
    password: Template = (Reference(kind="env", name="PW"),)
    async with demanding(world) as wire:
        found = await sent(world, wire, world.shown(locked, password=password))
    assert isinstance(found, Answered)


@pytest.mark.parametrize("fresh", [False, True], ids=["allowed", "gated"])
@pytest.mark.parametrize("which", ["none", "stranger's"])
async def test_without_the_right_one_nothing_happens_and_that_is_certain(
    which: str, fresh: bool, world: World
) -> None:
    other = world.shown(world.stranger.signed("other"))
    with alerting(world) as port:
        found = await sent(world, port, None if which == "none" else other, fresh=fresh)
    assert found == NotSent(
        reason="bank: the upstream wants a client certificate, or another than it was shown"
    )
    assert isinstance(classify(tool(), found), Failed)


@pytest.mark.parametrize("fresh", [False, True], ids=["allowed", "gated"])
async def test_what_an_upstream_does_not_tell_is_not_known(fresh: bool, world: World) -> None:
    async with demanding(world) as wire:
        found = await sent(world, wire, None, fresh=fresh)
    assert wire.requests == []
    assert isinstance(found, Unknown)


async def test_the_upstreams_own_certificate_is_verified_all_the_same(world: World) -> None:
    async with listening(plain(answer()), tls=world.stranger.server("localhost")) as wire:
        found = await sent(world, wire, world.shown())
    assert isinstance(found, NotSent)
    assert "certificate" in found.reason
    assert wire.requests == []


async def test_a_certificate_of_another_name_is_refused(world: World) -> None:
    async with listening(plain(answer()), tls=world.bank.server("other.example")) as wire:
        found = await sent(world, wire, world.shown())
    assert isinstance(found, NotSent)
    assert "certificate" in found.reason


async def test_an_upstream_that_asks_for_none_is_called_as_ever(world: World) -> None:
    async with listening(plain(answer()), tls=world.bank.server("localhost")) as wire:
        assert isinstance(await sent(world, wire, world.shown()), Answered)


@pytest.mark.parametrize("credentials", [True, False])
async def test_another_server_is_not_shown_it(credentials: bool, world: World) -> None:
    async with demanding(world) as wire:
        place = f"https://localhost:{wire.port}"
        spec = tool(server=Server(url=place, credentials=credentials))
        to = upstream(
            "https://bank.example",
            client_certificate=world.shown(),
            allow_private=("127.0.0.1", "::1"),
        )
        known = references(root=world.folder)
        async with Transports(
            [to], data_dir=world.folder, references=known, tls=world.bank.trusted()
        ) as transports:
            found = await transports.send(frozen(spec, to=to, using=known), to, fresh=False)
    assert not isinstance(found, Answered)
    assert wire.requests == []


async def test_connections_with_a_certificate_are_no_other_upstreams(world: World) -> None:
    async with demanding(world) as wire:
        place = f"https://localhost:{wire.port}"
        mine = upstream(place, client_certificate=world.shown())
        other = replace(upstream(place), name="other")
        known = references(root=world.folder)
        async with Transports(
            [mine, other], data_dir=world.folder, references=known, tls=world.bank.trusted()
        ) as transports:
            first = await transports.send(frozen(tool(), to=mine), mine, fresh=False)
            second = await transports.send(frozen(tool(), to=other), other, fresh=False)
    assert isinstance(first, Answered)
    assert not isinstance(second, Answered)
    assert len(wire.requests) == 1


Change = Callable[[World], ClientCertificate]


def _missing(world: World) -> ClientCertificate:
    return world.shown(key=(Reference(kind="file", name="no.key"),))


def _folder(world: World) -> ClientCertificate:
    return world.shown(key=(Reference(kind="file", name="bank"),))


def _other_key(world: World) -> ClientCertificate:
    return world.shown(key=world.file(world.bank.signed("you").key))


def _no_pem(world: World) -> ClientCertificate:
    (world.folder / "words.pem").write_text("canary words")
    return world.shown(cert=(Reference(kind="file", name="words.pem"),))


def _no_authority(world: World) -> ClientCertificate:
    (world.folder / "words.pem").write_text("canary words")
    return world.shown(ca=(Reference(kind="file", name="words.pem"),))


def _locked(world: World) -> ClientCertificate:
    return world.shown(world.bank.signed("locked", password=b"open sesame"))


def _wrong_password(world: World) -> ClientCertificate:
    return replace(_locked(world), password=(Text(text="canary"),))


def _no_password(world: World) -> ClientCertificate:
    return replace(_locked(world), password=(Reference(kind="env", name="NOT_SET"),))


def _in_the_environment(world: World) -> ClientCertificate:
    return world.shown(key=(Reference(kind="env", name="PW"),))


MISTAKES: list[tuple[Change, str]] = [
    (_missing, "key: ${file:no.key} cannot be read: No such file or directory"),
    (_folder, "key: ${file:bank} cannot be read: Is a directory"),
    (_other_key, "key: is not the PEM key of the certificate, or its password is not this one"),
    (_no_pem, "key: is not the PEM key of the certificate, or its password is not this one"),
    (_no_authority, "ca: is no PEM file of certificates"),
    (_locked, "key: is not the PEM key of the certificate, or its password is not this one"),
    (_wrong_password, "key: is not the PEM key of the certificate, or its password is not this"),
    (_no_password, "password: ${env:NOT_SET}: the environment variable NOT_SET is not set"),
    (_in_the_environment, 'key: is no file; write "${file:path}"'),
]


@pytest.mark.parametrize(
    ("change", "message"), MISTAKES, ids=[one[0].__name__.strip("_") for one in MISTAKES]
)
async def test_what_cannot_be_shown_stops_the_start_in_one_sentence(
    change: Change, message: str, world: World
) -> None:
    to = upstream("https://bank.example", client_certificate=change(world))
    known = references({"PW": "open sesame"}, root=world.folder)
    with pytest.raises(UpstreamError) as caught:
        async with asyncio.timeout(30), Transports([to], data_dir=world.folder, references=known):
            pass
    assert str(caught.value).startswith(f"upstreams.bank.client_certificate.{message}")
    assert "canary" not in str(caught.value)


async def test_every_certificate_that_cannot_be_shown_is_named_at_once(world: World) -> None:
    def named(name: str, **more: Any) -> Upstream:
        return replace(upstream("https://b.example", **more), name=name)

    known = references(root=world.folder)
    both = [named(name, client_certificate=_missing(world)) for name in ("one", "two")]
    with pytest.raises(UpstreamError) as caught:
        async with Transports(both, data_dir=world.folder, references=known):
            pass
    assert [line.split(".")[1] for line in str(caught.value).splitlines()] == ["one", "two"]
