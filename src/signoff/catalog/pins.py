"""The lock beside a catalogue: the names that a spec's operations were given, and keep.

Owns the file `capabilities.lock`. It is written when an operator asks for it; without one, names
follow from the spec alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from signoff.canonical import Json
from signoff.catalog.openapi.names import TOOL

FORMAT: Final = 1
_LARGEST: Final = 16_777_216

Pins = Mapping[str, Mapping[str, str]]


class PinError(ValueError):
    """The lock cannot be used."""

    def __init__(self, message: str, file: str) -> None:
        super().__init__(message)
        self.message, self.file = message, file


def lock_of(catalogue: Path) -> Path:
    """Return where the lock of a catalogue stands."""
    return catalogue.with_suffix(".lock")


def read_pins(catalogue: Path) -> Pins:
    """Return the pinned names, by upstream and `METHOD path`; none without a lock.

    Raises:
        PinError: the lock is there, and is not one.
    """
    path = lock_of(catalogue)
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PinError(f"cannot be read: {error.strerror or 'not a file'}", str(path)) from None
    try:
        written = _read(text)
    except (ValueError, RecursionError):
        written = None
    names = written.get("names") if isinstance(written, dict) else None
    version = written.get("signoff_lock") if isinstance(written, dict) else None
    if version != FORMAT or not isinstance(names, dict):
        raise PinError("is not a lock of this version; write it anew or remove it", str(path))
    found: dict[str, dict[str, str]] = {}
    for upstream, held in names.items():
        if not isinstance(held, dict):
            raise PinError("is not a lock of this version; write it anew", str(path))
        found[upstream] = {}
        for operation, name in held.items():
            if not isinstance(name, str) or not TOOL.fullmatch(name):
                raise PinError(f"{operation[:100]}: has no legal name", str(path))
            found[upstream][operation] = name
        if len(set(found[upstream].values())) != len(found[upstream]):
            raise PinError(f"{upstream}: two operations have one name", str(path))
    return found


def _read(text: bytes) -> Json:
    return cast("Json", json.loads(text)) if len(text) <= _LARGEST else None


def write_pins(catalogue: Path, names: Pins) -> Path:
    """Write the lock of a catalogue; return where."""
    path = lock_of(catalogue)
    whole = {"signoff_lock": FORMAT, "names": {key: dict(names[key]) for key in names}}
    path.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
    return path
