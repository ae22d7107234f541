"""The authorization server alone, durable, as `benchmarks.authorization` measures it.

Nothing is made faster than shipped but the limits on prompts and pending requests, which one
client of one user would meet at once. `POST /approve` says yes as the page would. Run by the
benchmark: `python -m benchmarks.authorization_server PORT DIRECTORY`.
"""

import asyncio
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signoff.approvals.service import Approvals, Limits
from signoff.catalog.model import User
from signoff.oauth.clients import CIBA, Client, Directory, Secrets, hash_secret
from signoff.oauth.profile import Profile
from signoff.oauth.server import authorization_server
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
MANY = 1_000_000


async def main(port: int, directory: Path) -> None:
    """Serve until killed."""
    async with Database(directory / "signoff.db").running() as database:
        sealer = Sealer(b"k" * 32)
        limits = Limits(pending_per_client=MANY, pending_per_user=MANY, prompts_per_minute=MANY)
        approvals = Approvals(SqliteApprovals(database, sealer), database.changes, limits=limits)
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
            users={"alice": User(id="alice", name="Alice")},
            people=SqlitePeople(database),
            stores=provider_stores(database, sealer),
            now=database.now,
        )

        async def approve(request: Request) -> Response:
            auth_req_id = (await request.body()).decode()
            ticket = await approvals.find(auth_req_id, client_id=CLIENT)
            card = ticket and await approvals.view(ticket.approval_id, user_id="alice")
            if not card:
                return Response(status_code=404)
            await approvals.decide(
                card.id,
                user_id="alice",
                digest=card.digest,
                verdict="approve",
                reason=None,
                acr="session",
            )
            return Response(status_code=204)

        routes.append(Route("/approve", approve, methods=["POST"]))
        config = uvicorn.Config(
            Starlette(routes=routes),
            host="127.0.0.1",
            port=port,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
