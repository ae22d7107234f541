"""What an operation wants to be called with, and which of the operator's credentials meet it.

Owns reading security schemes and requirements. A spec says which header a key goes into; that a
key exists, and whose it is, is said by the catalogue alone.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi.documents import (
    Document,
    MappingError,
    Operation,
    dict_of,
    list_of,
)
from signoff.catalog.openapi.parameters import security_schemes
from signoff.catalog.wire import Requirement, SchemeKind, SchemeUse, Security, SecurityScheme

_KINDS: Final[Mapping[str, SchemeKind]] = {
    "oauth2": "oauth2",
    "openIdConnect": "openid_connect",
    "mutualTLS": "mutual_tls",
}
_CARRIERS: Final = ("header", "query", "cookie")
MOVE_ONE: Final = (
    "say where one of them goes, as in {in: header, name: …, value: …}, or change the operation's "
    "security in an overlay"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What an upstream has. `credentials` None: the catalogue has no such key at all.

    `always` are those that go with every call, whatever the spec asks for. `headers` are the names
    of headers that the operator sets, in lower case. `certificate`: there is a client certificate,
    which is shown with every call.
    """

    credentials: frozenset[str] | None = None
    always: tuple[str, ...] = ()
    headers: frozenset[str] = frozenset()
    certificate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Two credentials of one requirement that cannot go into one request: `place` is both's."""

    one: str
    other: str
    place: str


class ClashError(MappingError):
    """No requirement of the operation can be met in one request."""

    def __init__(self, clash: Clash) -> None:
        super().__init__(
            f"it needs the credentials {clash.one} and {clash.other} in one call, and both are "
            f"the {clash.place}; {MOVE_ONE}"
        )
        self.clash = clash


def schemes_of(document: Document) -> dict[str, SecurityScheme]:
    """Return the schemes that are understood, by name."""
    found: dict[str, SecurityScheme] = {}
    for name, scheme in security_schemes(document).items():
        made = _scheme(name, scheme)
        if made is not None:
            found[name] = made
    return found


def named_schemes(document: Document) -> set[str]:
    """Return the names of the schemes that some operation asks for."""
    requirements = [*list_of(document.root.get("security"))]
    for operation in document.operations():
        requirements += list_of(operation.members.get("security"))
    return {name for requirement in requirements for name in dict_of(requirement)}


def plan(
    root: Mapping[str, Json],
    operation: Operation,
    schemes: Mapping[str, SecurityScheme],
    given: Given,
) -> Security:
    """Return what the operation wants and what it gets.

    Raises:
        ClashError: two credentials that it needs together are one header, parameter or cookie.
    """
    written = operation.members.get("security", root.get("security"))
    alternatives = tuple(dict.fromkeys(_requirement(raw) for raw in list_of(written)))
    known = given.credentials or frozenset[str]()
    clash: Clash | None = None
    # Where a call may be anonymous it is still better made with a credential that is there.
    for requirement in sorted(alternatives, key=lambda one: not one):
        if all(_is_met(use, schemes, given) for use in requirement):
            sent = [use.scheme for use in requirement if use.scheme in known]
            if (twice := shared_place(sent, schemes, given)) is None:
                return Security(alternatives=alternatives, credentials=_ordered(sent, given.always))
            clash = clash or twice
    if clash is not None:
        raise ClashError(clash)
    lacking: Requirement = ()
    if alternatives and given.credentials is not None:
        lacking = tuple(use for use in alternatives[0] if not _is_met(use, schemes, given))
    return Security(
        alternatives=alternatives, credentials=_ordered([], given.always), missing=lacking
    )


def shared_place(
    names: Iterable[str], schemes: Mapping[str, SecurityScheme], given: Given
) -> Clash | None:
    """Return the first two credentials that are one place, by the spec's own words."""
    held: dict[tuple[str, str], str] = {}
    for name in names:
        scheme = schemes.get(name)
        if scheme is None or name in given.always:  # the operator says where that one goes
            continue
        place = place_of(scheme)
        if place in held:
            said = f"{scheme.carrier} {scheme.key[:60]}"
            return Clash(one=held[place], other=name, place=said)
        held[place] = name
    return None


def place_of(scheme: SecurityScheme) -> tuple[str, str]:
    """Return where a scheme's credential stands, as servers compare names."""
    return scheme.carrier, scheme.key.lower().replace("_", "-")


def clashes(
    document: Document,
    schemes: Mapping[str, SecurityScheme],
    given: Given,
    selected: Callable[[Operation], bool],
) -> list[Clash]:
    """Return a clash for each selected operation that gets no credentials because of one."""
    if shared_place(sorted(given.credentials or ()), schemes, given) is None:
        return []  # most have none, and a spec may have very many operations
    found: list[Clash] = []
    for operation in filter(selected, document.operations()):
        try:
            plan(document.root, operation, schemes, given)
        except ClashError as error:
            found.append(error.clash)
    return found


def _ordered(sent: Collection[str], always: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*sent, *always]))


def _is_met(use: SchemeUse, schemes: Mapping[str, SecurityScheme], given: Given) -> bool:
    if use.scheme in (given.credentials or ()):
        return True
    scheme = schemes.get(use.scheme)
    if scheme is not None and scheme.kind == "mutual_tls":
        return given.certificate
    return scheme is not None and scheme.carrier == "header" and scheme.key.lower() in given.headers


def _requirement(raw: Json) -> Requirement:
    return tuple(
        SchemeUse(scheme=name, scopes=tuple(one for one in list_of(scopes) if isinstance(one, str)))
        for name, scopes in dict_of(raw).items()
    )


def _scheme(name: str, scheme: Mapping[str, Json]) -> SecurityScheme | None:
    type_ = scheme.get("type")
    if type_ == "apiKey":
        carrier, key = scheme.get("in"), scheme.get("name")
        if carrier not in _CARRIERS or not isinstance(key, str) or not key:
            return None
        return SecurityScheme(name=name, kind="api_key", carrier=carrier, key=key)
    if type_ == "http":
        kind: SchemeKind = "basic" if str(scheme.get("scheme")).lower() == "basic" else "bearer"
        return SecurityScheme(name=name, kind=kind)
    if not isinstance(type_, str) or type_ not in _KINDS:
        return None
    return SecurityScheme(name=name, kind=_KINDS[type_], token_url=_token_url(scheme))


def _token_url(scheme: Mapping[str, Json]) -> str | None:
    flows = dict_of(scheme.get("flows"))
    urls = [dict_of(flow).get("tokenUrl") for flow in flows.values()]
    return next((url for url in urls if isinstance(url, str) and url), None)
