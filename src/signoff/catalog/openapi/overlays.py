"""Overlay 1.0 documents: an operator's changes to a spec that is not theirs.

Owns `actions`: `update` merges into whatever its target finds, `remove` takes it out. Targets are
JSONPath (RFC 9535). The changed document lives in memory only.
"""

import copy
import json
import re
from typing import Final, cast

import jsonpath
from jsonpath import JSONPathError

from signoff.canonical import Json
from signoff.catalog.openapi.documents import dict_of
from signoff.catalog.openapi.sources import DocumentError

_VERSION: Final = re.compile(r"1\.[0-9]+(\.[0-9]+)?")
_MOST_ACTIONS: Final = 10_000


def lay(overlay: Json, root: Json) -> dict[str, Json]:
    """Return a copy of `root` with the overlay's actions applied in order.

    Raises:
        DocumentError: the overlay is not one, or an action cannot be applied.
    """
    members = dict_of(overlay)
    version = members.get("overlay")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise DocumentError('not an overlay: the text "overlay: 1.0.0" is missing')
    actions = members.get("actions")
    if not isinstance(actions, list) or not actions or len(actions) > _MOST_ACTIONS:
        raise DocumentError("an overlay has a list of actions")
    if not isinstance(root, dict):
        raise DocumentError("not an OpenAPI document: the top is not a mapping")
    # YAML aliases share what they name; a change in one place must stay in it.
    changed = cast("dict[str, Json]", json.loads(json.dumps(root)))
    for at, action in enumerate(actions):
        _apply(dict_of(action), at, changed)
    return changed


def _apply(action: dict[str, Json], at: int, root: dict[str, Json]) -> None:
    where = f"actions[{at}]"
    target = action.get("target")
    if not isinstance(target, str):
        raise DocumentError(f"{where}: target must be a JSONPath")
    try:
        found = [
            (match.parts, cast("Json", match.obj)) for match in jsonpath.finditer(target, root)
        ]
    except JSONPathError as error:
        reason = str(error).split("\n", 1)[0][:200]
        raise DocumentError(f"{where}: target is not a JSONPath: {reason}") from None
    if action.get("remove") is True:
        # From the back, so that positions in lists stay true.
        for steps, _ in sorted(found, key=lambda one: _order(one[0]), reverse=True):
            _remove(root, steps, where)
    elif "update" in action:
        for _, value in found:
            _merge(value, action["update"], where)
    else:
        raise DocumentError(f"{where}: neither update nor remove: true")


def _order(steps: tuple[int | str, ...]) -> list[tuple[bool, int, str]]:
    return [
        (isinstance(step, int), step if isinstance(step, int) else 0, str(step)) for step in steps
    ]


def _remove(root: dict[str, Json], steps: tuple[int | str, ...], where: str) -> None:
    if not steps:
        raise DocumentError(f"{where}: the whole document cannot be removed")
    held: Json = root
    for step in steps[:-1]:
        held = _at(held, step)
    last = steps[-1]
    if isinstance(held, dict) and isinstance(last, str):
        held.pop(last, None)
    elif isinstance(held, list) and isinstance(last, int) and last < len(held):
        del held[last]


def _at(held: Json, step: int | str) -> Json:
    """Return what is there, or None where it is gone already."""
    if isinstance(held, dict) and isinstance(step, str):
        return held.get(step)
    if isinstance(held, list) and isinstance(step, int) and step < len(held):
        return held[step]
    return None


def _merge(target: Json, update: Json, where: str) -> None:
    """Overlay 1.0 §Action Object: mappings are merged, lists get an item more, the rest is set."""
    if isinstance(target, list):
        target.append(copy.deepcopy(update))
        return
    if not isinstance(target, dict) or not isinstance(update, dict):
        raise DocumentError(f"{where}: update goes into a mapping or a list")
    for key, value in update.items():
        held = target.get(key)
        if isinstance(held, dict) and isinstance(value, dict):
            _merge(held, value, where)
        elif isinstance(held, list) and isinstance(value, list):
            held.extend(copy.deepcopy(value))
        else:
            target[key] = copy.deepcopy(value)
