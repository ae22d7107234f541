"""Plain tables and one-document JSON for stdout.

Pure text: knows no command. Control characters in a cell are made visible, never sent to a
terminal.
"""

import json
import re
import sys
from collections.abc import Sequence
from typing import Final

_HIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""Return `text` with control and hidden characters as `\uXXXX`."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible_lines(text: str) -> str:
    """Return `text` with its lines and tabs, and every other hidden character as `visible` has."""
    return "\n".join(
        "\t".join(map(visible, line.split("\t"))) for line in text.replace("\r\n", "\n").split("\n")
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return aligned columns under upper-case heads; a last line says when there are no rows."""
    cells = [[visible(str(cell)) for cell in row] for row in rows]
    heads = [column.upper() for column in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = [heads, *cells]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def document(value: object) -> str:
    """Return one indented JSON document, in ASCII: no character can steer a terminal."""
    return json.dumps(value, indent=2)


def out(text: str) -> None:
    """Print a result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print a remark to stderr."""
    sys.stderr.write(text + "\n")
