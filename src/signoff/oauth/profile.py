"""What this authorization server is: its issuer, its addresses, its bounds.

Owns the values that the endpoints and the metadata must agree on. Every URL is made from the
issuer of the configuration, never from a request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from signoff.oauth.pacing import TokenPace
from signoff.schema import Validator

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 — an address
ALIAS_TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 — an address, where Auth0's SDKs look
ALIAS_BACKCHANNEL_PATH: Final = "/bc-authorize"
BACKCHANNEL_PATH: Final = "/oauth2/bc-authorize"
JWKS_PATH: Final = "/oauth2/jwks"
INTROSPECT_PATH: Final = "/oauth2/introspect"
REVOKE_PATH: Final = "/oauth2/revoke"
WITHDRAW_PATH: Final = "/ciba/withdraw"
OUTCOME_PATH: Final = "/ciba/outcome"
AUTHORIZE_PATH: Final = "/oauth2/authorize"
REGISTER_PATH: Final = "/oauth2/register"
DEVICE_PATH: Final = "/oauth2/device_authorization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """`gate_audiences` are the upstreams' audiences, beside `{issuer}/gate`.

    `mcp_resource` is the MCP edge in this process, `resources` are those in others.

    `details_types` are the `authorization_details` types other clients may use, each with its
    schema. `assertion_audience`: `issuer` (draft rfc7523bis) or `ciba` (also the endpoints' URLs,
    CIBA Core §7.1).
    """

    issuer: str
    gate_audiences: frozenset[str] = frozenset()
    mcp_resource: str | None = None
    resources: frozenset[str] = frozenset()
    acr_values: tuple[str, ...] = ("session",)
    details_types: Mapping[str, Validator] = field(default_factory=dict[str, Validator])
    assertion_audience: Literal["issuer", "ciba"] = "issuer"
    default_expiry_s: int = 300
    longest_expiry_s: int = 72 * 3600
    client_token_s: int = 3600
    token_pace: TokenPace = field(default_factory=TokenPace)
    held_at_most: int = 20_000
    hosts: bool = False
    """Whether MCP hosts sign people in here: code + PKCE, refresh tokens, device codes."""
    host_scopes: tuple[str, ...] = ("mcp",)
    """What a host may ask for; the first is the door itself, the others open single tools."""
    registration: bool = False
    client_documents: bool = False

    @property
    def path(self) -> str:
        """The path of the issuer, empty for most."""
        return urlsplit(self.issuer).path.rstrip("/")

    @property
    def host_resources(self) -> frozenset[str]:
        """The MCP edges that hosts may have tokens for."""
        here = () if self.mcp_resource is None else (self.mcp_resource,)
        return self.resources.union(here)

    @property
    def gate_audience(self) -> str:
        """The audience of an approval token that no upstream asks for."""
        return self.url("/gate")

    @property
    def default_audience(self) -> str:
        """The audience of a token whose client was registered for no resource."""
        return self.url("/default")

    def url(self, path: str) -> str:
        """Return the public URL of a path of ours."""
        return self.issuer.rstrip("/") + path

    def token_urls(self) -> tuple[str, ...]:
        """Return every address of the token endpoint."""
        return (self.url(TOKEN_PATH), self.url(ALIAS_TOKEN_PATH))

    def assertion_audiences(self) -> frozenset[str]:
        """Return what a client assertion may be addressed to."""
        # Auth0's SDKs write an issuer with a slash at the end.
        issuer = {self.issuer, self.url("/")}
        if self.assertion_audience == "issuer":
            return frozenset(issuer)
        return frozenset(issuer | {self.url(TOKEN_PATH), self.url(BACKCHANNEL_PATH)})
