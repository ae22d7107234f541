"""What end-to-end tests start: servers with a catalogue of their own, and a house to share."""

import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from harness import House, Launch, Server, bank_process, catalogue
from ports import free_port
from scripted_person import ScriptedPerson


@asynccontextmanager
async def launching(folder: Path) -> AsyncGenerator[Launch, None]:
    """Start servers below `folder`; they end with the block, by force."""
    servers: list[Server] = []

    async def start(
        document: Mapping[str, Any],
        *,
        port: int | None = None,
        name: str = "one",
        up: bool = True,
        role: str = "all",
        **env: str,
    ) -> Server:
        home = folder / name
        home.mkdir(exist_ok=True)
        config = home / "capabilities.yaml"
        config.write_text(yaml.safe_dump(dict(document), sort_keys=False))
        server = Server(
            port=port or free_port(), data_dir=home / "data", config=config, environment=env,
            log=home / "log", role=role,
        )  # fmt: skip
        servers.append(server)
        return await server.start() if up else server

    try:
        yield start
    finally:
        for server in servers:
            if server.process is not None:
                await server.end(signal.SIGKILL)


@asynccontextmanager
async def open_house(folder: Path, **over: Any) -> AsyncGenerator[House, None]:
    """Start a bank, and a server that knows it; sign Alice in."""
    port = free_port()
    issuer = f"http://localhost:{port}"
    async with bank_process(folder, issuer) as books, launching(folder) as launch:
        server = await launch(catalogue(books.url, **over), port=port)
        alice = await ScriptedPerson(server.url).sign_in(await server.login_link())
        yield House(server=server, bank=books, alice=alice)
        await alice.close()
