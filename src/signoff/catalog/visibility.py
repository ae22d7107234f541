"""`visible_to` and `scopes`: whom a capability exists for, and what a token needs to call it.

Owns both keys. The rule itself is the registry's and the step-up's. Nothing of a spec widens
either; its `x-mcp` may ask for scopes, where the catalogue says nothing of them.
"""

import re
from typing import Final

from signoff.catalog.config import People
from signoff.catalog.fields import Fields, Word, suggest
from signoff.catalog.model import Visibility

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # RFC 6749 §3.3
_CLIENT: Final = re.compile(r"[\x21-\x7e]{1,256}")
_FORMS: Final = 'a user, "group:NAME", "client:ID" or "scope:NAME"'


def read_visibility(fields: Fields, people: People) -> Visibility | None:
    """Read `visible_to`, None where nothing is said."""
    if fields.take("visible_to") is None:
        return None
    users, clients, scopes = set[str](), set[str](), set[str]()
    words = fields.words("visible_to")
    if not words:
        fields.complain("visible_to", f"names nobody: list {_FORMS}, or leave it out")
    for word in words:
        kind, colon, name = word.text.partition(":")
        if colon and kind == "client" and _CLIENT.fullmatch(name):
            clients.add(name)
        elif colon and kind == "scope" and _SCOPE.fullmatch(name):
            scopes.add(name)
        else:
            users |= _people(fields, word, people)
    return Visibility(users=frozenset(users), clients=frozenset(clients), scopes=frozenset(scopes))


def read_scopes(fields: Fields) -> tuple[str, ...] | None:
    """Read `scopes`, None where nothing is said."""
    if fields.take("scopes") is None:
        return None
    found: list[str] = []
    for word in fields.words("scopes"):
        if not _SCOPE.fullmatch(word.text):
            message = f"{fields.at('scopes')}: {word.text[:40]!r} is no scope"
            fields.problems.add(word.spot, message)
        elif word.text not in found:
            found.append(word.text)
    return tuple(found)


def _people(fields: Fields, word: Word, people: People) -> set[str]:
    text, path = word.text, fields.at("visible_to")
    if text in people.users:
        return {text}
    group = text.removeprefix("group:")
    if group != text:
        if group in people.groups:
            return set(people.groups[group])
        hint = suggest(group, people.groups)
        fields.problems.add(word.spot, f'{path}: nobody is in the group "{group[:60]}"{hint}')
        return set()
    hint = suggest(text, people.users) or f"; it must be {_FORMS}"
    fields.problems.add(word.spot, f'{path}: there is no user "{text[:60]}"{hint}')
    return set()
