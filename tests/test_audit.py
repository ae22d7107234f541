"""The chain itself: what is linked holds, and every change to it is named."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.audit import GENESIS, AuditEvent, AuditRow, Broken, Intact, link, verify

AT = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


def chain(length: int, *, actor: str = "alice") -> list[AuditRow]:
    rows: list[AuditRow] = []
    for seq in range(1, length + 1):
        event = AuditEvent(event="call.claimed", subject=f"call_{seq}", actor=actor)
        rows.append(link(event, seq=seq, at=AT, prev=rows[-1].hash if rows else GENESIS))
    return rows


def test_a_row_says_when_what_whom_and_who() -> None:
    event = AuditEvent(event="e", subject="s", actor="a", details={"n": 1})
    row = link(event, seq=1, at=AT, prev=GENESIS)
    assert row.body == (
        b'{"actor":"a","at":"2026-11-22T14:00:00+00:00","details":{"n":1},"event":"e",'
        b'"seq":1,"subject":"s"}'
    )


def test_an_empty_chain_holds() -> None:
    assert verify([]) == Intact(rows=0, head=GENESIS)


@given(st.integers(1, 30), st.integers(0, 30))
def test_a_chain_holds_whole_and_in_parts(length: int, cut: int) -> None:
    rows = chain(length)
    whole = Intact(rows=length, head=rows[-1].hash)

    assert verify(rows) == whole
    first = verify(rows[:cut])
    assert isinstance(first, Intact)
    assert verify(rows[cut:], after=first) == whole


@given(st.integers(2, 20), st.data())
def test_a_row_that_is_gone_is_named(length: int, data: st.DataObject) -> None:
    rows = chain(length)
    gone = data.draw(st.integers(0, length - 2))
    del rows[gone]
    assert verify(rows) == Broken(seq=gone + 1, reason=f"row {gone + 1} is missing")


@given(st.integers(2, 20), st.data())
def test_rows_in_another_order_do_not_hold(length: int, data: st.DataObject) -> None:
    rows = chain(length)
    order = data.draw(st.permutations(range(length)).filter(lambda o: list(o) != sorted(o)))
    assert isinstance(verify([rows[index] for index in order]), Broken)


@given(st.integers(1, 20), st.data())
def test_a_row_that_was_changed_is_named(length: int, data: st.DataObject) -> None:
    rows = chain(length)
    index = data.draw(st.integers(0, length - 1))
    body = bytearray(rows[index].body)
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1
    rows[index] = replace(rows[index], body=bytes(body))
    assert verify(rows) == Broken(seq=index + 1, reason="was changed after it was written")


@pytest.mark.parametrize("member", ["prev", "hash"])
def test_a_changed_hash_is_named(member: str) -> None:
    rows = chain(5)
    rows[2] = replace(rows[2], **{member: b"\x01" * 32})  # pyright: ignore[reportArgumentType] — one of two bytes members
    found = verify(rows)
    assert isinstance(found, Broken)
    assert found.seq == 3


def test_a_row_of_another_chain_does_not_fit() -> None:
    rows, others = chain(5), chain(5, actor="bob")
    rows[3] = others[3]
    assert verify(rows) == Broken(seq=4, reason="does not follow the row before it")


def test_a_repeated_row_is_named() -> None:
    rows = chain(5)
    rows.insert(2, rows[1])
    assert verify(rows) == Broken(seq=3, reason="row 3 is missing")
