"""`credentials`: what the operator gives for the security schemes of a spec.

Owns the four shapes of a credential, and that each has a place to go: the spec's scheme of that
name, or one that is described here; and the client certificate, which goes with the connection.
A secret is always a reference.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from signoff.catalog import templates
from signoff.catalog.config import is_http_url
from signoff.catalog.fields import Fields, suggest
from signoff.catalog.model import (
    ClientAuthMethod,
    ClientCertificate,
    Credential,
    Reference,
    Template,
)
from signoff.catalog.openapi.security import place_of
from signoff.catalog.wire import SecurityScheme
from signoff.catalog.yaml_source import Member, Spot

_METHODS: Final = ("client_secret_basic", "client_secret_post")
_CARRIERS: Final = ("header", "query", "cookie")
_HOOK: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,100}")
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def read_credentials(
    fields: Fields, schemes: Mapping[str, SecurityScheme], headers: Iterable[str] = ()
) -> tuple[dict[str, Credential], tuple[str, ...]]:
    """Read `credentials`; also return the names of those that go with every call.

    `headers` are those that the upstream sets: no credential is one of them.
    """
    own = {_folded(name) for name in headers}
    found: dict[str, Credential] = {}
    always: list[str] = []
    for path, member in fields.members("credentials"):
        reader = _Reader(fields, path, member)
        made, is_own = reader.read(schemes)
        if made is None:
            continue
        if fault := _header_fault(made.scheme, own):
            reader.complain(fault)
        for name, other in found.items():
            # Of two that a spec asks for, each may be for operations of its own.
            is_constant = is_own or name in always
            if is_constant and place_of(other.scheme) == place_of(made.scheme):
                reader.complain(
                    f"is the {made.scheme.carrier} {made.scheme.key[:60]}, as "
                    f"{fields.path}.credentials.{name} is, and one of them goes with every call; "
                    "take one of them out"
                )
        found[member.key] = made
        if is_own:
            always.append(member.key)
        if "audience" not in fields and _wants_approval(made):
            reader.complain(f"${{approval.token}} needs {fields.path}.audience: who it is for")
    return found, tuple(always)


def _header_fault(scheme: SecurityScheme, own: Collection[str]) -> str | None:
    """Say why a credential cannot stand in the header that its scheme names."""
    if scheme.kind != "api_key":
        name = "Authorization"
    elif scheme.carrier == "header":
        name = scheme.key
    else:
        return None
    if _folded(name) in own:
        return f"the upstream's headers already set {name[:60]}"
    fault = templates.header_fault(name)
    if fault is None and _folded(name) == "cookie":
        fault = "holds cookies; a scheme with in: cookie adds one"
    return None if fault is None else f"goes into the header {name[:60]!r}, which {fault}"


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def read_certificate(fields: Fields, base_url: str) -> ClientCertificate | None:
    """Read `client_certificate`, None where there is none."""
    inner = fields.section("client_certificate")
    if inner is None:
        return None
    inner.needs("cert", "is needed: the certificate, as a PEM file")
    inner.needs("key", "is needed: the certificate's key, as a PEM file")
    made = ClientCertificate(
        cert=_file(inner, "cert"),
        key=_file(inner, "key"),
        password=_password(inner),
        ca=_file(inner, "ca"),
    )
    inner.close()
    if not base_url.startswith("https:"):
        fields.complain("client_certificate", "is shown in TLS, and base_url is not https")
    return made


def _file(inner: Fields, key: str) -> Template:
    word = inner.word(key)
    if word is None:
        return ()
    parts = templates.template(word, lambda text: inner.complain(key, text))
    is_file = parts is not None and [
        part.kind if isinstance(part, Reference) else "" for part in parts
    ] == ["file"]
    if parts is not None and not is_file:
        inner.complain(key, 'is a PEM file; write "${file:path}"')
    return parts if parts is not None and is_file else ()


def _password(inner: Fields) -> Template:
    word = inner.word("password")
    if word is None:
        return ()
    return templates.secret("password", word, lambda text: inner.complain("password", text))


class _Reader:
    def __init__(self, fields: Fields, path: str, member: Member) -> None:
        self._fields, self._path, self._member = fields, path, member

    def complain(self, message: str, spot: Spot | None = None) -> None:
        self._fields.problems.add(spot or self._member.spot, f"{self._path}: {message}")

    def read(self, schemes: Mapping[str, SecurityScheme]) -> tuple[Credential | None, bool]:
        """Return the credential, and whether it says itself where it goes."""
        node = self._member.node
        if not isinstance(node.value, dict):
            scheme = self._spec_scheme(schemes)
            word = self._fields.as_word(node, self._path)
            if scheme is None or word is None:
                return None, False
            if scheme.kind == "basic":
                self.complain("is basic: give it {username: …, password: …}")
                return None, False
            value = templates.secret("", word, lambda text: self.complain(text, word.spot))
            return Credential(scheme=scheme, kind="value", value=value), False
        inner = self._fields.as_fields(node, self._path, self._member.spot)
        if inner is None:
            return None, False
        own = self._own_scheme(inner)
        scheme = own or self._spec_scheme(schemes)
        made = self._shape(inner, scheme) if scheme is not None else None
        if scheme is not None:
            inner.close()
        return made, own is not None

    def _spec_scheme(self, schemes: Mapping[str, SecurityScheme]) -> SecurityScheme | None:
        name = self._member.key
        scheme = schemes.get(name)
        if scheme is None:
            hint = suggest(name, schemes) or "; say where it goes: {in: header, name: …}"
            self.complain(f'the spec has no security scheme "{name[:60]}"{hint}')
        elif scheme.kind == "mutual_tls":
            where = f"{self._fields.path}.client_certificate"
            self.complain(f"is a client certificate: give it as {where}: {{cert: …, key: …}}")
            return None
        return scheme

    def _own_scheme(self, inner: Fields) -> SecurityScheme | None:
        """A credential may say itself where it goes, for an API whose spec does not."""
        carrier, key = inner.choice("in", _CARRIERS, ""), inner.text("name")
        if not carrier:
            if key:
                inner.complain("name", "of what? add in: header, query or cookie")
            return None
        place = cast("Literal['header', 'query', 'cookie']", carrier)
        inner.needs("name", "is needed: what the header, query parameter or cookie is called")
        fault = None if _KEY.fullmatch(key) else "is not a name"
        if place == "header":
            fault = templates.header_fault(key)
        if key and fault is not None:
            inner.complain("name", fault)
        if not key or fault is not None:
            return None
        return SecurityScheme(name=self._member.key, kind="api_key", carrier=place, key=key)

    def _shape(self, inner: Fields, scheme: SecurityScheme) -> Credential | None:
        if "hook" in inner:
            hook = inner.text("hook")
            if not _HOOK.fullmatch(hook):
                inner.complain("hook", 'a Python function is written "package.module:function"')
            return Credential(scheme=scheme, kind="hook", hook=hook)
        if "client_id" in inner:
            return self._client(inner, scheme)
        if "username" in inner or "password" in inner:
            inner.needs("username")
            inner.needs("password")
            if scheme.kind != "basic":
                inner.complain("username", f"the scheme is {scheme.kind}, not basic")
            return Credential(
                scheme=scheme,
                kind="basic",
                username=self._text(inner, "username"),
                password=self._secret(inner, "password"),
            )
        inner.needs("value", "is needed, or hook, client_id, or username and password")
        return Credential(scheme=scheme, kind="value", value=self._secret(inner, "value"))

    def _client(self, inner: Fields, scheme: SecurityScheme) -> Credential:
        said = f"; the spec says {scheme.token_url[:100]}" if scheme.token_url else ""
        inner.needs("client_secret")
        inner.needs("token_url", f"is needed: a spec chooses no host{said}")
        token_url = inner.text("token_url") or None
        if token_url is not None and not _is_token_url(token_url):
            inner.complain("token_url", "must be https://…, or http:// on this machine")
        if scheme.kind == "basic":
            inner.complain("client_id", "the scheme is basic")
        return Credential(
            scheme=scheme,
            kind="client_credentials",
            client_id=self._text(inner, "client_id"),
            client_secret=self._secret(inner, "client_secret"),
            token_url=token_url,
            scopes=tuple(word.text for word in inner.words("scopes")),
            audience=inner.text("audience") or None,
            token_endpoint_auth_method=cast(
                "ClientAuthMethod",
                inner.choice("token_endpoint_auth_method", _METHODS, "client_secret_basic"),
            ),
        )

    def _text(self, inner: Fields, key: str) -> Template:
        word = inner.word(key)
        if word is None:
            return ()
        return templates.template(word, lambda text: inner.complain(key, text)) or ()

    def _secret(self, inner: Fields, key: str) -> Template:
        word = inner.word(key)
        if word is None:
            return ()
        return templates.secret(key, word, lambda text: inner.complain(key, text))


def _is_token_url(url: str) -> bool:
    if not is_http_url(url):
        return False
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOCAL


def _wants_approval(credential: Credential) -> bool:
    return any(
        isinstance(part, Reference) and part.kind == "approval"
        for part in (*credential.value, *credential.password, *credential.client_secret)
    )
