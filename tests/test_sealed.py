"""Sealed values open only where they were sealed, and only unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.sealed import Sealer, SealError, hash_id, new_key

KEY = b"k" * 32
NAMES = st.text(max_size=20)


@given(st.binary(), NAMES, NAMES, NAMES)
def test_what_is_sealed_opens_in_its_place(plain: bytes, table: str, row: str, column: str) -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(plain, table=table, row=row, column=column)
    assert sealer.open(sealed, table=table, row=row, column=column) == plain


@pytest.mark.seed("T70")
@pytest.mark.parametrize(
    ("table", "row", "column"),
    [
        ("calls", "call_2", "token"),
        ("calls", "call_1", "body"),
        ("approvals", "call_1", "token"),
        ("calls", "", "call_1token"),
        ("callscall_1", "", "token"),
        ("calls", "call_1\x00", "token"),
    ],
)
def test_a_value_moved_elsewhere_does_not_open(table: str, row: str, column: str) -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"secret", table="calls", row="call_1", column="token")
    with pytest.raises(SealError):
        sealer.open(sealed, table=table, row=row, column=column)


@pytest.mark.seed("T70")
def test_two_rows_that_were_swapped_do_not_open() -> None:
    sealer = Sealer(KEY)
    first = sealer.seal(b"one", table="calls", row="call_1", column="token")
    second = sealer.seal(b"two", table="calls", row="call_2", column="token")
    for row, sealed in (("call_1", second), ("call_2", first)):
        with pytest.raises(SealError):
            sealer.open(sealed, table="calls", row=row, column="token")


def test_a_value_changed_anywhere_does_not_open() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"secret", table="t", row="r", column="c")
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        with pytest.raises(SealError):
            sealer.open(bytes(changed), table="t", row="r", column="c")


@pytest.mark.parametrize("length", range(0, 30, 3))
def test_a_value_cut_short_does_not_open(length: int) -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"secret", table="t", row="r", column="c")
    with pytest.raises(SealError):
        sealer.open(sealed[:length], table="t", row="r", column="c")


def test_another_key_does_not_open() -> None:
    sealed = Sealer(KEY).seal(b"secret", table="t", row="r", column="c")
    with pytest.raises(SealError):
        Sealer(new_key()).open(sealed, table="t", row="r", column="c")


def test_the_same_value_is_sealed_differently_each_time_and_shows_nothing() -> None:
    sealer = Sealer(KEY)
    sealed = {sealer.seal(b"CANARY" * 4, table="t", row="r", column="c") for _ in range(20)}
    assert len(sealed) == 20
    assert not any(b"CANARY" in value for value in sealed)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(SealError):
        Sealer(b"k" * length)


def test_an_error_holds_no_secret() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"CANARY", table="calls", row="call_1", column="token")
    with pytest.raises(SealError) as refused:
        sealer.open(sealed, table="calls", row="call_2", column="token")
    assert str(refused.value) == "calls.token of call_2 does not open"


def test_each_purpose_has_a_key_of_its_own() -> None:
    sealer = Sealer(KEY)
    keys = {sealer.derive(purpose) for purpose in ("seal", "idempotency", "csrf", "")}
    assert len(keys | {KEY}) == 5
    assert {len(key) for key in keys} == {32}
    assert sealer.derive("csrf") == Sealer(KEY).derive("csrf")


def test_a_keyed_hash_depends_on_key_purpose_and_content() -> None:
    hashes = {
        Sealer(key).keyed_hash(purpose, content)
        for key in (KEY, b"j" * 32)
        for purpose in ("a", "b")
        for content in (b"x", b"y")
    }
    assert len(hashes) == 8


def test_ids_are_looked_up_by_hash() -> None:
    assert hash_id("call_1") == hash_id("call_1")
    assert len({hash_id(f"call_{number}") for number in range(100)}) == 100
