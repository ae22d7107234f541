"""A spec as tools from Python, without a catalogue file.

Owns `from_openapi`. What an operator would write in a catalogue is given as arguments, and means
the same there; everything else follows from the spec, by the same compiler. Starts nothing and
sends nothing: `signoff.handler.openapi` does.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias, TypedDict

from pydantic import SecretStr

from signoff.canonical import Json
from signoff.catalog.approving import Defaults, Own, demanded, stronger
from signoff.catalog.config import is_http_url
from signoff.catalog.fields import Problems, Word, suggest
from signoff.catalog.grants import Wanted, settle
from signoff.catalog.model import (
    METHODS,
    Capability,
    DefaultGrants,
    Policy,
    Risk,
    Skipped,
    Strength,
    Text,
    ToolSpec,
    Upstream,
)
from signoff.catalog.openapi.compiler import Faulty, Index, Target, Words
from signoff.catalog.openapi.documents import Document, MappingError, Operation, dict_of
from signoff.catalog.openapi.files import below
from signoff.catalog.openapi.names import PREFIX, PREFIX_RULE
from signoff.catalog.openapi.security import Given, named_schemes, schemes_of
from signoff.catalog.openapi.servers import Places, origin_of, root_urls
from signoff.catalog.openapi.texts import plain_text
from signoff.catalog.specs import read_bytes
from signoff.catalog.wire import SecurityScheme
from signoff.catalog.yaml_source import SPEC_LIMITS, Spot

_TITLE: Final = 80
_DESCRIPTION: Final = 600
_LONGEST_S: Final = 72 * 3_600
_STRENGTHS: Final = ("session", "passkey")
_NO_SPEC: Final = (
    "a spec is a Path to a file, its bytes or a mapping; for a name write Path(name), and an "
    "address has to be fetched first"
)
_NOWHERE: Final = Spot(line=1, column=1)


class SetupError(ValueError):
    """What the program gave cannot be used. The message says what to give instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """What `resolve_headers` is told of a request that is about to leave.

    `context` is what the program passed with the call, untouched; nothing in it is a model's.
    """

    tool: str
    method: str
    url: str
    context: Any = field(repr=False)


Headers: TypeAlias = Mapping[str, str | SecretStr | Text]
"""Header values by name. A text is a secret, and is taken out of answers; a `Text` is none."""
Secret: TypeAlias = str | SecretStr
GiveCredential: TypeAlias = Secret | Callable[[Outbound], Awaitable[Secret] | Secret]
"""A key or token, or a function that gives it; for `basic` as `user:password`."""
ResolveHeaders: TypeAlias = Callable[[Outbound], Awaitable[Headers] | Headers]
Spec: TypeAlias = Path | bytes | Mapping[str, Json]
ApprovalStrength: TypeAlias = (
    Strength | Mapping[str, Strength] | Callable[[Capability], Strength | None]
)
"""For all, by method (`*` is every other), or what a function says of each; None is its risk's."""
Grants: TypeAlias = bool | str | Sequence[str] | Callable[[Capability], bool]
"""As `default_grants` of a catalogue. A function grants like a pattern: nothing that is risky."""


class Options(TypedDict, total=False):
    """The keyword arguments of `from_openapi`."""

    base_url: str | None
    upstream: str
    prefix: str | None
    selected: Callable[[Operation], bool]
    deprecated: bool
    variables: Mapping[str, str] | None
    allow_servers: Mapping[str, bool] | None
    allow_private: Sequence[str]
    timeout_s: float
    max_response_bytes: int
    resolve_headers: ResolveHeaders | None
    own_headers: Sequence[str]
    credentials: Mapping[str, GiveCredential] | None
    risks: Mapping[str, str] | None
    approval_strength: ApprovalStrength | None
    default_grants: Grants | None
    expires_in_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FromOpenApi:
    """What a spec gives: the API's own name and words, its upstream, its tools and their policy.

    `skipped` are the operations that cannot become tools, and those that were not wanted. `notes`
    say which risky tools are granted by name, and which ones a grant does not reach.
    `is_base_url_given` is False where the spec itself said where calls go.
    """

    name: str
    description: str
    upstream: Upstream
    tools: tuple[ToolSpec, ...]
    skipped: tuple[Skipped, ...]
    policy: Policy
    notes: tuple[str, ...] = ()
    resolve_headers: ResolveHeaders | None = None
    credentials: Mapping[SecurityScheme, GiveCredential] = field(
        default_factory=dict[SecurityScheme, GiveCredential], repr=False
    )
    is_base_url_given: bool = False


