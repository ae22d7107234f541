"""The authorization server as the gate meets it: in this process, or elsewhere over a network.

Owns the two ways of putting that together. The gate does the same with either.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from starlette.routing import Router

from signoff.app.domain import Domain
from signoff.app.errors import CannotRunError
from signoff.app.sidecar import Sidecar
from signoff.gate.ciba import HOLD_HERE_S, CibaClient
from signoff.gate.credentials import SharedSecret, SigningKeys
from signoff.gate.in_process import InProcess
from signoff.gate.introspection import Introspection
from signoff.gate.link import JWKS_PATH, Link
from signoff.gate.pipeline import pause_s
from signoff.gate.ports import People
from signoff.gate.wire import Lent, Wire, over_network
from signoff.oauth.clients import GATE_ID
from signoff.tokens.keys import KeySource
from signoff.tokens.remote import RemoteKeys
from signoff.tokens.verify import VerifiedClaims

_FIRST_LOOK_S: Final = 5.0
_LOOK_AT_LEAST_EVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """What a gate needs of an authorization server. `standing` tells whether a token stands."""

    issuer: str
    client: CibaClient
    keys: KeySource
    people: People
    standing: Callable[[str, VerifiedClaims], Awaitable[bool]]
    link: Link | None = None


class _Unseen:
    """Whether somebody is signed in elsewhere is not known here, so nothing is said of it."""

    async def signed_in(self, user_ids: Collection[str]) -> set[str]:
        return set(user_ids)


def in_this_process(domain: Domain, sidecar: Sidecar, *, secret: str) -> Counterpart:
    """Return the sidecar of this process, which knows the gate by `secret`."""
    issuer = sidecar.profile.issuer
    wire = Wire(
        issuer=issuer,
        credential=SharedSecret(GATE_ID, SecretStr(secret)),
        transport=InProcess(Router(routes=list(sidecar.routes))),
        now=domain.store.database.now,
    )
    stands = sidecar.hosts.standing(sidecar.stores.revocations)

    async def standing(_: str, claims: VerifiedClaims) -> bool:
        return await stands(claims)

    return Counterpart(
        issuer=issuer,
        client=CibaClient(wire, client_id=GATE_ID, hold_s=HOLD_HERE_S),
        keys=domain.keyring,
        people=domain.reach,
        standing=standing,
    )


async def elsewhere(domain: Domain, *, root: Path) -> Counterpart:
    """Return the sidecar that the catalogue in the folder `root` names, looked at once.

    Raises:
        CannotRunError: there is no key, or the file of authorities cannot be used.
    """
    approvals, own = domain.catalogue.server.approvals, domain.gate_keys
    await own.load()
    if not own.newest_first:
        raise CannotRunError(
            "this gate has no key yet: run `signoff gate key > gate.jwks` with the same "
            "--data-dir, and register it at the sidecar with "
            "`signoff clients create NAME --role gate --jwks gate.jwks`"
        )
    transport = over_network(_authorities(approvals.ca, root))
    wire = Wire(
        issuer=approvals.issuer,
        credential=SigningKeys(
            approvals.client_id,
            issuer=approvals.issuer,
            keys=lambda: own.newest_first,
            now=domain.store.database.now,
        ),
        transport=transport,
        now=domain.store.database.now,
    )
    keys = RemoteKeys(f"{approvals.issuer}/{JWKS_PATH}", transport=Lent(transport))
    link = Link(wire, keys, client_id=approvals.client_id, pause_s=look_again_s)
    introspection = Introspection(wire, closed=link.closed)

    async def standing(token: str, _: VerifiedClaims) -> bool:
        return await introspection.stands(token)

    with suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_LOOK_S):
            await link.look()
    return Counterpart(
        issuer=approvals.issuer,
        client=CibaClient(wire, client_id=approvals.client_id, closed=link.closed),
        keys=keys,
        people=_Unseen(),
        standing=standing,
        link=link,
    )


def _authorities(ca: str | None, root: Path) -> ssl.SSLContext | None:
    if ca is None:
        return None
    path = root / ca
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise CannotRunError(
            f"approvals.ca: {path} cannot be used: it must hold certificates as PEM"
        ) from error


def look_again_s(failures: int) -> float:
    """Return how long a gate waits before it looks again for a sidecar that is away."""
    return min(_LOOK_AT_LEAST_EVERY_S, pause_s(failures))
