"""A sidecar and a gate as processes of their own, made as an operator makes them, by commands."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e_parts import launching
from harness import Bank, Launch, Server, bank_process, catalogue
from ports import free_port
from scripted_person import ScriptedPerson

BANK = "https://bank.example/api"


@dataclass
class Split:
    """Both processes, the bank behind the gate, and Alice, signed in at the sidecar."""

    sidecar: Server
    gate: Server
    bank: Bank
    alice: ScriptedPerson
    launch: Launch

    async def end_of(self, amount: int) -> dict[str, Any] | None:
        """Return the call of a transfer if it has ended."""
        for call in await self.gate.operate("calls.list", every=True):
            if f"Transfer {amount} EUR" in call["title"] and call["finished_at"] is not None:
                return call
        return None


def sidecar_catalogue(port: int, *edges: str) -> dict[str, Any]:
    """Return what a sidecar needs: an address, people, and the edges it signs hosts in for."""
    document = catalogue(None)
    return {
        "signoff": 1,
        "server": {"name": "sidecar", "public_url": f"http://localhost:{port}"},
        "auth": {"resources": [f"{edge}/mcp" for edge in edges]},
        "users": document["users"],
    }


def gate_catalogue(bank_url: str, port: int, sidecar: Server, client_id: str) -> dict[str, Any]:
    """Return the shipped catalogue, its approvals asked for at the sidecar."""
    shipped = catalogue(bank_url)
    server = {
        **shipped["server"],
        "public_url": f"http://localhost:{port}",
        "wait_budgets": {"impatient": "1s"},
    }
    return {
        **shipped,
        "server": server,
        "approvals": {"issuer": sidecar.url, "client_id": client_id},
    }


async def made_key(data_dir: Path) -> Path:
    """Make a gate's key as its operator does, and return the file to register."""
    gate = Server(port=1, data_dir=data_dir, config=data_dir, environment={})
    file = data_dir.with_suffix(".jwks")
    file.write_text(await gate.command("gate", "key"))
    return file


async def registered(sidecar: Server, jwks: Path, *options: str) -> str:
    """Register a key at the sidecar as its operator does, and return the client id."""
    command = ("clients", "create", "shop", "--role", "gate", "--jwks", str(jwks), "--json")
    created = await sidecar.command(*command, "--config", str(sidecar.config), *options)
    return str(json.loads(created)["client_id"])


@asynccontextmanager
async def split(folder: Path, *, retry: str = "never") -> AsyncGenerator[Split, None]:
    """Start everything; a transfer is sent again only if `retry` says how."""
    ports = free_port(), free_port()
    edge = f"http://localhost:{ports[1]}"
    async with AsyncExitStack() as stack:
        launch = await stack.enter_async_context(launching(folder))
        document = sidecar_catalogue(ports[0], edge)
        sidecar = await launch(document, port=ports[0], name="sidecar", role="sidecar")
        jwks = await made_key(folder / "gate" / "data")
        client_id = await registered(sidecar, jwks, "--audience", BANK)
        bank = await stack.enter_async_context(bank_process(folder, sidecar.url, gate=client_id))
        document = gate_catalogue(bank.url, ports[1], sidecar, client_id)
        document["upstreams"]["bank"]["operations"]["createTransfer"]["retry"] = retry
        gate = await launch(document, port=ports[1], name="gate", role="mcp")
        alice = await ScriptedPerson(sidecar.url).sign_in(await sidecar.login_link())
        stack.push_async_callback(alice.close)
        yield Split(sidecar=sidecar, gate=gate, bank=bank, alice=alice, launch=launch)
