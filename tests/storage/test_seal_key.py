"""The seal key: made once, private, never replaced quietly, tied to its database."""

import base64
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from signoff.sealed import Sealer
from signoff.storage import seal_key
from signoff.storage.seal_key import SealKeyError, bind, load_or_create
from signoff.storage.sqlite import Database

KEY = bytes(range(32))


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    return tmp_path / "signoff.db"


def test_a_key_is_made_once_and_is_private(tmp_path: Path, nowhere: Path) -> None:
    first = load_or_create(tmp_path, database=nowhere)

    assert len(first) == 32
    assert load_or_create(tmp_path, database=nowhere) == first
    assert stat.S_IMODE((tmp_path / "seal.key").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["seal.key"]


def test_two_directories_have_two_keys(tmp_path: Path, nowhere: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = load_or_create(tmp_path / "a", database=nowhere)
    assert load_or_create(tmp_path / "b", database=nowhere) != one


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.urlsafe_b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode().rstrip("="),
        f"  {KEY.hex()}\n",
    ],
)
def test_a_key_from_outside_is_used_and_not_written(
    tmp_path: Path, nowhere: Path, text: str
) -> None:
    assert load_or_create(tmp_path, database=nowhere, override=text) == KEY
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "short", "g" * 64, "ab" * 31, "ab" * 33, "ä" * 43, "+" * 43])
def test_a_key_from_outside_that_is_none_is_refused_without_showing_it(
    tmp_path: Path, nowhere: Path, text: str
) -> None:
    with pytest.raises(SealKeyError) as refused:
        load_or_create(tmp_path, database=nowhere, override=text)
    assert str(refused.value) == "SIGNOFF_SEAL_KEY must hold 32 bytes as base64url or hex"


@pytest.mark.parametrize("content", [b"", b"x" * 10, b"\xff" * 44, b"a" * 5_000])
def test_a_file_that_holds_no_key_is_refused_and_kept(
    tmp_path: Path, nowhere: Path, content: bytes
) -> None:
    path = tmp_path / "seal.key"
    path.touch(mode=0o600)
    path.write_bytes(content)

    with pytest.raises(SealKeyError, match=r"seal\.key must hold 32 bytes"):
        load_or_create(tmp_path, database=nowhere)
    assert path.read_bytes() == content


@pytest.mark.seed("T70")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, nowhere: Path, mode: int) -> None:
    load_or_create(tmp_path, database=nowhere)
    (tmp_path / "seal.key").chmod(mode)

    with pytest.raises(SealKeyError, match="chmod 600"):
        load_or_create(tmp_path, database=nowhere)


def test_a_link_in_the_place_of_a_key_is_refused(tmp_path: Path, nowhere: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch(mode=0o600)
    elsewhere.write_text(KEY.hex())
    (tmp_path / "seal.key").symlink_to(elsewhere)

    with pytest.raises(SealKeyError, match="cannot use"):
        load_or_create(tmp_path, database=nowhere)


def test_a_directory_in_the_place_of_a_key_is_refused(tmp_path: Path, nowhere: Path) -> None:
    (tmp_path / "seal.key").mkdir(mode=0o700)
    with pytest.raises(SealKeyError):
        load_or_create(tmp_path, database=nowhere)


def test_a_lost_key_is_not_replaced_while_its_database_is_there(tmp_path: Path) -> None:
    database = tmp_path / "signoff.db"
    database.touch()

    with pytest.raises(SealKeyError, match=r"restore the key, or set SIGNOFF_SEAL_KEY"):
        load_or_create(tmp_path, database=database)
    assert not (tmp_path / "seal.key").exists()


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path, nowhere: Path) -> None:
    with pytest.raises(SealKeyError, match="No such file"):
        load_or_create(tmp_path / "nowhere", database=nowhere)


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path, nowhere: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from signoff.storage.seal_key import load_or_create\n"
        "print(load_or_create(Path(sys.argv[1]), database=Path(sys.argv[2])).hex())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(nowhere)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    keys = {process.communicate(timeout=60)[0] for process in started}

    assert len(keys) == 1
    assert len(keys.pop()) == 65


def test_whoever_comes_second_takes_the_key_of_the_first(
    tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken() -> bytes:
        path = tmp_path / "seal.key"
        path.touch(mode=0o600)
        path.write_text(KEY.hex())
        return b"n" * 32

    monkeypatch.setattr(seal_key, "new_key", overtaken)

    assert load_or_create(tmp_path, database=nowhere) == KEY
    assert (tmp_path / "seal.key").read_text() == KEY.hex()
    assert [file.name for file in tmp_path.iterdir()] == ["seal.key"]


async def test_a_database_takes_the_key_it_was_first_used_with_and_no_other(
    database: Database, sealer: Sealer
) -> None:
    await bind(database, sealer)
    await bind(database, Sealer(b"k" * 32))

    with pytest.raises(SealKeyError, match="another key"):
        await bind(database, Sealer(KEY))

    await bind(database, sealer)


async def test_the_mark_of_a_key_is_not_the_key(database: Database, sealer: Sealer) -> None:
    await bind(database, sealer)
    row = await database.fetch_one("SELECT value FROM meta WHERE key = 'seal_key'")

    assert row is not None
    assert len(row["value"]) == 32
    assert row["value"] not in {b"k" * 32, sealer.derive("mark"), sealer.derive("seal")}
