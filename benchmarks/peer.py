"""The environment FastMCP runs in: made once, kept outside the tree, with the pinned versions.

Owns the making of it. Version 4.1.6 asks for a `certifi` that the index does not serve, so no
resolver can install it as it is: `fastmcp.txt` holds what it needs, that one pin lifted, and is
installed as written. A list that changed is a new environment.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

_LIST: Final = Path(__file__).with_name("fastmcp.txt")
_UV: Final = Path(sys.executable).with_name("uv")


def interpreter() -> Path:
    """Return the Python of FastMCP's environment; the first time, this downloads it."""
    mark = hashlib.sha256(_LIST.read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"signoff-bench-fastmcp-{os.getuid()}-{mark}"
    folder.mkdir(mode=0o700, exist_ok=True)
    python, done = folder / "bin" / "python", folder / ".installed"
    with (folder / ".making").open("w") as lock:  # `.lock` is uv's own
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            print("  installing FastMCP into an environment of its own, once")
            venv.create(folder, with_pip=False)
            command = [_UV, "pip", "install", "-q", "--no-deps", "--python", python, "-r", _LIST]
            subprocess.run(command, check=True, timeout=600)
            done.touch()
    return python
