"""What a data directory must be before it may hold decisions."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from signoff.storage.health import (
    UnusableFileError,
    check_file,
    file_system,
    prepare_directory,
)

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw,relatime 0 0
/dev/vdb /home/alice/local xfs rw 0 0
//server/share /mnt/with\\040space cifs rw 0 0
tmpfs /mnt/hidden tmpfs rw 0 0
me@host: /mnt/hidden fuse.sshfs rw 0 0
broken line
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mounts"
    path.write_text(MOUNTS)
    return path


def test_a_new_directory_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    prepare_directory(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert list(directory.iterdir()) == []


@pytest.mark.seed("T70")
@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750])
def test_a_directory_that_others_may_enter_is_closed(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    directory.chmod(mode)

    prepare_directory(directory)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/var/lib/signoff", "ext4"),
        ("/home/alice", "nfs4"),
        ("/home/alice/local/signoff", "xfs"),
        ("/home/alice/locally", "nfs4"),
        ("/mnt/with space/data", "cifs"),
        ("/mnt/hidden/data", "fuse.sshfs"),
    ],
)
def test_the_file_system_is_that_of_the_closest_mount(mounts: Path, place: str, kind: str) -> None:
    assert file_system(Path(place), mounts=mounts) == kind


def test_a_system_that_lists_no_mounts_is_believed(tmp_path: Path) -> None:
    assert file_system(tmp_path, mounts=tmp_path / "nothing") is None
    prepare_directory(tmp_path / "data", mounts=tmp_path / "nothing")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "lustre"])
def test_a_network_file_system_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")

    with pytest.raises(UnusableFileError) as refused:
        prepare_directory(tmp_path / "data", mounts=mounts)
    assert str(refused.value) == (
        f"{tmp_path / 'data'} is on a network file system ({kind}), where SQLite can lose "
        "decisions; choose a local --data-dir"
    )


def test_a_file_in_the_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.touch()
    with pytest.raises(UnusableFileError, match="choose another --data-dir"):
        prepare_directory(path)
    with pytest.raises(UnusableFileError, match="choose another --data-dir"):
        prepare_directory(path / "below")


def test_a_place_that_cannot_be_written_is_refused() -> None:
    # /proc refuses new files to everybody, also to root.
    with pytest.raises(UnusableFileError, match=r"cannot write to /proc/signoff .*--data-dir"):
        prepare_directory(Path("/proc/signoff"))


def test_a_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    stranger = directory.stat().st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    with pytest.raises(UnusableFileError, match="belongs to another user"):
        prepare_directory(directory)


def test_a_file_that_does_not_exist_is_fine(tmp_path: Path) -> None:
    check_file(tmp_path / "signoff.db")
    assert not (tmp_path / "signoff.db").exists()


def test_a_whole_file_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "signoff.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
    check_file(path)


@pytest.mark.parametrize("at", [0, 100, 4096 + 8, 3 * 4096])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path, at: int) -> None:
    path = tmp_path / "signoff.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        connection.executemany("INSERT INTO t (body) VALUES (?)", [("x" * 500,)] * 100)
    content = bytearray(path.read_bytes())
    content[at : at + 200] = b"\xff" * 200
    path.write_bytes(content)

    with pytest.raises(UnusableFileError, match=r"is damaged \(.*\); restore it from a backup"):
        check_file(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signoff.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        connection.executemany("INSERT INTO t (body) VALUES (?)", [("x" * 500,)] * 100)
    os.truncate(path, path.stat().st_size // 2)

    with pytest.raises(UnusableFileError, match="is damaged"):
        check_file(path)
