"""The operator's doors to hosts: make one known beforehand, list all there are, show, delete.

Owns the rules for a host that an operator makes. It needs no registration of its own, people are
told that the operator knows its name, and nobody but the operator can change it. A secret exists in
clear only in the answer that makes it. Knows no HTTP and no command line.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final, Protocol

from signoff.oauth.clients import (
    AUTHORIZATION_CODE,
    DEVICE_CODE,
    REFRESH_TOKEN,
    Client,
    ClientError,
    Issued,
    hash_secret,
    is_name,
)
from signoff.oauth.hosts import Host, RedirectError, check_redirect_uris, is_document_id

_SHOWN: Final = 6
LISTED: Final = 500
"""How many one answer lists at most."""


class OperatorHostStore(Protocol):
    """Hosts at rest, as the operator sees them. Each change is one transaction with its audit."""

    async def add(self, host: Host, *, secret: bytes | None, by: str) -> bool:
        """Keep a host; False when its id is taken."""
        ...

    async def list(self, *, limit: int, offset: int) -> Sequence[Host]:
        """Return hosts of every source, the newest first."""
        ...

    async def find(self, client_id: str) -> Host | None:
        """Return a host of any source."""
        ...

    async def remove(self, client_id: str, *, by: str) -> bool:
        """Delete a host with everything it was given; False when it is gone."""
        ...


class OperatorHosts:
    """Create, list, show, delete."""

    def __init__(
        self,
        store: OperatorHostStore,
        *,
        user_ids: Collection[str],
        now: Callable[[], datetime],
        new_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        """`user_ids` share the clients' namespace: a host may have none of them."""
        self._store, self._user_ids, self._now, self._new_token = store, user_ids, now, new_token

    async def create(
        self,
        *,
        name: str,
        redirect_uris: Sequence[str],
        by: str,
        confidential: bool = False,
        device: bool = False,
    ) -> tuple[Host, Issued]:
        """Make a host: public, for PKCE proves the code is its own; or with a secret, shown once.

        `device`: it may also sign people in by a code that it shows (RFC 8628).

        Raises:
            ClientError: names what is wrong.
        """
        if not is_name(name):
            raise ClientError("a name is 1 to 100 visible characters")
        uris = tuple(dict.fromkeys(redirect_uris))
        try:
            check_redirect_uris(uris)
        except RedirectError as error:
            raise ClientError(str(error)) from error
        secret = self._new_token(32) if confidential else None
        grants = {AUTHORIZATION_CODE, REFRESH_TOKEN, *([DEVICE_CODE] if device else [])}
        client = Client(
            id="host_" + self._new_token(16),
            name=name,
            auth_method="client_secret" if confidential else "none",
            grant_types=frozenset(grants),
            secret_start=None if secret is None else secret[:_SHOWN],
            created_at=self._now(),
        )
        host = Host(client=client, redirect_uris=uris, known_since=self._now(), source="operator")
        kept = None if secret is None else hash_secret(secret)
        if client.id in self._user_ids or not await self._store.add(host, secret=kept, by=by):
            raise ClientError(f"the id {client.id} belongs to somebody else")
        return host, Issued(client=client, secret=secret)

    async def list(self, *, limit: int = 100, offset: int = 0) -> Sequence[Host]:
        """Return hosts of every source, the newest first, without secrets."""
        return await self._store.list(limit=max(1, min(limit, LISTED)), offset=max(0, offset))

    async def show(self, client_id: str) -> Host:
        """Return one host.

        Raises:
            ClientError: there is none.
        """
        found = await self._store.find(client_id)
        if found is None:
            raise ClientError(f"there is no host {client_id[:64]}")
        return found

    async def delete(self, client_id: str, *, by: str) -> None:
        """Delete a host: what people let it do ends, and its tokens stop working.

        Raises:
            ClientError: there is none, or only its document's address is known.
        """
        if is_document_id(client_id):
            await self.show(client_id)
            raise ClientError(
                "it is known by its document and would come back: signoff clients disable"
            )
        if not await self._store.remove(client_id, by=by):
            raise ClientError(f"there is no host {client_id[:64]}")
