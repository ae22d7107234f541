"""What an assistant is told of an answer, in short."""

from typing import Any

from signoff.upstream.response import (
    ToolResult,
    shape,
)
from signoff.upstream.sent import Answered
from upstream_parts import tool

JSON = "application/json"


def answered(
    body: bytes = b"", media_type: str | None = JSON, status: int = 200, **more: Any
) -> Answered:
    headers = [] if media_type is None else [("content-type", media_type)]
    extra: dict[str, str] = more.pop("headers", {})
    return Answered(status=status, headers=(*headers, *extra.items()), body=body, **more)


def texts(result: ToolResult) -> list[str]:
    return [str(block["text"]) for block in result.content]


def shown(
    body: bytes = b"", media_type: str | None = JSON, status: int = 200, **more: Any
) -> ToolResult:
    return shape(tool(), answered(body, media_type, status, **more))
