"""A provider that signs hosts in, its pages, a host's hands and a person's, over one transport.

Routes, storage, sessions and device keys are real; only the clock is turned by hand and the person
is scripted.
"""

import base64
import hashlib
import html
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.applications import Starlette
from starlette.routing import Route

from as_parts import GATE_SECRET, ISSUER, USERS
from scripted_person import ScriptedPerson
from signoff.approvals.request import Approval
from signoff.approvals.service import Approvals
from signoff.approvals.sessions import Verb, proof_message
from signoff.oauth.authorize import Authorizations
from signoff.oauth.client_documents import ClientDocuments
from signoff.oauth.clients import Directory, gate_client
from signoff.oauth.device import Devices
from signoff.oauth.draining import Draining
from signoff.oauth.host_server import HostParts
from signoff.oauth.hosts import Hosts
from signoff.oauth.machine_clients import MachineClients
from signoff.oauth.operator_hosts import OperatorHosts
from signoff.oauth.profile import Profile
from signoff.oauth.server import authorization_server
from signoff.sealed import Sealer
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.clients import SqliteClients
from signoff.storage.codes import SqliteCodes
from signoff.storage.connections import SqliteConnections
from signoff.storage.devices import SqliteDevices
from signoff.storage.hosts import SqliteHosts
from signoff.storage.keys import SqliteKeys
from signoff.storage.operator_hosts import SqliteOperatorHosts
from signoff.storage.people import SqlitePeople
from signoff.storage.provider import provider_stores
from signoff.storage.revocations import SqliteRevocations
from signoff.storage.sessions import Sessions
from signoff.storage.sqlite import Database, StorageBusyError
from signoff.tokens.keyring import Keyring
from signoff.tokens.verify import VerifiedClaims, verify_access_token
from signoff.web.connecting import connecting_pages
from signoff.web.site import SiteConfig, pages

RESOURCE = f"{ISSUER}/mcp"
CALLBACK = "http://127.0.0.1:49152/callback"
VERIFIER = "a-verifier-of-at-least-forty-three-characters-0123"
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)


@dataclass
class HostHouse:
    """A running provider for hosts."""

    database: Database
    transport: httpx2.ASGITransport
    http: httpx2.AsyncClient
    profile: Profile
    keyring: Keyring
    people: SqlitePeople
    revocations: SqliteRevocations
    sessions: Sessions
    clients: MachineClients
    directory: Directory
    documents: ClientDocuments
    connections: SqliteConnections
    hosts: OperatorHosts
    draining: Draining
    routes: list[tuple[str, set[str]]]

    async def person(self, user: str = "alice", *, key: bool = True) -> "Person":
        """Sign a person in, with a device key or without."""
        person = Person(self)
        code = await self.sessions.create_login_code(user)
        if key:
            await person.sign_in(f"/login/{code}")
        else:
            answer = await person.http.post(f"/login/{code}", data={"device_key": ""})
            assert answer.status_code == 303, answer.text
        return person

    async def register(self, **metadata: Any) -> dict[str, Any]:
        """Register a host as MCP clients do."""
        answer = await self.http.post("/oauth2/register", json=registration(**metadata))
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def code(self, person: "Person", client_id: str, **changed: Any) -> str:
        """Have a person say yes, and return the code."""
        location = await person.answer(query(client_id, **changed))
        return returned(location)["code"]

    async def token(
        self,
        form: Mapping[str, Any],
        *,
        auth: httpx2.BasicAuth | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        data = {name: value for name, value in form.items() if value is not None}
        if auth is None:
            return await self.http.post("/oauth2/token", data=data, headers=headers)
        return await self.http.post("/oauth2/token", data=data, headers=headers, auth=auth)

    async def redeem(self, code: str, client_id: str, **changed: Any) -> httpx2.Response:
        """Exchange a code as a public client does."""
        form: dict[str, Any] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "client_id": client_id,
            "code_verifier": VERIFIER,
            "resource": RESOURCE,
        }
        return await self.token({**form, **changed})

    async def refresh(self, token: str, client_id: str, **changed: Any) -> httpx2.Response:
        """Use a refresh token as a public client does."""
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
        return await self.token({**form, **changed})

    async def signed_in(self, client_id: str, user: str = "alice") -> dict[str, Any]:
        """Go the whole way and return the token response."""
        code = await self.code(await self.person(user), client_id)
        answer = await self.redeem(code, client_id)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def claims(self, access_token: str) -> VerifiedClaims:
        """Verify an access token as the assistants' door does."""
        return verify_access_token(
            access_token,
            keys=self.keyring.public,
            issuer=ISSUER,
            audience=RESOURCE,
            now=self.database.now(),
        )

    async def stands(self, access_token: str) -> bool:
        """Tell whether nobody took a token, or its consent, back."""
        claims = self.claims(access_token)
        return await self.revocations.standing(
            str(claims["jti"]),
            sub=str(claims["sub"]),
            client_id=str(claims["client_id"]),
            consent_id=str(claims["consent_id"]),
        )

    async def events(self) -> list[str]:
        """Return the names of all audit events, oldest first."""
        rows = await self.database.fetch_all("SELECT body FROM audit ORDER BY seq")
        return [re.findall(r'"event":"([^"]+)"', bytes(row["body"]).decode())[0] for row in rows]