def from_openapi(
    spec: Spec,
    *,
    base_url: str | None = None,
    upstream: str = "api",
    prefix: str | None = None,
    selected: Callable[[Operation], bool] = lambda _: True,
    deprecated: bool = False,
    variables: Mapping[str, str] | None = None,
    allow_servers: Mapping[str, bool] | None = None,
    allow_private: Sequence[str] = (),
    timeout_s: float = 10.0,
    max_response_bytes: int = 1_048_576,
    resolve_headers: ResolveHeaders | None = None,
    own_headers: Sequence[str] = (),
    credentials: Mapping[str, GiveCredential] | None = None,
    risks: Mapping[str, str] | None = None,
    approval_strength: ApprovalStrength | None = None,
    default_grants: Grants | None = None,
    expires_in_s: int = 900,
) -> FromOpenApi:
    """Compile a spec. `base_url` is where the calls go; without it, the spec's first server.

    `variables` fill in server templates. `allow_servers` maps further origins that operations may
    name to whether credentials go there; one that leads to a private address has to stand in
    `allow_private` too. `own_headers` are those that `resolve_headers` sets: no argument may.
    `credentials` are by the name of the spec's security scheme, and go where it says. `risks` are
    by tool name; `prefix` and an underscore begin each. `expires_in_s` is how long a person has to
    decide.

    Raises:
        DocumentError: the spec cannot be used as a whole, or says no server and none is given.
        SetupError: an argument names what is not there, or asks for less than a risk demands.
    """
    if base_url is not None and not is_http_url(base_url):
        raise SetupError("base_url is http(s)://host/path, without credentials, query or fragment")
    if not 1 <= expires_in_s <= _LONGEST_S:
        raise SetupError(f"expires_in_s is from 1 to {_LONGEST_S} seconds")
    if prefix is not None and not PREFIX.fullmatch(prefix):
        raise SetupError(f"prefix {PREFIX_RULE}")
    document = _document(spec)
    given = dict(variables or {})
    base = base_url or next(
        (url for url in root_urls(document, Places(variables=given)) if origin_of(url) is not None),
        "",
    )
    allowed = {origin_of(url) or url: yes for url, yes in (allow_servers or {}).items()}
    places = Places(base_url=base.rstrip("/"), variables=given, allowed=allowed)
    schemes = _schemes(document, credentials or {})
    index = Index(
        document,
        Target(
            upstream=upstream,
            places=places,
            given=Given(
                credentials=None if credentials is None else frozenset(schemes),
                headers=frozenset(name.lower() for name in own_headers),
            ),
            deprecated=deprecated,
            prefix=prefix or "",
        ),
        selected=selected,
        words=lambda _: Words(never_headers=tuple(own_headers)),
    )
    tools: list[ToolSpec] = []
    without: list[Faulty] = [*index.faulty, *index.left_out]
    for one in index.offered:
        try:
            tools.append(index.tool(one))
        except MappingError as error:
            without.append(Faulty(operation=one.operation, reason=error.message))
    risky = _with_risks(tools, risks or {})
    signed = [_signed(tool, approval_strength, expires_in_s) for tool in risky]
    policy, notes = _policy(upstream, signed, default_grants)
    about = dict_of(document.root.get("info"))
    return FromOpenApi(
        name=plain_text(about.get("title"), limit=_TITLE) or upstream,
        description=plain_text(about.get("description"), limit=_DESCRIPTION),
        upstream=Upstream(
            name=upstream,
            base_url=places.base_url,
            timeout_s=timeout_s,
            max_response_bytes=max_response_bytes,
            allow_private=tuple(allow_private),
        ),
        tools=tuple(signed),
        skipped=tuple(
            Skipped(source=document.name, operation=one.operation.label, reason=one.reason)
            for one in without
        ),
        policy=policy,
        notes=notes,
        resolve_headers=resolve_headers,
        credentials={schemes[name]: give for name, give in (credentials or {}).items()},
        is_base_url_given=base_url is not None,
    )


