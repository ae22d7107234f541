"""What an assistant gets of one call: MCP content blocks, structured content, or an error.

Owns the value and its stored form. Knows no HTTP.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from signoff.canonical import Json
from signoff.upstream.serialise import compact


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """MCP content blocks and structured content, each at most 256 KiB of the answer.

    `meta` becomes the result's `_meta`: facts for programs, such as how the next page is asked for.
    """

    content: tuple[dict[str, Json], ...]
    structured: dict[str, Json] | None = None
    is_error: bool = False
    meta: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def to_record(self) -> bytes:
        """Return the form that is stored (sealed)."""
        record: dict[str, Json] = {
            "content": list(self.content),
            "structured": self.structured,
            "is_error": self.is_error,
            "meta": dict(self.meta),
        }
        return compact(record).encode("utf-8", "surrogatepass")

    @classmethod
    def from_record(cls, record: bytes) -> "ToolResult":
        """Read back what `to_record` wrote.

        Raises:
            ValueError, KeyError: the record is damaged.
        """
        members = cast("dict[str, Json]", json.loads(record))
        return cls(
            content=tuple(cast("list[dict[str, Json]]", members["content"])),
            structured=cast("dict[str, Json] | None", members["structured"]),
            is_error=bool(members["is_error"]),
            meta=cast("dict[str, Json]", members.get("meta") or {}),
        )


def told(
    texts: Sequence[str],
    structured: dict[str, Json] | None = None,
    *,
    meta: Mapping[str, Json] | None = None,
) -> ToolResult:
    """Return a result of texts."""
    blocks: tuple[dict[str, Json], ...] = tuple({"type": "text", "text": text} for text in texts)
    return ToolResult(content=blocks, structured=structured, meta=meta or {})


def failed(lines: Sequence[str], structured: dict[str, Json] | None = None) -> ToolResult:
    """Return an error of one text."""
    text: dict[str, Json] = {"type": "text", "text": "\n".join(lines)}
    return ToolResult(content=(text,), structured=structured, is_error=True)
