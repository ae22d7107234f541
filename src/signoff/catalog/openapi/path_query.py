"""A query that stands in an operation's path: what of it is fixed, and what is an argument.

OpenAPI's path templating knows no query, but published documents write them: `/export?q={q}&v=2`.
Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from signoff.catalog.openapi.documents import MappingError

_TEXT: Final = "[A-Za-z0-9._~%-]"
_PAIR: Final = re.compile(rf"({_TEXT}+)(?:=(?:{_TEXT}*|\{{([^{{}}]+)\}}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathQuery:
    """`fixed` is sent with every call; `sent_as` maps a placeholder to the name of its value."""

    fixed: str = ""
    sent_as: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def names(self) -> frozenset[str]:
        """The names that the fixed part sets, in lower case."""
        return frozenset(
            unquote(pair.partition("=")[0]).lower() for pair in self.fixed.split("&") if pair
        )


def read(path: str) -> PathQuery:
    """Return the query of an operation's path. A fragment only tells operations apart.

    Raises:
        MappingError: it is not plain names, values and placeholders.
    """
    before, question, query = path.partition("#")[0].partition("?")
    fixed: list[str] = []
    sent_as: dict[str, str] = {}
    for pair in query.split("&") if question else ():
        found = _PAIR.fullmatch(pair)
        if found is None:
            raise MappingError("its path holds a query that is not plain names and values")
        name, placeholder = found.groups()
        if placeholder is None:
            fixed.append(pair)
        elif placeholder in sent_as or f"{{{placeholder}}}" in before:
            raise MappingError(f"its path holds {{{placeholder[:60]}}} twice")
        else:
            sent_as[placeholder] = unquote(name)
    return PathQuery(fixed="&".join(fixed), sent_as=sent_as)