def _document(spec: Spec) -> Document:
    if isinstance(spec, Path):
        try:
            text = read_bytes(spec, SPEC_LIMITS.size)
        except OSError as error:
            raise SetupError(f"{spec} cannot be read: {error.strerror or 'not a file'}") from error
        return Document(text, name=str(spec), read=below(spec.parent))
    if isinstance(spec, bytes):
        return Document(spec, name="spec")
    if not isinstance(spec, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SetupError(_NO_SPEC)
    try:
        text = json.dumps(dict(spec)).encode()
    except (TypeError, ValueError) as error:
        raise SetupError(f"the spec is no JSON: {error}") from error
    return Document(text, name="spec")


def _schemes(document: Document, names: Iterable[str]) -> dict[str, SecurityScheme]:
    """Return the schemes that credentials are given for, each of which some operation asks for."""
    known, asked = schemes_of(document), named_schemes(document)
    for name in names:
        if name not in known:
            hint = suggest(name, known)
            raise SetupError(f'credentials: the spec has no security scheme "{name[:60]}"{hint}')
        if known[name].kind == "mutual_tls":
            raise SetupError(f"credentials: {name} is a client certificate; give it in tls")
        if name not in asked:
            raise SetupError(f"credentials: no operation asks for {name}; use resolve_headers")
    return {name: known[name] for name in names}


def _with_risks(tools: Sequence[ToolSpec], risks: Mapping[str, str]) -> list[ToolSpec]:
    known = [tool.name for tool in tools]
    for name, risk in risks.items():
        if name not in known:
            raise SetupError(f'risks: there is no tool "{name[:60]}"{suggest(name, known)}')
        if risk not in set(Risk):
            raise SetupError(f"risks: {name} must be one of {', '.join(Risk)}, not {risk[:40]!r}")
    return [
        replace(tool, risk=Risk(risks[tool.name]), risk_reason="set by the program")
        if tool.name in risks
        else tool
        for tool in tools
    ]


def _signed(
    tool: ToolSpec, approval_strength: ApprovalStrength | None, expires_in_s: int
) -> ToolSpec:
    """Return the tool with how it is signed off; never less than its risk demands."""
    if callable(approval_strength):
        said = approval_strength(tool)
        if said is not None:
            _check_strength(said)
            if stronger(said, demanded(tool.risk)) != said:
                raise SetupError(
                    f"approval_strength: {tool.name} is {tool.risk}, which means "
                    f"{demanded(tool.risk)}; {said} would be less"
                )
        defaults = Defaults(strengths={} if said is None else {"*": said})
    elif approval_strength is None or isinstance(approval_strength, str):
        defaults = Defaults(strengths={} if approval_strength is None else {"*": approval_strength})
    else:
        defaults = Defaults(strengths=approval_strength)
    for method, strength in defaults.strengths.items():
        _check_strength(strength)
        if method not in (*METHODS, "*"):
            hint = suggest(method, METHODS)
            raise SetupError(f'approval_strength: "{method[:20]}" is no method{hint}')
    rule = Own(expires_in_s=expires_in_s).over(defaults, tool.method, tool.risk, Problems(""))
    return replace(tool, approval=rule)


def _check_strength(strength: str) -> None:
    if strength not in _STRENGTHS:
        listed = " or ".join(_STRENGTHS)
        raise SetupError(f"approval_strength: must be {listed}, not {str(strength)[:40]!r}")


def _policy(
    upstream: str, tools: Sequence[ToolSpec], grants: Grants | None
) -> tuple[Policy, tuple[str, ...]]:
    if grants is None:
        return Policy(), ()
    if callable(grants):
        # A function is a pattern, whatever it says of a name: what is risky is granted by a name
        # that stands in the program's own words.
        low = tuple(tool.name for tool in tools if tool.risk is Risk.LOW and grants(tool))
        return Policy(grants={upstream: DefaultGrants(capabilities=low)}), ()
    listed = grants if isinstance(grants, bool) else [grants] if isinstance(grants, str) else grants
    words: list[tuple[str, Word]] = []
    if not isinstance(listed, bool):
        words = [("default_grants", Word(text=one, spot=_NOWHERE)) for one in listed]
    wanted = Wanted(
        path="default_grants", spot=_NOWHERE, everything=grants is True, words=tuple(words)
    )
    problems, notes = Problems("default_grants"), Problems("default_grants")
    settled = settle({upstream: wanted}, tools, problems, notes)
    if problems.found:
        raise SetupError("; ".join(one.message for one in problems.found))
    return Policy(grants=settled), tuple(one.message for one in notes.ordered())
