"""The authorization request (RFC 6749 §4.1.1, RFC 7636, RFC 8707, RFC 9207): read, then answered.

Owns the order of the checks and what goes back to the host. Nothing is ever consented to here: the
page asks a person each time, and calls `approve` or `deny`. An error goes back to the host only
where its redirect URI is known to be its own.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, urlencode

from signoff.canonical import Json, canonical_bytes, sha256_hex
from signoff.oauth.client_documents import DocumentError
from signoff.oauth.clients import AUTHORIZATION_CODE
from signoff.oauth.errors import ErrorCode, OAuthError
from signoff.oauth.host_tokens import CodeStore, Consent, NewCode, host_scope
from signoff.oauth.hosts import Host, Hosts, allowed
from signoff.oauth.profile import Profile

MAX_QUERY: Final = 4096
MALFORMED: Final = "The request is not well formed, or repeats a parameter."
CODE_LIFE: Final = timedelta(seconds=60)
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 §4.2, of a SHA-256
_JKT: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7638, by SHA-256
_NONCE: Final = re.compile(r"[\x20-\x7e]{1,500}")
_MAX_FIELDS: Final = 30
# Refused, never dropped: a host must not take a token for more than it is.
_NOT_TAKEN: Final[Mapping[str, tuple[ErrorCode, str]]] = {
    "request": ("request_not_supported", "this server takes plain parameters only"),
    "request_uri": ("request_uri_not_supported", "this server takes plain parameters only"),
    "authorization_details": (
        "invalid_authorization_details",
        "authorization_details are asked for by a backchannel request",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that holds: what a person is asked."""

    host: Host
    redirect_uri: str
    scope: str
    resource: str
    code_challenge: str
    state: str | None
    nonce: str | None
    dpop_jkt: str | None = None

    def digest(self) -> str:
        """Return the hash of everything the yes is about."""
        members: dict[str, Json] = {
            "client_id": self.host.client.id,
            "name": self.host.client.name,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "resource": self.resource,
            "code_challenge": self.code_challenge,
            "state": self.state,
            "nonce": self.nonce,
            "dpop_jkt": self.dpop_jkt,
        }
        return sha256_hex(canonical_bytes(members))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswerable:
    """Nobody can be told but the person: where an answer would go is not known to be the host's."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The host is told why at `url`, which is its own."""

    host: Host
    redirect_uri: str
    url: str
    reason: str


Reading: TypeAlias = Asked | Unanswerable | Refused


