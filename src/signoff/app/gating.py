"""The gate and what it stands between, put together: the assistant's door and the upstreams.

Owns which object stands behind which of its ports. Where the authorization server is, its
`Counterpart` knows.
"""

import asyncio
import os
import signal
from collections.abc import Generator, Iterable, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from signoff.app.background import Task, every
from signoff.app.counterpart import Counterpart
from signoff.app.domain import Domain
from signoff.app.errors import CannotRunError
from signoff.assistant.auth import (
    AccessTokens,
    LocalToken,
    either,
    only_active,
)
from signoff.assistant.edge import Edge, mcp_edge
from signoff.assistant.local_secret import LocalTokenError, local_token
from signoff.catalog.model import Capability
from signoff.catalog.registry import Registry
from signoff.gate.failpoints import Reach, only_at, pass_by
from signoff.gate.pipeline import Gate
from signoff.gate.policy import Ask, decide
from signoff.upstream.headers import References
from signoff.upstream.target import UpstreamError
from signoff.upstream.transport import Transports

_HOUR_S: Final = 3600.0
_REMIND_S: Final = 15.0
_KEEP_CALLS: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gating:
    """The gate of one process and the assistants' door to it. `token` opens it locally."""

    domain: Domain
    counterpart: Counterpart
    gate: Gate
    edge: Edge
    token: str
    draining: asyncio.Event

    def tasks(self) -> list[Task]:
        """Return what runs beside it."""
        calls, now = self.domain.calls, self.domain.store.database.now
        tasks: list[Task] = [
            ("forget", every(_HOUR_S, lambda: calls.forget(now() - _KEEP_CALLS))),
            ("remind", every(_REMIND_S, self.gate.remind)),
        ]
        if self.counterpart.link is not None:
            tasks.append(("link", self.counterpart.link.keep()))
        return tasks


async def gating(
    stack: AsyncExitStack,
    domain: Domain,
    counterpart: Counterpart,
    *,
    root: Path,
    environment: Mapping[str, str],
    failpoint: str | None,
) -> Gating:
    """Start it on `stack`; `root` is the catalogue's folder.

    Raises:
        CannotRunError: an upstream, a reference or the local token cannot be used.
    """
    catalogue, store = domain.catalogue, domain.store
    database, data_dir, config = store.database, store.data_dir, catalogue.server
    references = References(store.sealer, environment=environment, root=root)
    if unset := references.check(catalogue.upstreams.values()):
        raise CannotRunError("\n".join(unset))
    # What an `app:` upstream finds in its environment, as docs/openapi.md says.
    stack.enter_context(
        _told(
            SIGNOFF_ISSUER=counterpart.issuer,
            SIGNOFF_CLIENT_ID=counterpart.client.client_id,
            SIGNOFF_DATA_DIR=str(data_dir),
        )
    )
    try:
        transports = await stack.enter_async_context(
            Transports(catalogue.upstreams.values(), data_dir=data_dir, references=references)
        )
        token = local_token(data_dir)
    except (UpstreamError, LocalTokenError) as error:
        raise CannotRunError(str(error)) from error
    registry = Registry(catalogue)
    gate = Gate(
        registry=registry,
        calls=domain.calls,
        client=counterpart.client,
        keys=counterpart.keys,
        transports=transports,
        references=references,
        sealer=store.sealer,
        changes=database.changes,
        people=counterpart.people,
        reach=_failpoint(failpoint),
    )
    await stack.enter_async_context(gate.running())

    async def switched_off(ids: Iterable[str]) -> bool:
        return not (await domain.people.disabled()).isdisjoint(ids)

    def asks(tool: Capability) -> bool:
        return isinstance(decide(catalogue.policy, tool), Ask)

    draining = asyncio.Event()
    tokens = AccessTokens(
        counterpart.keys,
        issuer=counterpart.issuer,
        resource=f"{config.public_url}/mcp",
        now=database.now,
        standing=counterpart.standing,
    )
    edge = mcp_edge(
        gate,
        registry,
        config,
        issuer=counterpart.issuer,
        authenticate=only_active(
            either(LocalToken(token, local_user=config.local_user), tokens), switched_off
        ),
        draining=draining,
        changes=database.changes,
        now=database.now,
        asks=asks,
    )
    await stack.enter_async_context(edge.lifespan())
    return Gating(
        domain=domain,
        counterpart=counterpart,
        gate=gate,
        edge=edge,
        token=token,
        draining=draining,
    )


@contextmanager
def _told(**variables: str) -> Generator[None]:
    """Set variables of this process's environment while the body runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _failpoint(name: str | None) -> Reach:
    if name is None:
        return pass_by
    return only_at(name, lambda: os.kill(os.getpid(), signal.SIGKILL))
