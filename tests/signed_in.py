"""Somebody who is signed in and talks JSON, with a device key when they want one."""

import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.applications import Starlette
from starlette.routing import Route

from as_parts import ISSUER, USERS, Provider
from signoff.approvals.sessions import DeviceKey, proof_message
from signoff.catalog.model import User
from signoff.oauth.operator_hosts import OperatorHosts
from signoff.storage.operator_hosts import SqliteOperatorHosts
from signoff.storage.sessions import Sessions
from signoff.web.approver_api import ApproverApi
from signoff.web.hosts_api import HostsApi
from signoff.web.machine_clients import AdminApi, admin_door
from signoff.web.session import SignIn

ADMIN = User(id="root", name="Root", admin=True)


class Device:
    """The key a browser makes at sign-in."""

    def __init__(self) -> None:
        self._private = generate_private_key(SECP256R1())
        numbers = self._private.public_key().public_numbers()
        self.key = DeviceKey.from_point(numbers.x.to_bytes(32), numbers.y.to_bytes(32))

    def proof(self, card: Mapping[str, Any], verb: Any = "approve") -> str:
        message = proof_message(
            verb,
            approval_id=card["approval_id"],
            digest=card["digest"],
            nonce=card["nonce"],
        )
        r, s = decode_dss_signature(self._private.sign(message, ECDSA(SHA256())))
        raw = r.to_bytes(32) + s.to_bytes(32)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Site:
    """The JSON endpoints of people, at one public address."""

    http: httpx2.AsyncClient
    sessions: Sessions
    sign_in: SignIn
    url: str
    routes: list[Route]

    async def enter(self, user_id: str, *, device: Device | None = None) -> dict[str, str]:
        """Sign in and return the headers a browser would send."""
        code = await self.sessions.create_login_code(user_id)
        entered = await self.sessions.sign_in(code, device_key=device.key if device else None)
        assert entered is not None
        return {"cookie": f"{self.sign_in.cookie}={entered.token}", "origin": self.url}


@asynccontextmanager
async def site(provider: Provider, *, url: str = ISSUER) -> AsyncGenerator[Site, None]:
    sessions = Sessions(provider.database)
    sign_in = SignIn(sessions, public_url=url)
    now = provider.database.now
    routes = ApproverApi(approvals=provider.approvals, sign_in=sign_in, now=now).routes()
    admin = AdminApi(
        issuer=ISSUER,
        clients=provider.clients,
        people=provider.people,
        users={**USERS, ADMIN.id: ADMIN},
        sign_in=sign_in,
        door=admin_door(ISSUER, keys=provider.keyring, now=now),
        revocations=provider.stores.revocations,
    )
    hosts = OperatorHosts(
        SqliteOperatorHosts(provider.database), user_ids=USERS.keys(), now=provider.database.now
    )
    routes += [*admin.routes(), *HostsApi(admin=admin, hosts=hosts).routes()]
    transport = httpx2.ASGITransport(Starlette(routes=routes))
    async with httpx2.AsyncClient(transport=transport, base_url=url) as http:
        yield Site(http=http, sessions=sessions, sign_in=sign_in, url=url, routes=routes)
