"""The authorization server alone, durable, as `benchmarks.authorization` measures it.

Nothing is raised or switched off: there are enough users for the limits of each. It is served as
`signoff serve` serves it. `POST /approve` says yes as the page would.

Run by the benchmark: `python -m benchmarks.authorization_server PORT DIRECTORY`.
"""

import asyncio
import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signoff.app.garbage import collected
from signoff.app.http import listening, serving
from signoff.approvals.service import Approvals
from signoff.catalog.model import User
from signoff.oauth.clients import CIBA, Client, Directory, Secrets, hash_secret
from signoff.oauth.profile import Profile
from signoff.oauth.server import authorization_server
from signoff.origin import OriginGuard
from signoff.sealed import Sealer
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.clients import SqliteClients
from signoff.storage.keys import SqliteKeys
from signoff.storage.people import SqlitePeople
from signoff.storage.provider import provider_stores
from signoff.storage.sqlite import Database
from signoff.tokens.keyring import Keyring

CLIENT, SECRET = "bench-client", "a-secret-of-the-benchmark-and-of-nobody"
RESOURCE = "https://bank.example/api"
USERS = tuple(f"user-{number}" for number in range(1_024))


async def main(port: int, directory: Path) -> None:
    """Serve until killed."""
    async with Database(directory / "signoff.db").running() as database:
        sealer = Sealer(b"k" * 32)
        approvals = Approvals(SqliteApprovals(database, sealer), database.changes)
        keyring = Keyring(SqliteKeys(database, sealer), now=database.now)
        await keyring.maintain()
        store = SqliteClients(database)
        client = Client(
            id=CLIENT,
            name="Benchmark",
            grant_types=frozenset({CIBA}),
            audiences=(RESOURCE,),
            secret_start=SECRET[:6],
        )
        await store.add(client, Secrets(current=hash_secret(SECRET)), by="benchmark")
        routes = authorization_server(
            Profile(issuer=f"http://127.0.0.1:{port}"),
            approvals=approvals,
            clients=Directory(store, gate=None),
            keyring=keyring,
            users={name: User(id=name, name=name) for name in USERS},
            people=SqlitePeople(database),
            stores=provider_stores(database, sealer),
            now=database.now,
        )

        async def approve(request: Request) -> Response:
            auth_req_id = (await request.body()).decode()
            ticket = await approvals.find(auth_req_id, client_id=CLIENT)
            card = ticket and await approvals.load(ticket.approval_id)
            if not card:
                return Response(status_code=404)
            await approvals.decide(
                card.id,
                user_id=card.eligible[0],
                digest=card.digest,
                verdict="approve",
                reason=None,
                acr="session",
            )
            return Response(status_code=204)

        routes.append(Route("/approve", approve, methods=["POST"]))
        app = OriginGuard(
            Starlette(routes=routes), public_url=f"http://localhost:{port}", port=port
        )
        with listening("127.0.0.1", port) as listener:
            async with serving(app, listener), collected():
                while True:
                    await approvals.sweep()
                    await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
