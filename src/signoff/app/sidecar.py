"""The authorization server and its pages, put together over an open store.

Owns which object stands behind which of its ports. It is the whole of a sidecar, and one half of
a signoff that has everything in one process. Knows no upstream and no assistant.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.routing import BaseRoute, Route

from signoff.app.background import Task, every
from signoff.app.domain import Domain
from signoff.app.hosting import Hosting, host_scopes, hosting
from signoff.notify.terminal import Terminal, on_terminal_or_log
from signoff.oauth.callbacks import KIND as CALLBACKS
from signoff.oauth.callbacks import Callbacks
from signoff.oauth.clients import Directory, Known
from signoff.oauth.delivery import LOOPBACK_HOSTS
from signoff.oauth.draining import Draining
from signoff.oauth.exchange import Exchange
from signoff.oauth.outside import Outside
from signoff.oauth.profile import Profile
from signoff.oauth.server import authorization_server
from signoff.oauth.stores import Stores
from signoff.schema import Validator
from signoff.storage.outbox import Outbox
from signoff.storage.provider import provider_stores
from signoff.storage.sqlite import StorageError
from signoff.web.approver_api import ApproverApi
from signoff.web.described import described
from signoff.web.hosts_api import HostsApi
from signoff.web.machine_clients import AdminApi, admin_door
from signoff.web.pages import Reconcile
from signoff.web.session import SignIn
from signoff.web.site import SiteConfig, pages

_SWEEP_S: Final = 1.0
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """The authorization server of one process. `routes` are its endpoints, without the pages."""

    domain: Domain
    profile: Profile
    stores: Stores
    hosts: Hosting
    directory: Directory
    held_polls: Draining
    routes: Sequence[Route]

    def site(
        self,
        *,
        reconcile: Reconcile,
        draining: asyncio.Event,
        end_calls_of: Callable[[str], Awaitable[object]] | None,
    ) -> list[BaseRoute]:
        """Return the pages, and what else needs the session of a person."""
        domain, config = self.domain, self.domain.catalogue.server
        issuer, now = self.profile.issuer, domain.store.database.now
        users = domain.catalogue.users
        site_config = SiteConfig(
            public_url=issuer,
            name=config.name,
            users=users,
            details_types=domain.catalogue.details_types,
        )
        sign_in = SignIn(domain.sessions, public_url=issuer)
        approver = ApproverApi(approvals=domain.approvals, sign_in=sign_in, now=now)
        admin = AdminApi(
            issuer=issuer,
            clients=domain.clients,
            people=domain.people,
            users=users,
            sign_in=sign_in,
            door=admin_door(issuer, keys=domain.keyring, now=now),
            revocations=self.stores.revocations,
            end_calls_of=end_calls_of,
        )
        return [
            *pages(
                site_config,
                approvals=domain.approvals,
                sessions=domain.sessions,
                changes=domain.store.database.changes,
                reconcile=reconcile,
                now=now,
                draining=draining,
            ),
            *self.hosts.pages(site_config, self.profile, self.directory, domain.sessions),
            *approver.routes(),
            *admin.routes(),
            *HostsApi(admin=admin, hosts=domain.hosts).routes(),
        ]

    def tasks(self) -> list[Task]:
        """Return what runs beside it."""
        database, issuer = self.domain.store.database, self.profile.issuer
        approvals = self.domain.approvals
        terminal = Terminal(link=lambda id_: f"{issuer}/approvals/{id_}", show=on_terminal_or_log)
        callbacks = Callbacks(
            self.stores.callbacks,
            approvals,
            self.directory,
            Exchange(
                self.profile,
                approvals,
                self.domain.keyring,
                users=self.domain.catalogue.users,
                now=database.now,
            ),
            # A client of this computer is called back only by a server that is nowhere else.
            post=Outside(loopback=urlsplit(issuer).hostname in LOOPBACK_HOSTS).post,
            now=database.now,
        )
        return [
            ("sweep", every(_SWEEP_S, approvals.sweep)),
            ("outbox", Outbox(database).drain("approval.opened", terminal.deliver)),
            ("callbacks", Outbox(database).drain(CALLBACKS, callbacks.deliver)),
            ("revoked", every(_HOUR_S, self.stores.revocations.forget)),
        ]


def sidecar(domain: Domain, *, gate: Known | None, edge: str | None) -> Sidecar:
    """Put it together. `gate` and `edge` are those of this process, if they are in it."""
    database, sealer, catalogue = domain.store.database, domain.store.sealer, domain.catalogue
    config = catalogue.server
    audiences = (upstream.audience for upstream in catalogue.upstreams.values())
    profile = Profile(
        issuer=config.public_url,
        gate_audiences=frozenset(audience for audience in audiences if audience is not None),
        mcp_resource=edge,
        resources=frozenset(config.resources),
        details_types={
            name: Validator(one.schema) for name, one in catalogue.details_types.items()
        },
        assertion_audience=config.assertion_audience,
        hosts=True,
        host_scopes=(*host_scopes(catalogue.tools, config.resource_scopes),),
        registration=config.registration,
        client_documents=config.client_documents,
    )
    hosts = hosting(database, sealer, config)
    directory = Directory(domain.client_store, gate=gate, documents=hosts.hosts)
    stores = provider_stores(database, sealer)
    held_polls = Draining()
    routes = authorization_server(
        profile,
        approvals=domain.approvals,
        clients=directory,
        keyring=domain.keyring,
        people=domain.people,
        stores=stores,
        users=catalogue.users,
        now=database.now,
        unavailable=(StorageError,),
        draining=held_polls,
        hosts=hosts.parts,
        beside=described(),
    )
    return Sidecar(
        domain=domain,
        profile=profile,
        stores=stores,
        hosts=hosts,
        directory=directory,
        held_polls=held_polls,
        routes=routes,
    )
