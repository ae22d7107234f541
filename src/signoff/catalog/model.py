"""What a catalogue is once compiled: frozen values, no I/O, no YAML, no OpenAPI.

Owns the shape of capabilities, upstreams, policy and users. `catalog/loader.py` makes them from
the operator's file; everything else only reads them. Risk, approver and words shown to a person
come from the operator alone: a spec's text may raise a risk, never lower one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, Literal

from signoff.canonical import Json
from signoff.catalog.wire import (
    Body,
    Pagination,
    Parameter,
    Security,
    SecurityScheme,
    Server,
    StreamKind,
)

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")

EMBEDDED: Final = "embedded"

Effect = Literal["allow", "ask", "deny"]
Strength = Literal["session", "passkey"]
RetryKind = Literal["never", "idempotency_key", "natural", "reconcile"]
ReferenceKind = Literal["env", "file", "caller", "approval"]
RefStyle = Literal["keep", "inline"]
HttpClientName = Literal["httpcore2", "aiohttp"]
AssertionAudience = Literal["issuer", "ciba"]
ClientAuthMethod = Literal["client_secret_basic", "client_secret_post"]
CredentialKind = Literal["value", "basic", "client_credentials", "hook"]


class Risk(StrEnum):
    """How much harm a call can do. `high` and `critical` ask a person whatever the method."""

    LOW = "low"
    HIGH = "high"
    CRITICAL = "critical"


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


Template = tuple[Text | Reference, ...]
"""An operator's text with references in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What the catalogue gives for one security scheme of a spec; `scheme` says where it goes.

    `value`: `value` is the key or token. `basic`: `username` and `password`.
    `client_credentials`: a token from `token_url` (RFC 6749 §4.4) for `client_id` and
    `client_secret`, with `scopes` and `audience`, cached until shortly before it expires. The
    client shows itself by `token_endpoint_auth_method` (RFC 7591 §2).
    `hook`: `module:function`, called with the call's context for the value, async or not.
    It is bound to the origin of the upstream's `base_url` (and a `Server` with `credentials`).
    """

    scheme: SecurityScheme
    kind: CredentialKind
    value: Template = ()
    username: Template = ()
    password: Template = ()
    client_id: Template = ()
    client_secret: Template = ()
    token_url: str | None = None
    scopes: tuple[str, ...] = ()
    audience: str | None = None
    token_endpoint_auth_method: ClientAuthMethod = "client_secret_basic"  # noqa: S105 — its name
    hook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """What an upstream is shown in TLS, as PEM files: a certificate, with its chain, and its key.

    `cert`, `key` and `ca` are one `${file:…}` each; `password` opens the key. `ca` is the authority
    of the upstream's own certificate, in place of the system's. It is shown to the origin of
    `base_url` and to no other.
    """

    cert: Template
    key: Template
    password: Template = ()
    ca: Template = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """Whom a capability exists for: any of these. Groups are expanded to users already.

    A scope counts for callers whose credential is limited by scopes, and for those without limit.
    """

    users: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An HTTP API. `base_url` is `http(s)://…`, or `app:module:attribute` for a Python ASGI app."""

    name: str
    base_url: str
    audience: str | None = None
    headers: tuple[HeaderTemplate, ...] = ()
    timeout_s: float = 10.0
    max_response_bytes: int = 1_048_576
    client: HttpClientName = "httpcore2"
    """What sends the calls that need nobody. Those that a person approved go out over httpcore2."""
    credentials: Mapping[str, Credential] = field(default_factory=dict[str, Credential])
    """By scheme name; which of them a call sends is `ToolSpec.security.credentials`."""
    allow_private: tuple[str, ...] = ()
    """Origins, networks or addresses beside `base_url`'s that may be private or loopback."""
    visible_to: Visibility | None = None
    """Whom all of its capabilities exist for; None is everybody. One's own word narrows it."""
    client_certificate: ClientCertificate | None = None


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
class Capability:
    """What is known of a capability before it is compiled: enough to find it and to judge it.

    `path` is the template below the upstream's base URL, starting with `/`. `risk_reason` says
    where the risk came from. `source` is `file:line` or `spec#operationId`, for messages to the
    operator. `summary` is one plain line.
    """

    name: str
    title: str
    upstream: str
    method: str
    path: str
    summary: str = ""
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
    source: str = ""
    scopes: tuple[str, ...] = ()
    """OAuth scopes that a call needs: the catalogue's word, else those of a spec's `x-mcp`."""
    visible_to: Visibility | None = None
    """Whom it exists for; None is everybody."""
    deprecated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec(Capability):
    """One capability, compiled: what is listed, what is checked and what is sent.

    `secret_arguments` are top-level arguments masked in every output.
    """

    description: str
    input_schema: Mapping[str, Json]
    output_schema: Mapping[str, Json] | None = None
    parameters: tuple[Parameter, ...] = ()
    body: Body = field(default_factory=Body)
    secret_arguments: frozenset[str] = frozenset()
    query: str = ""
    """A query that stands in the operation's own path, encoded; every call begins with it."""
    server: Server | None = None
    """None is the upstream's `base_url`."""
    security: Security = field(default_factory=Security)
    accept: tuple[str, ...] = ()
    """Media types of the 2xx answers, best first; none declared means anything."""
    stream: StreamKind | None = None
    """A 2xx answer may be a sequence of events; its Content-Type says so."""
    pagination: Pagination | None = None


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
class DefaultGrants:
    """What of one upstream goes without asking; the rest of it asks.

    `capabilities` are names or globs. Whether a risk lets a grant count is `gate/policy.py`'s.
    """

    everything: bool = False
    methods: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()

    def names(self, tool: Capability) -> bool:
        """Say whether the grants name `tool` exactly."""
        return tool.name in self.capabilities

    def covers(self, tool: Capability) -> bool:
        """Say whether the grants name `tool`, its method, or a pattern that it fits."""
        return (
            self.everything
            or tool.method in self.methods
            or any(fnmatchcase(tool.name, one) for one in self.capabilities)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules in order, then grants by upstream, then defaults by method (`*` for every other)."""

    rules: tuple[PolicyRule, ...] = ()
    defaults: Mapping[str, Effect] = field(
        default_factory=lambda: {"GET": "allow", "HEAD": "allow", "*": "ask"}
    )
    grants: Mapping[str, DefaultGrants] = field(default_factory=dict[str, DefaultGrants])


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
class Approvals:
    """Who asks people: this very signoff (`embedded`), or a sidecar elsewhere.

    `client_id` is what the sidecar calls the gate here. `ca` is a file with the authorities that
    vouch for the sidecar's certificate, relative to the catalogue; none means the usual ones.
    """

    issuer: str = EMBEDDED
    client_id: str = ""
    ca: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailsType:
    """A type of `authorization_details` that applications may ask for; the words are for cards."""

    name: str
    schema: Mapping[str, Json]
    title: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """The catalogue's `server`, `storage`, `auth` and `approvals` sections."""

    name: str = "signoff"
    instructions: str = ""
    public_url: str = "http://localhost:8420"
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    """Whose pages may be MCP hosts here, from a browser."""
    client_address_header: str | None = None
    """What the reverse proxy in front of us names the address in that it saw."""
    max_tools: int = 60
    storage_url: str = "sqlite"
    local_user: str | None = None
    approvals: Approvals = field(default_factory=Approvals)
    resources: tuple[str, ...] = ()
    """The MCP edges elsewhere whose hosts sign people in here, and what their tools may need."""
    resource_scopes: tuple[str, ...] = ()
    registration: bool = True
    """Whether MCP hosts may register themselves; a person is asked before one gets anything."""
    client_documents: bool = True
    """Whether the client id of a host may be the https address of its document."""
    assertion_audience: AssertionAudience = "issuer"
    """What a client's assertion may be addressed to: the issuer, or also the endpoints."""
    session_lifetime_s: float = 90 * 86_400.0
    """After this an approver signs in anew, however busy the session was."""
    wait_budgets_s: Mapping[str, float] = field(default_factory=dict[str, float])
    """Longer waits by `clientInfo.name`, seconds."""
    refs: RefStyle = "keep"
    """Whether listed schemas keep their `$defs`, or have them written out."""
    client_refs: Mapping[str, RefStyle] = field(default_factory=dict[str, RefStyle])
    """The same, by `clientInfo.name`."""
    tool_bytes: int = 8_192
    list_bytes: int = 1_950_000
    """What a listed tool, and the whole list, may weigh; larger schemas are shortened there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An operation that could not become a tool, and why."""

    source: str
    operation: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything the operator's file says, compiled. `digest` covers all of it.

    `tools` may be an `Offered` (`catalog/offered.py`), which compiles a tool when it is asked for.
    """

    digest: str
    server: ServerConfig
    tools: Sequence[ToolSpec]
    upstreams: Mapping[str, Upstream]
    policy: Policy
    users: Mapping[str, User]
    skipped: Sequence[Skipped] = ()
    details_types: Mapping[str, DetailsType] = field(default_factory=dict[str, DetailsType])