class ConsentingPerson(ScriptedPerson):
    """A signed-in person who answers hosts as the page's script does."""

    async def ask(self, asked: str) -> httpx2.Response:
        """Open the authorization page."""
        return await self.http.get(f"/oauth2/authorize?{asked}")

    async def fields(self, asked: str) -> dict[str, str]:
        """Return what the consent form carries, its proof signed for a yes."""
        answer = await self.ask(asked)
        assert answer.status_code == 200, answer.text
        return self.filled(answer.text)

    def filled(self, page: str, *, verb: Verb | None = None) -> dict[str, str]:
        """Return the fields of the form that decides, its proof signed for a yes (or `verb`)."""
        _, _, form = page.partition("data-decide")
        found = {
            name: html.unescape(value)
            for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)
            if name != "decision"
        }
        data = dict(re.findall(r'data-(verb|id|digest|nonce)="([^"]*)"', form))
        found["proof"] = self.signature(data, verb=verb)
        return found

    def signature(self, data: Mapping[str, str], *, verb: Verb | None = None) -> str:
        """Sign as the page's script does, or with another word."""
        message = proof_message(
            verb or cast("Verb", data["verb"]),
            approval_id=data["id"],
            digest=data["digest"],
            nonce=data["nonce"],
        )
        r, s = decode_dss_signature(self.key.sign(message, ECDSA(SHA256())))
        raw = r.to_bytes(32) + s.to_bytes(32)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    async def decide(self, fields: Mapping[str, str], decision: str = "approve") -> httpx2.Response:
        """Post the consent form."""
        return await self.http.post(
            "/oauth2/authorize/decision", data={**fields, "decision": decision}
        )

    async def answer(self, asked: str, decision: str = "approve") -> str:
        """Answer the page and return where the browser goes."""
        answer = await self.decide(await self.fields(asked), decision)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]


class Person(ConsentingPerson):
    """A person in this house."""

    def __init__(self, house: HostHouse) -> None:
        super().__init__(ISSUER)
        self.http = httpx2.AsyncClient(
            transport=house.transport, base_url=ISSUER, headers={"Origin": ISSUER}
        )


def registration(**changed: Any) -> dict[str, Any]:
    """Return what a desktop host registers."""
    metadata: dict[str, Any] = {
        "client_name": "A desk host",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    return {name: value for name, value in {**metadata, **changed}.items() if value is not None}


def query(client_id: str, **changed: Any) -> str:
    """Return an authorization request that holds."""
    members: dict[str, Any] = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": "mcp",
        "state": "xyz",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "resource": RESOURCE,
    }
    return urlencode({k: v for k, v in {**members, **changed}.items() if v is not None})


