"""What a catalogue is once compiled: frozen values, no I/O, no YAML, no OpenAPI.

Owns the shape of capabilities, upstreams, policy and users. `catalog/loader.py` makes them from
the operator's file; everything else only reads them. Risk, approver and words shown to a person
come from the operator alone: a spec's text may raise a risk, never lower one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from signoff.canonical import Json

Place = Literal["path", "query", "header", "cookie"]
Style = Literal[
    "simple", "label", "matrix", "form", "spaceDelimited", "pipeDelimited", "deepObject"
]
Effect = Literal["allow", "ask", "deny"]
Strength = Literal["session", "passkey"]
RetryKind = Literal["never", "idempotency_key", "natural", "reconcile"]
ReferenceKind = Literal["env", "file", "caller", "approval"]
BodyKind = Literal["none", "members", "whole"]


class Risk(StrEnum):
    """How much harm a call can do. `high` and `critical` ask a person whatever the method."""

    LOW = "low"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Where one argument goes on the wire.

    `argument` is the tool's name for it, `name` the wire's. `content_type` set means the value is
    serialised by that media type (OpenAPI `content` parameters) and `style` does not apply.
    """

    argument: str
    name: str
    place: Place
    style: Style
    explode: bool
    required: bool = False
    allow_reserved: bool = False
    content_type: str | None = None
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """How the request body is made.

    `members`: the body is an object; `members` maps tool argument to body key.
    `whole`: one argument (`argument`) is the body. `none`: there is no body.
    `open_members` sends arguments that belong to no parameter as further body keys.
    """

    kind: BodyKind = "none"
    content_type: str = "application/json"
    required: bool = False
    argument: str = "body"
    members: Mapping[str, str] = field(default_factory=dict[str, str])
    open_members: bool = False
    secrets: frozenset[tuple[str, ...]] = frozenset()
    """Paths of body keys whose values are masked (`writeOnly`, `format: password`, `secret`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text of an operator's template that is sent as it stands."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """`${kind:name}` or `${kind.name}` in an operator's template."""

    kind: ReferenceKind
    name: str

    def __str__(self) -> str:
        return f"${{{self.kind}{'.' if self.kind in ('caller', 'approval') else ':'}{self.name}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderTemplate:
    """A header the operator sets on every request of an upstream."""

    name: str
    parts: tuple[Text | Reference, ...]

    def __str__(self) -> str:
        return "".join(part.text if isinstance(part, Text) else str(part) for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An HTTP API. `base_url` is `http(s)://…`, or `app:module:attribute` for a Python ASGI app."""

    name: str
    base_url: str
    audience: str | None = None
    headers: tuple[HeaderTemplate, ...] = ()
    timeout_s: float = 10.0
    max_response_bytes: int = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Approver:
    """Who may decide. `any_of` holds user ids and `${caller.sub}`, groups already expanded."""

    any_of: tuple[str, ...] = ("${caller.sub}",)
    not_caller: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRule:
    """How a capability is signed off.

    `title` is the operator's template, `{argument}` for values, None for `Call tool: METHOD path`.
    `expires_in_s` is between 30 s and 72 h.
    """

    title: str | None = None
    approver: Approver = Approver()
    strength: Strength = "session"
    expires_in_s: int = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Whether a send may be repeated. `header` names the upstream's idempotency header."""

    kind: RetryKind = "never"
    header: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """One capability, compiled: what is listed, what is checked and what is sent.

    `path` is the template below the upstream's base URL, starting with `/`. `risk_reason` says
    where the risk came from. `secret_arguments` are top-level arguments masked in every output.
    `source` is `file:line` or `spec#operationId`, for messages to the operator.
    """

    name: str
    title: str
    description: str
    upstream: str
    method: str
    path: str
    input_schema: Mapping[str, Json]
    output_schema: Mapping[str, Json] | None = None
    parameters: tuple[Parameter, ...] = ()
    body: Body = Body()
    tags: tuple[str, ...] = ()
    operation_id: str | None = None
    risk: Risk = Risk.HIGH
    risk_reason: str = "unset"
    approval: ApprovalRule = ApprovalRule()
    retry: Retry = Retry()
    definite_statuses: frozenset[int] = frozenset()
    """5xx statuses after which the operator vouches that nothing happened."""
    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    secret_arguments: frozenset[str] = frozenset()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One rule; the members that are set must all match. `capability` is a name or a glob."""

    id: str
    effect: Effect
    capability: str | None = None
    method: str | None = None
    risk: Risk | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules in order, then defaults by method (`*` for every other)."""

    rules: tuple[PolicyRule, ...] = ()
    defaults: Mapping[str, Effect] = field(
        default_factory=lambda: {"GET": "allow", "HEAD": "allow", "*": "ask"}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person. `subjects` maps another provider's issuer to this person's `sub` there."""

    id: str
    name: str
    email: str | None = None
    admin: bool = False
    groups: tuple[str, ...] = ()
    subjects: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """The catalogue's `server`, `storage`, `auth` and `approvals` sections."""

    name: str = "signoff"
    instructions: str = ""
    public_url: str = "http://localhost:8420"
    allowed_hosts: tuple[str, ...] = ()
    max_tools: int = 60
    storage_url: str = "sqlite"
    local_user: str | None = None
    approvals_issuer: str = "embedded"
    wait_budgets_s: Mapping[str, float] = field(default_factory=dict[str, float])
    """Longer waits by `clientInfo.name`, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An operation that could not become a tool, and why."""

    source: str
    operation: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything the operator's file says, compiled. `digest` covers all of it."""

    digest: str
    server: ServerConfig
    tools: tuple[ToolSpec, ...]
    upstreams: Mapping[str, Upstream]
    policy: Policy
    users: Mapping[str, User]
    skipped: tuple[Skipped, ...] = ()
