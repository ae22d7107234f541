"""OAuth clients: who may talk to the authorization server.

Owns the record of a client and where a client is looked up (`Directory`: the gate in memory, every
other in the store). Knows no HTTP; `client_auth.py` checks credentials, `machine_clients.py` makes
and changes clients.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, TypeAlias

from signoff.canonical import Json
from signoff.oauth.delivery import Delivery
from signoff.oauth.pacing import TokenPace, TokenRecord

Role: TypeAlias = Literal["machine", "gate"]
Origin: TypeAlias = Literal["operator", "self"]
AuthMethod: TypeAlias = Literal["client_secret", "private_key_jwt", "none"]
JtiKind: TypeAlias = Literal["client_assertion", "request_object", "dpop"]
"""Each kind has ids of its own: one spent here means nothing there."""

CIBA: Final = "urn:openid:params:grant-type:ciba"
CLIENT_CREDENTIALS: Final = "client_credentials"
AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 — a grant type
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
GATE_ID: Final = "signoff-gate"
_NAME: Final = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]{1,100}"
)


class ClientError(ValueError):
    """What was asked cannot be. The message is for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client. `secret_start` are the first characters, to tell secrets apart."""

    id: str
    name: str
    role: Role = "machine"
    origin: Origin = "operator"
    auth_method: AuthMethod = "client_secret"
    grant_types: frozenset[str] = frozenset({CLIENT_CREDENTIALS})
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    jwks: str | None = None
    secret_start: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    disabled: bool = False
    delivery: Delivery = field(default_factory=Delivery)
    dpop_bound: bool = False
    details_types: tuple[str, ...] = ()
    """The `authorization_details` types that it may ask for (RFC 9396 §10)."""

    def may_act(self, *, now: datetime) -> bool:
        """Tell whether it is neither switched off nor expired."""
        expired = self.expires_at is not None and now >= self.expires_at
        return not self.disabled and not expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """SHA-256 of the secrets that open a client: the present one and, for a while, the last."""

    current: bytes | None
    previous: bytes | None = None
    previous_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A client as authentication needs it."""

    client: Client
    secrets: Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A client and its secret, shown once; None for a client that brings a key."""

    client: Client
    secret: str | None


class ClientStore(Protocol):
    """Clients at rest. Each change is one transaction with its audit row."""

    async def find(self, client_id: str) -> Known | None:
        """Return a client and the hashes of its secrets."""
        ...

    async def list(self, *, limit: int, offset: int, gates: bool) -> Sequence[Client]:
        """Return clients that are no hosts, newest first; with gates or without."""
        ...

    async def add(self, client: Client, secret: Secrets, *, by: str) -> bool:
        """Store a new client; False when the id is taken."""
        ...

    async def update(self, client: Client, *, by: str) -> bool:
        """Replace all that may change of a client; False when it is gone."""
        ...

    async def rotate(
        self, client_id: str, *, secret: bytes, start: str, overlap: timedelta, by: str
    ) -> bool:
        """Put a new secret in place; the old one opens for `overlap` more. False when gone."""
        ...

    async def remove(self, client_id: str, *, by: str) -> bool:
        """Delete a client and end what it has open; False when it is gone."""
        ...

    async def used(self, client_id: str) -> None:
        """Note that a client proved who it is. Exact to a few minutes, and refuses nobody."""
        ...

    async def spend_jti(
        self,
        client_id: str,
        jti: str,
        *,
        expires_at: datetime,
        kind: JtiKind = "client_assertion",
    ) -> bool:
        """Record a `jti` of a client's own token; False when it was used before."""
        ...

    async def record_token(
        self, client_id: str, *, jti: str, scope: str, pace: TokenPace
    ) -> TokenRecord:
        """Record a token issued to the client itself, if it may have one now and so soon."""
        ...


class Documents(Protocol):
    """Clients whose id is the address of a document they publish."""

    async def client(self, client_id: str) -> Known | None:
        """Return the client as its document was last read."""
        ...


class Directory:
    """Where a client is looked up. The gate's secret is in memory only, never in the store."""

    def __init__(
        self, store: ClientStore, *, gate: Known | None, documents: Documents | None = None
    ) -> None:
        self._store, self._gate, self._documents = store, gate, documents

    async def find(self, client_id: str) -> Known | None:
        """Return the client with this id."""
        if self._gate is not None and client_id == self._gate.client.id:
            return self._gate
        if "://" in client_id and self._documents is not None:
            return await self._documents.client(client_id)
        return await self._store.find(client_id)

    async def used(self, client: Client) -> None:
        """Note that a client of the operator's proved who it is.

        A stranger's registration is in use when a person has said yes to it, not when it calls.
        """
        if client.origin == "operator" and client.id != GATE_ID:
            await self._store.used(client.id)

    async def spend_jti(
        self,
        client_id: str,
        jti: str,
        *,
        expires_at: datetime,
        kind: JtiKind = "client_assertion",
    ) -> bool:
        """Record a `jti` of a client's own token; False when it was used before."""
        return await self._store.spend_jti(client_id, jti, expires_at=expires_at, kind=kind)

    async def record_token(
        self, client_id: str, *, jti: str, scope: str, pace: TokenPace
    ) -> TokenRecord:
        """Record a token issued to the client itself, if it may have one now and so soon."""
        return await self._store.record_token(client_id, jti=jti, scope=scope, pace=pace)


def gate_client(secret: str) -> Known:
    """Return the reserved client of the gate in this process, opened by `secret`."""
    client = Client(
        id=GATE_ID, name="signoff", role="gate", grant_types=frozenset({CIBA}), scopes=("openid",)
    )
    return Known(client=client, secrets=Secrets(current=hash_secret(secret)))


def hash_secret(secret: str) -> bytes:
    """Return SHA-256 of a secret of 256 random bits: nothing slower is needed to keep it."""
    return hashlib.sha256(secret.encode()).digest()


def is_name(text: str) -> bool:
    """Tell whether a client may be called this: one line, nothing hidden."""
    return _NAME.fullmatch(text) is not None and bool(text.strip())
