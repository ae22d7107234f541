"""Commands ask the owner over a socket that only this user can open."""

import asyncio
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from signoff.canonical import Json
from signoff.desk import sockets
from signoff.desk.admin import AdminClient, AdminError, AdminServer, NoOwnerError
from signoff.desk.lock import DataDirError, acquire, owner_pid, private_dir


async def echo(params: Mapping[str, Json]) -> Json:
    return dict(params)


async def refuse(params: Mapping[str, Json]) -> Json:
    raise AdminError(f"no user {params['user']}; `signoff users list` names them")


async def crash(params: Mapping[str, Json]) -> Json:
    raise ValueError(f"secret {params}")


HANDLERS = {"echo": echo, "refuse": refuse, "crash": crash}


async def test_a_command_gets_the_owners_answer(tmp_path: Path) -> None:
    params: dict[str, Json] = {"user": "alice\n", "many": [1, None, {"deep": True}]}
    async with AdminServer(tmp_path, HANDLERS).running():
        assert await AdminClient(tmp_path).call("echo", params) == params
        assert await AdminClient(tmp_path).call("echo") == {}


async def test_a_refusal_reaches_the_person_in_its_own_words(tmp_path: Path) -> None:
    async with AdminServer(tmp_path, HANDLERS).running():
        with pytest.raises(AdminError, match="no user bob"):
            await AdminClient(tmp_path).call("refuse", {"user": "bob"})


async def test_a_crash_gives_a_reference_and_nothing_internal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with AdminServer(tmp_path, HANDLERS).running():
        with pytest.raises(AdminError) as refused:
            await AdminClient(tmp_path).call("crash", {"password": "hunter2"})
    assert "hunter2" not in str(refused.value)
    reference = str(refused.value).split("reference ")[1].split(";")[0]
    assert reference in caplog.text


async def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    async with AdminServer(tmp_path, HANDLERS).running():
        with pytest.raises(AdminError, match="does not know"):
            await AdminClient(tmp_path).call("approve", {"call_id": "x"})


async def test_without_an_owner_the_client_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoOwnerError):
        await AdminClient(tmp_path).call("echo")
    (tmp_path / "admin.sock").touch()
    with pytest.raises(NoOwnerError):
        await AdminClient(tmp_path).call("echo")


async def test_a_socket_left_by_a_killed_owner_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "admin.sock").touch()
    async with AdminServer(tmp_path, HANDLERS).running():
        assert await AdminClient(tmp_path).call("echo") == {}
    assert not (tmp_path / "admin.sock").exists()


async def test_the_socket_and_its_directory_are_private(tmp_path: Path) -> None:
    data_dir = private_dir(tmp_path / "data")
    async with AdminServer(data_dir, HANDLERS).running():
        assert stat.S_IMODE((data_dir / "admin.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"method":1}', b'{"method":"echo","params":[]}', b"\xff", b'"x"']
)
async def test_a_line_that_is_no_request_is_answered_and_the_next_one_works(
    tmp_path: Path, line: bytes
) -> None:
    async with AdminServer(tmp_path, HANDLERS).running():
        opened = await sockets.connect(tmp_path, "admin.sock")
        assert opened is not None
        reader, writer = opened
        writer.write(line + b"\n" + b'{"method":"echo"}\n')
        assert b'"error"' in await sockets.read_line(reader)
        assert await sockets.read_line(reader) == b'{"result":{}}\n'
        await sockets.close(writer)


async def test_a_path_too_long_for_a_socket_is_served_elsewhere_and_found(tmp_path: Path) -> None:
    data_dir = private_dir(tmp_path / ("d" * 60) / ("e" * 60))
    async with AdminServer(data_dir, HANDLERS).running():
        assert await AdminClient(data_dir).call("echo") == {}
        short = Path((data_dir / "admin.sock.path").read_text().strip())
        assert _mode(short.parent) == 0o700
        assert _mode(short) == 0o600
    assert not _mode(short.parent)
    assert not (data_dir / "admin.sock.path").exists()


def test_only_one_process_owns_a_data_directory(tmp_path: Path) -> None:
    lock = acquire(tmp_path)
    assert lock is not None
    assert acquire(tmp_path) is None
    assert owner_pid(tmp_path) == os.getpid()
    lock.release()
    again = acquire(tmp_path)
    assert again is not None
    again.release()


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "owner.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataDirError):
        acquire(tmp_path)


def test_a_data_directory_others_could_enter_is_closed_to_them(tmp_path: Path) -> None:
    open_dir = tmp_path / "open"
    open_dir.mkdir(mode=0o755)
    assert stat.S_IMODE(private_dir(open_dir).stat().st_mode) == 0o700


def test_a_data_directory_that_is_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match="file cannot be used"):
        private_dir(tmp_path / "file")


async def test_a_line_over_the_bound_is_dropped_whole() -> None:
    reader = asyncio.StreamReader(limit=sockets.MAX_LINE_BYTES)
    reader.feed_data(b"x" * (sockets.MAX_LINE_BYTES * 2) + b"\nnext\n")
    reader.feed_eof()
    with pytest.raises(sockets.LineTooLongError):
        await sockets.read_line(reader)
    assert await sockets.read_line(reader) == b"next\n"
    assert await sockets.read_line(reader) == b""


def _mode(path: Path) -> int | None:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None
