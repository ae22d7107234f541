"""What the catalogue gives for a spec's security schemes: fixed by reference, resolved at send.

Owns where each credential stands (header, query, cookie), what people see of it, and the keyed
fingerprint that ties the approved one to the one that is sent. A value is made only when a request
leaves, for the upstream it was configured for; nothing an assistant sends is read here.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast
from urllib.parse import quote

from pydantic import SecretStr

from signoff.canonical import Json
from signoff.catalog.model import (
    Credential,
    CredentialKind,
    HeaderTemplate,
    Reference,
    Template,
    Text,
    ToolSpec,
    Upstream,
)
from signoff.identity import Caller
from signoff.upstream.client_credentials import Token, TokenSource, Wanted
from signoff.upstream.headers import (
    CredentialError,
    References,
    folded,
    for_caller,
    is_protected,
    is_sendable,
    parsed,
)
from signoff.upstream.hooks import HookContext, Hooks
from signoff.upstream.target import UpstreamError

Carrier = Literal["header", "query", "cookie"]

_SEPARATOR: Final = "\x01"
_NO_COOKIE_OCTET: Final = re.compile(r"[^\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenCredential:
    """One credential of one request. `references` are what it is made of, callers filled in."""

    scheme: str
    carrier: Carrier
    name: str
    kind: CredentialKind
    prefix: str
    references: tuple[str, ...]
    fingerprint: str | None = None

    @property
    def reference(self) -> str:
        """Return what people see instead of the value."""
        match self.kind:
            case "value":
                return f"{self.prefix}{self.references[0]}"
            case "basic":
                return f"{self.prefix}{self.references[0]}:{self.references[1]}"
            case "client_credentials":
                return f"{self.prefix}${{oauth2:{self.scheme}}}"
            case "hook":
                return f"{self.prefix}${{hook:{self.references[0]}}}"

    def to_row(self) -> list[Json]:
        """Return the stored form."""
        return [
            self.scheme,
            self.carrier,
            self.name,
            self.kind,
            self.prefix,
            list(self.references),
            self.fingerprint,
        ]

    @classmethod
    def from_row(cls, row: Sequence[Json]) -> "FrozenCredential":
        """Read back what `to_row` wrote."""
        scheme, carrier, name, kind, prefix, references, fingerprint = row
        return cls(
            scheme=str(scheme),
            carrier=cast("Carrier", carrier),
            name=str(name),
            kind=cast("CredentialKind", kind),
            prefix=str(prefix),
            references=tuple(cast("list[str]", references)),
            fingerprint=cast("str | None", fingerprint),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A credential's value, ready to stand where it goes, and the secrets inside it.

    `token` is the token in it, where one was fetched: now, or for an earlier call.
    """

    value: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    token: Token | None = None


class AuthRequiredError(UpstreamError):
    """The operation needs credentials that the catalogue does not give. Safe for the assistant."""


def freeze_credentials(
    tool: ToolSpec, upstream: Upstream, caller: Caller, references: References
) -> tuple[FrozenCredential, ...]:
    """Return the credentials that this call will carry, without a single value.

    Raises:
        AuthRequiredError: the operation's requirement cannot be met.
        UpstreamError: a credential cannot be resolved, or two would share one place.
    """
    if tool.security.missing:
        needed = " and ".join(
            use.scheme + (f" (scopes: {', '.join(use.scopes)})" if use.scopes else "")
            for use in tool.security.missing
        )
        raise AuthRequiredError(
            f"auth_required: {tool.name} needs the credential {needed}, which the operator "
            f"has not set for {upstream.name}"
        )
    found: dict[tuple[Carrier, str], FrozenCredential] = {}
    for name in tool.security.credentials:
        credential = upstream.credentials.get(name)
        if credential is None:
            raise UpstreamError(f"upstreams.{upstream.name}.credentials: has no {name}")
        frozen = _frozen(name, credential, caller, references, upstream)
        place = (frozen.carrier, folded(frozen.name))
        if place in found:
            raise UpstreamError(
                f"upstreams.{upstream.name}.credentials: {name} and {found[place].scheme} "
                f"would both be the {frozen.carrier} {frozen.name}"
            )
        found[place] = frozen
    return tuple(found.values())


def _frozen(
    scheme: str, credential: Credential, caller: Caller, references: References, upstream: Upstream
) -> FrozenCredential:
    where = f"upstreams.{upstream.name}.credentials.{scheme}"
    carrier, name, prefix = _place(credential)
    templates: tuple[Template, ...]
    match credential.kind:
        case "value":
            templates = (credential.value,)
        case "basic":
            templates = (credential.username, credential.password)
        case "client_credentials":
            templates = (credential.client_id, credential.client_secret)
        case "hook":
            templates = ()
    try:
        filled = [
            for_caller(HeaderTemplate(name=name, parts=template), caller) for template in templates
        ]
        fingerprint = references.fingerprint(
            _SEPARATOR.join((carrier, name, scheme, credential.token_url or "")),
            _joined(filled),
        )
    except CredentialError as error:
        raise UpstreamError(f"{where}: {error}") from None
    texts = tuple("".join(_written(part) for part in parts) for parts in filled)
    return FrozenCredential(
        scheme=scheme,
        carrier=carrier,
        name=name,
        kind=credential.kind,
        prefix=prefix,
        references=texts or (credential.hook or "",),
        fingerprint=fingerprint,
    )


