"""The secret by which programs on this computer get in, in a file that only their user can read.

Owns the file: it is made once, and refused when others could read it. Who its holder is stands in
`auth.py`.
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

PREFIX: Final = "sgl_"
"""What tells the secret from an access token."""


class LocalTokenError(Exception):
    """The local secret cannot be used. The message says what to do."""


def local_token(data_dir: Path) -> str:
    """Return the secret of `DATA_DIR/local-token`, made on first use.

    Raises:
        LocalTokenError: the file cannot be made or read, or others can read it.
    """
    path = data_dir / "local-token"
    try:
        if not path.exists():
            _make_token(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="ascii") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
                raise LocalTokenError(
                    f"others can read {path}; delete it, start again, and give the new token to "
                    "your MCP hosts"
                )
            token = opened.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LocalTokenError(f"{path} cannot be used: {error}") from error
    if not token.startswith(PREFIX) or len(token) < len(PREFIX) + 32:
        raise LocalTokenError(f"{path} holds no token; delete it and start again")
    return token


def _make_token(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, f"{PREFIX}{secrets.token_urlsafe(32)}\n".encode())
        os.fsync(descriptor)
        # link() never replaces: of two processes that start at once, one token wins.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        fresh.unlink()
