"""What is taken out of an answer, and how much of a compressed one is unpacked."""

import gzip
import tracemalloc

import pytest

from signoff.upstream.headers import spellings
from signoff.upstream.redact import decoded, redacted, shown_headers, without_cut_trace

TRACES = spellings("s3cret-t0ken/+")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x s3cret-t0k", b"x "),
        (b"x czNjcmV0LXQ", b"x "),
        (b"x s3cret-t0ken%2", b"x "),
        (b"s3cr", b""),
        (b"x s3c", b"x s3c"),
        (b"", b""),
        (b"s3cret-t0k then more", b"s3cret-t0k then more"),
    ],
)
def test_the_beginning_of_a_credential_at_a_cut_is_taken_off(
    content: bytes, expected: bytes
) -> None:
    assert without_cut_trace(content, TRACES) == expected


def test_every_occurrence_is_taken_out() -> None:
    assert redacted(b"s3cret-t0ken/+s3cret-t0ken/+", TRACES) == b"[redacted][redacted]"
    assert redacted(b"nothing here", TRACES) == b"nothing here"


@pytest.mark.parametrize(
    "name",
    ["set-cookie", "Set-Cookie2", "authorization", "www-authenticate", "x-api-key", "x-anything"],
)
def test_a_header_that_is_not_on_the_list_is_dropped(name: str) -> None:
    assert shown_headers([(name.encode(), b"x")], ()) == ()


def test_a_bomb_is_never_unpacked_whole() -> None:
    bomb = gzip.compress(b"0" * 30_000_000)
    tracemalloc.start()
    try:
        assert decoded(bomb, "gzip", limit=10_000) == (b"0" * 10_000, True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


def test_a_compressed_answer_that_ends_early_is_told_as_cut() -> None:
    whole = gzip.compress(bytes(range(256)) * 100)
    plain = decoded(whole[:-100], "gzip", limit=100_000)
    assert plain is not None
    assert plain[1]