def _place(credential: Credential) -> tuple[Carrier, str, str]:
    scheme = credential.scheme
    if scheme.kind == "api_key":
        return scheme.carrier, scheme.key, ""
    if scheme.kind == "mutual_tls":
        raise UpstreamError(f"the scheme {scheme.name} needs a client certificate")
    return "header", "Authorization", "Basic " if scheme.kind == "basic" else "Bearer "


def _joined(groups: Sequence[tuple[Text | Reference, ...]]) -> list[Text | Reference]:
    parts: list[Text | Reference] = []
    for group in groups:
        parts += (*group, Text(text=_SEPARATOR))
    return parts


def _written(part: Text | Reference) -> str:
    return part.text if isinstance(part, Text) else str(part)


class Credentials:
    """Makes the values of frozen credentials, when a request is about to leave."""

    def __init__(self, references: References, *, tokens: TokenSource, hooks: Hooks) -> None:
        self._references = references
        self._tokens = tokens
        self._hooks = hooks

    async def made(
        self,
        frozen: FrozenCredential,
        upstream: Upstream,
        *,
        approval_token: SecretStr | None,
        context: HookContext | None,
    ) -> Made | None:
        """Return the value; None when it is not the one that was frozen.

        Raises:
            CredentialError: there is no value now. The message holds no secret.
        """
        credential = upstream.credentials.get(frozen.scheme)
        if credential is None or credential.kind != frozen.kind:
            return None
        groups = [parsed(text) for text in frozen.references] if frozen.kind != "hook" else []
        label = _SEPARATOR.join((
            frozen.carrier,
            frozen.name,
            frozen.scheme,
            credential.token_url or "",
        ))
        if self._references.fingerprint(label, _joined(groups)) != frozen.fingerprint:
            return None
        texts: list[str] = []
        secrets: list[str] = []
        for parts in groups:
            resolved = self._references.resolve(parts, approval_token=approval_token)
            texts.append(resolved.value.get_secret_value())
            secrets += resolved.secrets
        token: Token | None = None
        if frozen.kind == "client_credentials":
            token = await self._tokens.token(_wanted(upstream, frozen, credential, texts))
        text = await self._text(frozen, token.text if token else None, texts, context)
        if frozen.kind != "value":
            secrets.append(text)
        value = frozen.prefix + text
        if not is_sendable(value):
            raise CredentialError(f"{frozen.scheme} holds characters that cannot be sent")
        return Made(value=value, secrets=tuple(secrets), token=token)

    async def _text(
        self,
        frozen: FrozenCredential,
        token: str | None,
        texts: Sequence[str],
        context: HookContext | None,
    ) -> str:
        match frozen.kind:
            case "hook":
                text = await self._hooks.value(frozen.references[0], context)
            case "basic":
                if ":" in texts[0]:  # RFC 7617 §2: the password would begin inside it
                    raise CredentialError(f"{frozen.scheme} has a username with a colon")
                text = ":".join(texts)
            case "value" | "client_credentials":
                text = texts[0] if token is None else token
        if frozen.prefix == "Basic ":
            return base64.b64encode(text.encode()).decode()
        return text

    def forget(self, frozen: FrozenCredential, upstream: Upstream, token: Token) -> None:
        """Drop a cached token that the upstream did not take."""
        self._tokens.forget(upstream.name, frozen.scheme, token.text)


def _wanted(
    upstream: Upstream, frozen: FrozenCredential, credential: Credential, texts: Sequence[str]
) -> Wanted:
    return Wanted(
        upstream=upstream.name,
        scheme=frozen.scheme,
        token_url=credential.token_url or "",
        client_id=texts[0],
        client_secret=SecretStr(texts[1]),
        scopes=credential.scopes,
        audience=credential.audience,
        auth_method=credential.token_endpoint_auth_method,
    )


def with_query(target: str, made: Mapping[str, str]) -> str:
    """Return the request target with credentials added to its query."""
    pairs = "&".join(
        f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in made.items()
    )
    if not pairs:
        return target
    return f"{target}{'&' if '?' in target else '?'}{pairs}"


def with_cookies(cookie: str | None, made: Mapping[str, str]) -> str:
    """Return the Cookie header's value with credentials after the arguments' cookies.

    A credential goes as the operator has it, for nobody decodes cookies; what a cookie cannot
    carry (RFC 6265 §4.1.1) is percent-encoded.
    """
    pairs = [
        f"{_cookie_text(name).replace('=', '%3D')}={_cookie_text(text)}"
        for name, text in made.items()
    ]
    return "; ".join(([cookie] if cookie else []) + pairs)


def _cookie_text(text: str) -> str:
    return _NO_COOKIE_OCTET.sub(lambda found: quote(found[0], safe=""), text)


def problems_of(upstream: Upstream, references: References) -> list[str]:
    """Return one sentence for each credential that could not be sent now."""
    problems: list[str] = []
    own = {folded(header.name) for header in upstream.headers}
    for name, credential in upstream.credentials.items():
        where = f"upstreams.{upstream.name}.credentials.{name}"
        try:
            carrier, key, _ = _place(credential)
        except UpstreamError as error:
            problems.append(f"{where}: {error}")
            continue
        if carrier == "header" and folded(key) in own:
            problems.append(f"{where}: the upstream's headers already set {key}")
        if carrier == "header" and key != "Authorization" and _is_ours(key):
            problems.append(f"{where}: {key} is no header for a credential")
        for template in (
            credential.value,
            credential.username,
            credential.password,
            credential.client_id,
            credential.client_secret,
        ):
            problems += (f"{where}: {problem}" for problem in references.problems(template))
    return problems


def _is_ours(key: str) -> bool:
    return is_protected(key) and folded(key) not in ("authorization", "proxy-authorization")
