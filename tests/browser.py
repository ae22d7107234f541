"""Finds Chromium for the browser tests, and installs Debian's where it is missing."""

import os
import shutil
import subprocess
import sys

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PACKAGES = ("chromium", "fonts-dejavu-core")


def find() -> str | None:
    """Return the path of a Chromium, or None."""
    given = os.environ.get("SIGNOFF_CHROMIUM")
    return given or next((path for name in _NAMES if (path := shutil.which(name))), None)


def ensure() -> str:
    """Return the path of a Chromium, installing the system's package where that is possible."""
    if path := find():
        return path
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", *_PACKAGES]):
            subprocess.run(
                ["apt-get", "-q", *command], check=True, env=environment, stdout=sys.stderr
            )
        if path := find():
            return path
    sys.exit("the browser tests need Chromium: install it, or set SIGNOFF_CHROMIUM to its path")
