"""Logs on stderr, with secrets and control characters taken out.

Owns the logging set-up of the process and the redaction of every record. Call sites log values as
they are; what must never appear is removed here.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, Literal

LogFormat = Literal["text", "json"]

_SECRETS: Final = (
    re.compile(r"(?i)\b(bearer|basic|dpop)\s+[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"),
    re.compile(
        r"(?i)\b(client_secret|client_assertion|access_token|refresh_token|id_token|auth_req_id|"
        r"password|code|proof|csrf)=[^&\s\"']+"
    ),
    re.compile(r"/login/[A-Za-z0-9_-]{16,}"),
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def redact(text: str) -> str:
    """Return `text` without credentials and with control characters made visible."""
    for pattern in _SECRETS:
        text = pattern.sub(_masked, text)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def configure(*, level: str = "INFO", style: LogFormat = "text") -> None:
    """Send every log record of the process to stderr, redacted. Safe to call again."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # uvicorn's access log would repeat request lines with ids in them.
    logging.getLogger("uvicorn.access").disabled = True
    # The HTTP client logs whole URLs at INFO; the others say what only their authors need.
    for chatty in ("httpx2", "httpcore2", "mcp", "aiosqlite", "alembic", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _masked(found: re.Match[str]) -> str:
    head = re.split(r"[=\s]", found[0], maxsplit=1)[0]
    if found[0].startswith("/login/"):
        return "/login/***"
    return f"{head}=***" if "=" in found[0][: len(head) + 1] else f"{head[:6]} ***"


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=UTC).strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower():7} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return "\n".join(redact(part) for part in line.split("\n"))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        members = {
            "at": datetime.fromtimestamp(record.created, tz=UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            members["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(members, ensure_ascii=True)
