"""Where an upstream reaches beside its `base_url`, and by what: servers, addresses, documents.

Owns `allow_servers`, `variables`, `allow_private`, `allow_refs` and `client`. What is not listed
here is not reached; how that is kept is `upstream/guard.py`'s.
"""

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Final, cast, get_args

from signoff.catalog.config import is_http_url
from signoff.catalog.fields import Fields, Word
from signoff.catalog.model import HttpClientName
from signoff.catalog.openapi.servers import Places, origin_of

_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?|[A-Za-z0-9.-]{1,253}")

_AIOHTTP: Final = "3.14."  # as pyproject.toml says; the next one may change what is built upon


def read_private(fields: Fields) -> tuple[str, ...]:
    """Read the addresses that may be private or loopback."""
    words = fields.words("allow_private")
    for word in words:
        if not _ADDRESS.fullmatch(word.text):
            message = f"{fields.at('allow_private')}: {word.text[:60]!r} is no address"
            fields.problems.add(word.spot, message)
    return tuple(word.text for word in words)


def read_client(fields: Fields) -> HttpClientName:
    """Read what sends the calls that need nobody."""
    name = cast("HttpClientName", fields.choice("client", get_args(HttpClientName), "httpcore2"))
    if name == "aiohttp":
        try:
            found = version("aiohttp")
        except PackageNotFoundError:
            found = "none"
        if not found.startswith(_AIOHTTP):
            fields.complain(
                "client",
                f"aiohttp {_AIOHTTP}x is needed, and {found} is installed: "
                "run pip install 'signoff[aiohttp]'",
            )
    return name


def read_refs(fields: Fields) -> tuple[str, ...]:
    """Read the addresses that `$ref`s may lead to; one that ends in `/` means all below it."""
    found: list[str] = []
    for word in fields.words("allow_refs"):
        if is_http_url(word.text):
            found.append(word.text)
        else:
            message = f'must be https://host/path, not "{word.text[:60]}"'
            fields.problems.add(word.spot, f"{fields.at('allow_refs')}: {message}")
    return tuple(found)


def read_places(fields: Fields, base_url: str) -> Places:
    """Read the servers that operations may name, and the variables of their templates."""
    variables: dict[str, str] = {}
    for path, member in fields.members("variables"):
        word = fields.as_word(member.node, path)
        if word is not None:
            variables[member.key] = word.text
    allowed: dict[str, bool] = {}
    for path, node in fields.nodes("allow_servers"):
        credentials = False
        word: Word | None
        if isinstance(node.value, dict):
            inner = fields.as_fields(node, path)
            if inner is None:
                continue
            inner.needs("url")
            word, credentials = inner.word("url"), inner.flag("credentials")
            inner.close()
        else:
            word = fields.as_word(node, path)
        if word is None:
            continue
        origin = origin_of(word.text) if is_http_url(word.text) else None
        if origin is None:
            fields.problems.add(word.spot, f"{path}: must be https://host, as a server has it")
        else:
            allowed[origin] = credentials
    return Places(base_url=base_url, variables=variables, allowed=allowed)
