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

_NAMES: Final = (
    r"client_secret|client_assertion|access_token|refresh_token|id_token|id_token_hint|"
    r"login_hint_token|auth_req_id|password|secret|code|proof|csrf|api_?key"
)
_SECRETS: Final = (
    # A header keeps its name; everything up to the end of its value goes.
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|set-cookie|cookie|x-api-key|api-key|dpop)"
            r"(['\"]?\s*[:=,]\s*b?['\"]?)[^\r\n'\"]+"
        ),
        r"\1\2***",
    ),
    (re.compile(r"(?i)\b(bearer|basic|dpop)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), "eyJ***"),
    (re.compile(rf"(?i)\b({_NAMES})=[^&\s\"']+"), r"\1=***"),
    (re.compile(rf"(?i)(['\"](?:{_NAMES})['\"]\s*:\s*b?)(['\"])[^'\"]*"), r"\1\2***"),
    (re.compile(r"/login/[A-Za-z0-9_-]{16,}"), "/login/***"),
    (re.compile(r"://[^/\s:@]*:[^/\s@]+@"), "://***@"),
)
_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def redact(text: str) -> str:
    """Return `text` without credentials and with control characters made visible."""
    for pattern, masked in _SECRETS:
        text = pattern.sub(masked, text)
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


def quiet_client() -> None:
    """Keep what the MCP SDK's client logs off the terminal of whoever calls a tool from it."""
    # It warns of each tool that is not listed, as those of a large catalogue are not.
    logging.getLogger("client").setLevel(logging.ERROR)
    # An event that comes as its caller leaves is a traceback there; what went wrong is told by us.
    logging.getLogger("mcp.client").setLevel(logging.CRITICAL)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=UTC).strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower():7} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        # Indented: no value that was logged can begin a line of its own.
        return redact(line).replace("\n", "\n    ")


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
