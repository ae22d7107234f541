"""The operator's doors to clients: create, list, show, update, rotate, delete.

Owns the rules for making and changing one. A secret exists in clear only in the answer that makes
it. Knows no HTTP and no command line.
"""

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from signoff.canonical import Json, canonical_bytes
from signoff.oauth.clients import (
    CIBA,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    GATE_ID,
    REFRESH_TOKEN,
    Client,
    ClientError,
    ClientStore,
    Issued,
    Role,
    Secrets,
    hash_secret,
    is_name,
)
from signoff.oauth.delivery import Delivery, DeliveryError, check_delivery
from signoff.tokens.keys import KeySet, TokenError

Never: TypeAlias = Literal["never"]

_GRANTS: Final = frozenset({CIBA, CLIENT_CREDENTIALS, DEVICE_CODE, REFRESH_TOKEN})
LISTED: Final = 500
"""How many one answer lists at most."""
_SHOWN: Final = 6
_MAX_OVERLAP: Final = timedelta(days=7)
_MAX_METADATA: Final = 4096
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}")
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*:[\x21\x22\x24-\x7e]{1,500}")  # no fragment
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # RFC 6749 §3.3


class MachineClients:
    """The operator's doors: create, list, show, update, rotate, delete."""

    def __init__(
        self,
        store: ClientStore,
        *,
        user_ids: Collection[str],
        now: Callable[[], datetime],
        details_types: Collection[str] = (),
        new_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        """`user_ids` share the clients' namespace: a client may have none of them.

        `details_types` are the `authorization_details` types there are.
        """
        self._store, self._user_ids, self._now, self._new_token = store, user_ids, now, new_token
        self._details_types = details_types

    async def create(
        self,
        *,
        name: str,
        by: str,
        client_id: str | None = None,
        role: Role = "machine",
        grant_types: Collection[str] = (CLIENT_CREDENTIALS,),
        scopes: Sequence[str] = (),
        audiences: Sequence[str] = (),
        metadata: Mapping[str, Json] | None = None,
        expires_in: timedelta | None = None,
        jwks: str | None = None,
        delivery: Delivery | None = None,
        dpop_bound: bool = False,
        details_types: Sequence[str] = (),
    ) -> Issued:
        """Make a client. With `jwks` it signs assertions, else it gets a secret, shown once.

        Raises:
            ClientError: names what is wrong.
        """
        client = Client(
            id=client_id or "client_" + self._new_token(16),
            name=name,
            role=role,
            auth_method="client_secret" if jwks is None else "private_key_jwt",
            grant_types=frozenset(grant_types),
            scopes=tuple(dict.fromkeys(scopes)),
            audiences=tuple(dict.fromkeys(audiences)),
            metadata=metadata or {},
            jwks=jwks,
            delivery=delivery or Delivery(),
            dpop_bound=dpop_bound,
            details_types=self._known(details_types),
            expires_at=None if expires_in is None else self._now() + expires_in,
        )
        _check(client, now=self._now())
        if client.id in self._user_ids or client.id == GATE_ID:
            raise ClientError(f"the id {client.id} belongs to somebody else")
        secret, kept = None, Secrets(current=None)
        if jwks is None:
            secret = self._new_token(32)
            client = replace(client, secret_start=secret[:_SHOWN])
            kept = Secrets(current=hash_secret(secret))
        if not await self._store.add(client, kept, by=by):
            raise ClientError(f"the id {client.id} belongs to another client")
        return Issued(client=await self.show(client.id), secret=secret)

    async def list(
        self, *, limit: int = 50, offset: int = 0, gates: bool = True
    ) -> Sequence[Client]:
        """Return clients that are no hosts, newest first, without secrets."""
        limit, offset = max(1, min(limit, LISTED)), max(0, offset)
        return await self._store.list(limit=limit, offset=offset, gates=gates)

    async def show(self, client_id: str) -> Client:
        """Return one client.

        Raises:
            ClientError: there is none.
        """
        known = await self._store.find(client_id)
        if known is None:
            raise ClientError(f"there is no client {client_id[:64]}")
        return known.client

    async def update(
        self,
        client_id: str,
        *,
        by: str,
        name: str | None = None,
        scopes: Sequence[str] | None = None,
        audiences: Sequence[str] | None = None,
        metadata: Mapping[str, Json] | None = None,
        expires_in: timedelta | Never | None = None,
        delivery: Delivery | None = None,
        dpop_bound: bool | None = None,
        details_types: Sequence[str] | None = None,
        jwks: str | None = None,
    ) -> Client:
        """Change what is given; the rest stays. Keys replace all there were.

        `expires_in` is `never` to take an expiry off.

        Raises:
            ClientError: there is no such client, or a value is wrong.
        """
        before = await self.show(client_id)
        if jwks is not None and before.auth_method != "private_key_jwt":
            raise ClientError(f"{client_id} has a secret, and brings no keys: create another")
        after = replace(
            before,
            name=before.name if name is None else name,
            scopes=before.scopes if scopes is None else tuple(dict.fromkeys(scopes)),
            audiences=before.audiences if audiences is None else tuple(dict.fromkeys(audiences)),
            metadata=before.metadata if metadata is None else metadata,
            expires_at=self._expiry(before, expires_in),
            delivery=delivery or before.delivery,
            dpop_bound=before.dpop_bound if dpop_bound is None else dpop_bound,
            details_types=(
                before.details_types if details_types is None else self._known(details_types)
            ),
            jwks=before.jwks if jwks is None else jwks,
        )
        _check(after, now=self._now())
        if not await self._store.update(after, by=by):
            raise ClientError(f"there is no client {client_id[:64]}")
        return await self.show(client_id)

    async def rotate(self, client_id: str, *, by: str, overlap: timedelta = timedelta(0)) -> Issued:
        """Give a client a new secret; the old one opens for `overlap` more.

        Raises:
            ClientError: there is no such client, it has no secret, or the overlap is too long.
        """
        client = await self.show(client_id)
        if client.auth_method == "none":
            raise ClientError(f"{client_id} is a public host and has no secret")
        if client.auth_method != "client_secret":
            raise ClientError(f"{client_id} signs with its own key and has no secret")
        if not timedelta(0) <= overlap <= _MAX_OVERLAP:
            raise ClientError("the overlap is between 0 and 7 days")
        secret = self._new_token(32)
        digest = hash_secret(secret)
        if not await self._store.rotate(
            client_id, secret=digest, start=secret[:_SHOWN], overlap=overlap, by=by
        ):
            raise ClientError(f"there is no client {client_id[:64]}")
        return Issued(client=await self.show(client_id), secret=secret)

    def _expiry(self, before: Client, expires_in: timedelta | Never | None) -> datetime | None:
        match expires_in:
            case None:
                return before.expires_at
            case "never":
                return None
            case timedelta():
                return self._now() + expires_in

    def _known(self, details_types: Sequence[str]) -> tuple[str, ...]:
        for name in details_types:
            if name not in self._details_types:
                known = ", ".join(sorted(self._details_types)) or "none"
                raise ClientError(
                    f"there is no authorization_details type {name[:100]}; there is {known}"
                )
        return tuple(dict.fromkeys(details_types))

    async def delete(self, client_id: str, *, by: str) -> None:
        """Delete a client and end what it has open.

        Raises:
            ClientError: there is none.
        """
        if not await self._store.remove(client_id, by=by):
            raise ClientError(f"there is no client {client_id[:64]}")


def _check(client: Client, *, now: datetime) -> None:
    problems = (
        (
            not _ID.fullmatch(client.id),
            "an id is 3 to 64 letters, digits, dots, dashes, underscores",
        ),
        (not is_name(client.name), "a name is 1 to 100 visible characters"),
        (not all(map(_SCOPE.fullmatch, client.scopes)), "a scope is printable, without blanks"),
        (
            "offline_access" in client.scopes,
            "offline_access is no scope to give: it comes with the grant refresh_token",
        ),
        (
            client.grant_types <= {REFRESH_TOKEN, CLIENT_CREDENTIALS}
            and REFRESH_TOKEN in client.grant_types,
            "refresh tokens come from ciba or device_code: give that grant too",
        ),
        (
            client.role == "gate" and REFRESH_TOKEN in client.grant_types,
            "a gate asks anew for every call: it has no refresh tokens",
        ),
        (
            bool(client.details_types)
            and (CIBA not in client.grant_types or client.role == "gate"),
            "authorization_details are asked for by the grant ciba, and a gate has its own type",
        ),
        (not all(map(_is_uri, client.audiences)), "an audience is an absolute URI"),
        (not client.grant_types, "a client needs a grant type"),
        (not client.grant_types <= _GRANTS, f"the grant types are {', '.join(sorted(_GRANTS))}"),
        (len(canonical_bytes(dict(client.metadata))) > _MAX_METADATA, "metadata is over 4 KiB"),
        (client.expires_at is not None and client.expires_at <= now, "the expiry is in the past"),
        (
            client.origin == "self" and CIBA in client.grant_types,
            "a self-registered client may not ask people for approval",
        ),
    )
    for wrong, message in problems:
        if wrong:
            raise ClientError(message)
    if client.dpop_bound and client.delivery.mode == "push":
        raise ClientError("a push has no request that could prove a key: bind polled tokens")
    if client.jwks is not None:
        _check_keys(client.jwks)
    try:
        check_delivery(client.delivery, has_keys=client.jwks is not None)
    except DeliveryError as error:
        raise ClientError(str(error)) from error


def _check_keys(jwks: str) -> None:
    try:
        usable = len(KeySet.parse(jwks))
    except TokenError as error:
        raise ClientError(f"the key set: {error}") from error
    if not usable:
        raise ClientError("the key set holds no key that can sign")


def _is_uri(text: str) -> bool:
    return _URI.fullmatch(text) is not None
