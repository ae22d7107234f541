"""A value as an XML document, by the hints of its schema (OpenAPI §XML Object).

Owns names, namespaces, attributes, wrapping and escaping. Pure. What a value holds stays text: no
element, no attribute, no entity and no declaration comes from it.
"""

import re
from typing import Final

from signoff.canonical import Json
from signoff.catalog.wire import XmlHint
from signoff.upstream.serialise import UnserialisableError, scalar

_DEPTH: Final = 64
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_START: Final = "A-Za-z_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff"
_NAME: Final = re.compile(f"[{_START}][{_START}0-9.\u00b7-]*")  # an NCName: no colon
# XML 1.0 §2.2: everything else has no place in a document, not even as a reference.
_NO_CHARACTER: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DOCTYPE: Final = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_QUOTED: Final = str.maketrans({
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
})


def document(value: Json, hint: XmlHint | None) -> str:
    """Return the document for `value`; a text is one already and comes back as it is.

    Raises:
        UnserialisableError: the value has no form in XML, or the text declares entities.
    """
    if isinstance(value, str):
        if _DOCTYPE.search(value):
            raise UnserialisableError("declares a document type, which is never sent")
        return value
    if hint is None:
        raise UnserialisableError("must be the XML document as text")
    if isinstance(value, list) and not hint.wrapped:
        raise UnserialisableError("is a list, and a document has one element at its root")
    return _DECLARATION + _element(value, hint, 0)


def _element(value: Json, hint: XmlHint, depth: int) -> str:
    """Return one element, or one for each item of a list; nothing for null."""
    if depth > _DEPTH:
        raise UnserialisableError("is nested too deeply")
    if value is None:
        return ""
    if isinstance(value, list):
        items = hint.items or XmlHint(name=hint.name)
        inner = "".join(_element(one, items, depth + 1) for one in value)
        return _tagged(hint, [], inner) if hint.wrapped else inner
    if isinstance(value, dict):
        attributes, inner = _content(value, hint, depth)
        return _tagged(hint, attributes, inner)
    return _tagged(hint, [], _escaped(value, _TEXT))


def _content(members: dict[str, Json], hint: XmlHint, depth: int) -> tuple[list[str], str]:
    attributes: list[str] = []
    inner: list[str] = []
    for key, member in members.items():
        how = hint.members.get(key) or XmlHint(name=key)
        if member is None:
            continue
        if how.attribute:
            # A default namespace never holds for attributes.
            declared = _declared(how) if how.prefix is not None else ""
            attributes += (declared, f' {_name(how)}="{_escaped(member, _QUOTED)}"')
        elif how.text:
            inner.append(_escaped(member, _TEXT))
        else:
            inner.append(_element(member, how, depth + 1))
    return attributes, "".join(inner)


def _tagged(hint: XmlHint, attributes: list[str], inner: str) -> str:
    name = _name(hint)
    # An attribute's namespace may be the element's own: declared once, or it is no document.
    start = f"<{name}{''.join(dict.fromkeys((_declared(hint), *attributes)))}"
    return f"{start}>{inner}</{name}>" if inner else f"{start}/>"


def _name(hint: XmlHint) -> str:
    for name in (hint.name, hint.prefix):
        if name is not None and _NAME.fullmatch(name) is None:
            raise UnserialisableError(f"has the key {name[:40]!r}, which is no name in XML")
    return hint.name if hint.prefix is None else f"{hint.prefix}:{hint.name}"


def _declared(hint: XmlHint) -> str:
    if hint.namespace is None:
        return ""
    suffix = "" if hint.prefix is None else f":{hint.prefix}"
    return f' xmlns{suffix}="{hint.namespace.translate(_QUOTED)}"'


def _escaped(value: Json, table: dict[int, str]) -> str:
    text = scalar(value)
    if _NO_CHARACTER.search(text):
        raise UnserialisableError("holds a character that XML does not have")
    return text.translate(table)
