"""How an XML body is written, told by a schema's `xml` objects (OpenAPI §XML Object).

Owns the names of elements and attributes. The result is a finite tree: where a schema goes in
circles it ends, and what lies deeper is written under its own keys.
"""

import re
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi.documents import dict_of
from signoff.catalog.openapi.schemas import Converter
from signoff.catalog.wire import XmlHint

_DEEPEST: Final = 8
_MOST: Final = 2_000
_NAME: Final = re.compile(r"[^\W\d][\w.-]*")


def document_hint(converter: Converter, schema: Json) -> XmlHint | None:
    """Return how a body of `schema` is written; None where it is not an object or a list."""
    if not any(
        part.get("type") in ("object", "array") or "properties" in part
        for part in converter.parts(schema)
    ):
        return None
    return _Walk(converter).hint(schema, _component(schema) or "root", 0)


class _Walk:
    def __init__(self, converter: Converter) -> None:
        self._converter, self._left = converter, _MOST

    def hint(self, schema: Json, key: str, depth: int) -> XmlHint:
        """Return the hint of one value whose element would be `key`."""
        self._left -= 1
        parts = list(self._converter.parts(schema))
        said: dict[str, Json] = {}
        for part in reversed(parts):  # what stands nearest wins
            said |= dict_of(part.get("xml"))
        members: dict[str, XmlHint] = {}
        items: XmlHint | None = None
        if depth < _DEEPEST and self._left > 0:
            for part in parts:
                for name, member in dict_of(part.get("properties")).items():
                    members.setdefault(name, self.hint(member, name, depth + 1))
                if isinstance(part.get("items"), dict) and items is None:
                    items = self.hint(part["items"], key, depth + 1)
        node = said.get("nodeType")
        return XmlHint(
            name=_legal(said.get("name")) or _legal(key) or "item",
            namespace=_text(said.get("namespace")),
            prefix=_legal(said.get("prefix")),
            attribute=said.get("attribute") is True or node == "attribute",
            text=node in ("text", "cdata"),
            wrapped=said.get("wrapped") is True or (node == "element" and items is not None),
            members=members,
            items=items,
        )


def _component(schema: Json) -> str | None:
    ref = dict_of(schema).get("$ref")
    return ref.rsplit("/", 1)[-1] if isinstance(ref, str) else None


def _legal(name: Json) -> str | None:
    return name if isinstance(name, str) and _NAME.fullmatch(name) else None


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value and value.isprintable() else None