class Authorizations:
    """Reads authorization requests and answers them."""

    def __init__(
        self,
        profile: Profile,
        hosts: Hosts,
        codes: CodeStore,
        *,
        now: Callable[[], datetime],
        new_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._profile, self._hosts, self._codes = profile, hosts, codes
        self._now, self._new_token = now, new_token

    async def read(self, query: str) -> Reading:
        """Check in this order: form, host, redirect URI; from there on the host can be told."""
        fields = _fields(query)
        if fields is None:
            return Unanswerable(reason=MALFORMED)
        client_id, redirect_uri = fields.get("client_id", ""), fields.get("redirect_uri", "")
        try:
            host = await self._hosts.find(client_id) if client_id else None
        except DocumentError as error:
            return Unanswerable(reason=str(error))
        if (
            host is None
            or host.client.disabled
            or AUTHORIZATION_CODE not in host.client.grant_types
        ):
            return Unanswerable(reason="This application is not known here, or may not sign in.")
        if not allowed(redirect_uri, host.redirect_uris):
            return Unanswerable(reason="The address to return to is not one this application has.")
        try:
            return self._asked(fields, host, redirect_uri)
        except OAuthError as error:
            answer = {"error": error.code, "error_description": error.description}
            return Refused(
                host=host,
                redirect_uri=redirect_uri,
                url=self._back(redirect_uri, fields.get("state"), answer),
                reason=error.description,
            )

    def _asked(self, fields: Mapping[str, str], host: Host, redirect_uri: str) -> Asked:
        """Check in this order: what we do not do, response type, PKCE, key, resource, scope."""
        for name, (code, description) in _NOT_TAKEN.items():
            if name in fields:
                raise OAuthError(code, description)
        if fields.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "the only response_type is code")
        if fields.get("response_mode", "query") != "query":
            raise OAuthError("invalid_request", "the only response_mode is query")
        if "none" in fields.get("prompt", "").split(" "):
            raise OAuthError("consent_required", "a person is asked every time")
        challenge = fields.get("code_challenge", "")
        # RFC 7636 §4.3: without a method the meaning would be plain, which protects nothing.
        if fields.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
            raise OAuthError("invalid_request", "a code_challenge by S256 is needed")
        dpop_jkt = fields.get("dpop_jkt")
        if dpop_jkt is not None and not _JKT.fullmatch(dpop_jkt):
            raise OAuthError("invalid_request", "dpop_jkt is the thumbprint of a key by SHA-256")
        resource = fields.get("resource")
        if resource is None or resource not in self._profile.host_resources:
            raise OAuthError("invalid_target", "resource must name the MCP server, exactly")
        nonce = fields.get("nonce")
        if nonce is not None and not _NONCE.fullmatch(nonce):
            raise OAuthError("invalid_request", "nonce is longer than 500 printable characters")
        return Asked(
            host=host,
            redirect_uri=redirect_uri,
            scope=host_scope(fields.get("scope"), host.client, self._profile),
            resource=resource,
            code_challenge=challenge,
            state=fields.get("state"),
            nonce=nonce,
            dpop_jkt=dpop_jkt,
        )

    async def approve(self, asked: Asked, *, request_id: str, user_id: str, acr: str) -> str | None:
        """Keep the yes and return where the browser goes with the code.

        None: this page was answered before, or the person or the host was switched off.
        """
        code = self._new_token(32)
        consent = Consent(
            id="consent_" + self._new_token(16),
            client_id=asked.host.client.id,
            user_id=user_id,
            scope=asked.scope,
            resource=asked.resource,
            acr=acr,
            decided_at=self._now(),
        )
        kept = await self._codes.consent(
            consent,
            NewCode(
                code=code,
                request_id=request_id,
                redirect_uri=asked.redirect_uri,
                code_challenge=asked.code_challenge,
                nonce=asked.nonce,
                dpop_jkt=asked.dpop_jkt,
                expires_in=CODE_LIFE,
            ),
        )
        return self._back(asked.redirect_uri, asked.state, {"code": code}) if kept else None

    def deny(self, asked: Asked) -> str:
        """Return where the browser goes with the no."""
        answer = {"error": "access_denied", "error_description": "the person said no"}
        return self._back(asked.redirect_uri, asked.state, answer)

    def _back(self, redirect_uri: str, state: str | None, answer: Mapping[str, str]) -> str:
        members = {**answer, **({} if state is None else {"state": state})}
        # RFC 9207 §2: by `iss` a host with several servers knows whose answer this is.
        members["iss"] = self._profile.issuer
        return redirect_uri + ("&" if "?" in redirect_uri else "?") + urlencode(members)


def as_query(form: str) -> str | None:
    """Return the query of the GET that means what a posted form does; None: there is none."""
    fields = _fields(form)
    query = urlencode(fields) if fields else ""
    return query if 0 < len(query) <= MAX_QUERY else None


def _fields(query: str) -> Mapping[str, str] | None:
    if len(query) > MAX_QUERY or not query.isascii():
        return None
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError:
        return None
    fields = dict(pairs)
    # RFC 6749 §3.1: no parameter twice. Two resources would be two audiences (RFC 8707 §2).
    if len(fields) != len(pairs) or any("\x00" in value for value in fields.values()):
        return None
    return {name: value for name, value in fields.items() if value}