def returned(location: str) -> dict[str, str]:
    """Return what the host got back, each parameter once."""
    found = parse_qs(urlsplit(location).query, strict_parsing=True, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), location
    return {name: values[0] for name, values in found.items()}


@asynccontextmanager
async def host_house(
    database: Database,
    sealer: Sealer,
    *,
    documents: Mapping[str, Any] | None = None,
    registrations_a_minute: int = 100,
    monotonic: Callable[[], float] = time.monotonic,
    **profile: Any,
) -> AsyncGenerator[HostHouse, None]:
    """Run the house. `documents` are arguments of `ClientDocuments`."""
    settings: dict[str, Any] = {
        "issuer": ISSUER,
        "mcp_resource": RESOURCE,
        "hosts": True,
        "host_scopes": ("mcp", "payments"),
        "registration": True,
        "client_documents": True,
    }
    known = Profile(**{**settings, **profile})
    store = SqliteClients(database)
    registered = SqliteHosts(database, registrations_a_minute=registrations_a_minute)
    read = ClientDocuments(registered, now=database.now, **(documents or {}))
    hosts = Hosts(registered, read if known.client_documents else None)
    directory = Directory(store, gate=gate_client(GATE_SECRET), documents=hosts)
    keyring = Keyring(SqliteKeys(database, sealer), now=database.now)
    await keyring.maintain()
    parts = HostParts(
        codes=SqliteCodes(database),
        devices=SqliteDevices(database, sealer),
        registrations=registered,
        changes=database.changes,
    )
    approvals = Approvals(SqliteApprovals(database, sealer), database.changes)
    people, sessions = SqlitePeople(database), Sessions(database)
    draining, connections = Draining(), SqliteConnections(database)
    config = SiteConfig(public_url=ISSUER, name="acme-bank", users=USERS)

    async def reconcile(approval: Approval, *, done: bool, by: str) -> bool:
        raise AssertionError((approval.id, done, by))

    routes = [
        *authorization_server(
            known,
            approvals=approvals,
            clients=directory,
            keyring=keyring,
            users=USERS,
            people=people,
            stores=provider_stores(database, sealer),
            now=database.now,
            monotonic=monotonic,
            unavailable=(StorageBusyError,),
            draining=draining,
            hosts=parts,
        ),
        *pages(
            config,
            approvals=approvals,
            sessions=sessions,
            changes=database.changes,
            reconcile=reconcile,
            now=database.now,
        ),
        *connecting_pages(
            config,
            known,
            authorizations=Authorizations(known, hosts, parts.codes, now=database.now),
            devices=Devices(parts.devices, directory, now=database.now),
            connections=connections,
            sessions=sessions,
            now=database.now,
        ),
    ]
    transport = httpx2.ASGITransport(Starlette(routes=routes), raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as http:
        yield HostHouse(
            database=database,
            transport=transport,
            http=http,
            profile=known,
            keyring=keyring,
            people=people,
            revocations=SqliteRevocations(database),
            sessions=sessions,
            clients=MachineClients(
                store,
                user_ids=USERS.keys(),
                now=database.now,
                details_types=known.details_types.keys(),
            ),
            directory=directory,
            documents=read,
            connections=connections,
            hosts=OperatorHosts(
                SqliteOperatorHosts(database), user_ids=USERS.keys(), now=database.now
            ),
            draining=draining,
            routes=[(one.path, set(one.methods or ())) for one in routes if isinstance(one, Route)],
        )


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer) as running:
        yield running


@pytest.fixture
async def client_id(house: HostHouse) -> str:
    return (await house.register())["client_id"]


@pytest.fixture
async def alice(house: HostHouse) -> Person:
    return await house.person()
