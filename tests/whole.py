"""The whole server in this process, as `signoff serve` composes it, with an upstream that tells.

Only the upstream is ours; it answers with what it was sent, credentials included.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from gate_house import Bank
from ports import free_port
from scripted_person import ScriptedPerson
from signoff.app.compose import Options, Server, running
from signoff.app.http import listening
from signoff.app.inspect import loaded_at
from signoff.app.store import owned, prepared
from signoff.settings import Settings

BANK_TOKEN = "canary-bank-4f9c2d7e6a"
PIN = "canary-pin-83617"


@dataclass
class Whole:
    """A running server and what stands around it."""

    server: Server
    port: int
    data_dir: Path
    bank: Bank
    links: list[str]
    people: list[ScriptedPerson] = field(default_factory=list[ScriptedPerson])

    async def person(self, user: str = "alice") -> ScriptedPerson:
        """Sign somebody in, until the house is left."""
        told = cast("dict[str, str]", await self.server.operations.login({"user": user}))
        self.links.append(told["url"])
        self.people.append(ScriptedPerson(self.server.url))
        return await self.people[-1].sign_in(told["url"])

    async def leave(self) -> None:
        """Close what the people opened."""
        for person in self.people:
            await person.close()


def document(port: int, bank: Bank) -> dict[str, Any]:
    """Return a catalogue with a gated payment that takes a PIN, and a read."""
    pay = {
        "type": "object",
        "additionalProperties": False,
        "required": ["amount"],
        "properties": {"amount": {"type": "number"}, "pin": {"type": "string"}},
    }
    look = {
        "type": "object",
        "additionalProperties": False,
        "required": ["account"],
        "properties": {"account": {"type": "string"}},
    }
    return {
        "signoff": 1,
        "server": {"name": "bank", "public_url": f"http://localhost:{port}"},
        "auth": {"local_user": "alice"},
        "upstreams": {
            "bank": {
                "base_url": bank.base_url,
                "headers": {"Authorization": "Bearer ${env:BANK_TOKEN}"},
                "timeout": "5s",
            }
        },
        "capabilities": [
            {
                "name": "pay", "description": "Pays.", "upstream": "bank", "secret": ["pin"],
                "request": {"method": "POST", "path": "/pay"}, "input": pay,
                "approval": {"title": "Pay {amount}"},
            },
            {
                "name": "look", "description": "Looks.", "upstream": "bank",
                "request": {"method": "GET", "path": "/accounts/{account}"}, "input": look,
            },
        ],
        "users": [{"id": "alice", "name": "Alice"}, {"id": "bob", "name": "Bob"}],
    }  # fmt: skip


@asynccontextmanager
async def whole(folder: Path, **more: Any) -> AsyncGenerator[Whole, None]:
    """Run everything in a folder of its own. `more` are further sections of the catalogue."""
    port = free_port()
    async with Bank().open() as bank:
        config = folder / "capabilities.yaml"
        config.write_text(yaml.safe_dump({**document(port, bank), **more}, sort_keys=False))
        options = Options(config=config, host="127.0.0.1", port=port, data_dir=folder / "data")
        data_dir = prepared(options.data_dir)
        lock = owned(data_dir)
        try:
            with listening(options.host, port) as listener:
                async with running(
                    loaded_at(config).catalogue,
                    options=options,
                    settings=Settings(),
                    environment={"BANK_TOKEN": BANK_TOKEN},
                    data_dir=data_dir,
                    listener=listener,
                ) as server:
                    house = Whole(server=server, port=port, data_dir=data_dir, bank=bank, links=[])
                    try:
                        yield house
                    finally:
                        await house.leave()
        finally:
            lock.release()


def echo(bank: Bank, status: int = 200) -> None:
    """Let the upstream answer with the credential it was sent."""
    bank.status = status
    bank.body = json.dumps({"you_sent": f"Bearer {BANK_TOKEN}", "id": "t1"}).encode()
