"""An upstream that took a request and is not done yet: the assistant is told, and when to look."""

import pytest

from signoff.upstream.response import shape
from signoff.upstream.sent import Answered
from upstream_parts import tool


@pytest.mark.seed("A46")
@pytest.mark.parametrize(("body", "first"), [(b"", "HTTP 202"), (b'{"job":7}', '{"job":7}')])
def test_a_202_is_told_as_not_done_yet(body: bytes, first: str) -> None:
    result = shape(
        tool(),
        Answered(
            status=202,
            headers=(("content-type", "application/json"), ("retry-after", "30")),
            body=body,
            location="https://bank.example/jobs/7?key=k",
        ),
    )

    assert [block["text"] for block in result.content] == [
        first,
        "The upstream took the request, and is not done yet. Retry-After: 30",
    ]
    assert result.structured == ({"job": 7} if body else None)
    assert result.meta == {"pending": True, "retryAfter": "30"}
    assert not result.is_error


def test_a_202_without_a_time_to_look_says_none() -> None:
    result = shape(tool(), Answered(status=202, headers=(), body=b""))

    assert [block["text"] for block in result.content] == [
        "HTTP 202",
        "The upstream took the request, and is not done yet.",
    ]
    assert result.meta == {"pending": True}
