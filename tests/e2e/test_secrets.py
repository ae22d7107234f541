"""No secret in clear: after a full run, everything that was written anywhere is searched."""

import asyncio
import base64
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from e2e_parts import launching
from harness import Server, until
from scripted_person import ScriptedPerson

CREDENTIAL = "canary-upstream-credential-3f9a1c"
PIN = "canary-pin-77120"
SEAL_FREE = {"seal.key", "local-token"}
"""The two files whose content is the secret: 0600, and named in the README."""


@dataclass
class Vault:
    """An upstream that keeps what reached it and echoes the credential back."""

    seen: list[str] = field(default_factory=list[str])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        self.seen.append(head + body.decode())
        answer = json.dumps({"opened": True, "echo": CREDENTIAL, "headers": head}).encode()
        writer.write(
            b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nConnection: close\r\n"
            + f"X-Debug: {CREDENTIAL}\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
            + answer
        )
        await writer.drain()
        writer.close()


def vault_catalogue(port: int) -> dict[str, Any]:
    return {
        "signoff": 1,
        "server": {"name": "vault", "public_url": "http://localhost:8420"},
        "auth": {"local_user": "alice"},
        "upstreams": {
            "vault": {
                "base_url": f"http://127.0.0.1:{port}",
                "headers": {"Authorization": "Bearer ${env:VAULT_KEY}"},
            }
        },
        "capabilities": [
            {
                "name": "open_vault",
                "description": "Open the vault.",
                "upstream": "vault",
                "request": {"method": "POST", "path": "/open"},
                "input": {
                    "type": "object",
                    "properties": {
                        "box": {"type": "string"},
                        "pin": {"type": "string", "writeOnly": True},
                    },
                    "required": ["box", "pin"],
                },
            }
        ],
        "users": [{"id": "alice", "name": "Alice"}],
    }


def forms(secret: str) -> set[bytes]:
    """Return the ways in which a secret might have been written down."""
    raw = secret.encode()
    return {
        raw,
        base64.b64encode(raw).rstrip(b"=")[:-1],
        base64.urlsafe_b64encode(raw).rstrip(b"=")[:-1],
        raw.hex().encode(),
        quote(secret, safe="").encode(),
        json.dumps(secret).strip('"').encode(),
    }


def everything(folder: Path) -> dict[str, bytes]:
    """Return all that the server keeps or has said, by file; sockets and its two keys left out."""
    return {
        path.name: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in SEAL_FREE and path.name != "capabilities.yaml"
    }


async def test_after_a_full_run_no_secret_is_found_in_files_logs_answers_or_pages(
    tmp_path: Path,
) -> None:
    vault = Vault()
    listener = await asyncio.start_server(vault.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with launching(tmp_path) as launch:
        server = await launch(
            vault_catalogue(port), VAULT_KEY=CREDENTIAL, SIGNOFF_LOG_LEVEL="DEBUG"
        )
        link = (await server.command("login", "alice", "--config", str(server.config))).strip()
        alice = await ScriptedPerson(server.url).sign_in(link)
        client = await server.operate(
            "clients.create", name="shop", grants=["ciba"], scopes=["openid"]
        )
        asked_for = await shop_asks(server, client)
        arguments = {"box": "12", "pin": PIN}
        asked = await server.ask(arguments, tool="open_vault")
        card = await alice.page(asked.card)
        form = await alice.form(asked.card)
        await alice.approve(asked.card)
        outcome = await asked.work
        assert outcome.state == "done", outcome.text
        await alice.approve(asked_for["card"])
        tokens = await shop_fetches(server, client, asked_for["auth_req_id"])

        async def done() -> str | None:
            page = await alice.page(asked.card)
            return page if "It was sent once" in page else None

        ended = await until(done)
        shown = json.dumps(await server.operate("calls.list", every=True))
        tailed = json.dumps(await server.operate("audit.tail", lines=500))
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            for path in ("/approvals/apr_x", f"/login/{'x' * 43}", "/nowhere"):
                await http.get(f"{server.url}{path}", headers={"Cookie": "signoff-1=canary-x"})
            await http.post(
                f"{server.url}/mcp", content=b'{"pin": "' + PIN.encode() + b'"',
                headers={"Authorization": f"Bearer {server.token}"},
            )  # fmt: skip
        live = everything(server.data_dir)
        await server.end()
        written = {**live, **everything(server.data_dir), "log": server.log.read_bytes()}
        cookie = next(iter(alice.http.cookies.jar)).value
        assert cookie
        secrets = {
            "the upstream's credential": CREDENTIAL,
            "the marked argument": PIN,
            "the local token": server.token,
            "the session cookie": cookie,
            "the form token": form.csrf,
            "the sign-in code": link.rsplit("/", 1)[-1],
            "the client's secret": client["client_secret"],
            "the auth_req_id": asked_for["auth_req_id"],
            "the access token": tokens["access_token"],
            "the ID token": tokens["id_token"],
            "the seal key": (server.data_dir / "seal.key").read_text().strip(),
        }
        await alice.close()
    listener.close()
    assert CREDENTIAL in vault.seen[0]  # the canaries did fly
    assert PIN in vault.seen[0]
    said = {
        "the assistant's answer": (outcome.text + json.dumps(outcome.structured)).encode(),
        "the status": "\n".join(asked.statuses).encode(),
        "the card": card.encode(),
        "the page after it": ended.encode(),
        "calls list": shown.encode(),
        "audit tail": tailed.encode(),
    }
    found = [
        (name, where)
        for name, secret in secrets.items()
        for where, content in {**written, **said}.items()
        if (name, where) != ("the form token", "the card")
        for form_ in forms(secret)
        if form_ in content
    ]
    assert found == []
    assert set(written) >= {"signoff.db", "log"}


async def shop_asks(server: Server, client: dict[str, str]) -> dict[str, str]:
    """Open a request as an ordinary CIBA client, so that its auth_req_id is known here."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(
            f"{server.url}/oauth2/bc-authorize",
            data={"scope": "openid", "login_hint": "alice", "binding_message": "W4SC"},
            auth=(client["client_id"], client["client_secret"]),
        )
    assert answer.status_code == 200, answer.text
    with closing(sqlite3.connect(server.data_dir / "signoff.db")) as database:
        (card,) = database.execute("SELECT id FROM approvals").fetchone()
    return {"auth_req_id": str(answer.json()["auth_req_id"]), "card": str(card)}


async def shop_fetches(server: Server, client: dict[str, str], auth_req_id: str) -> dict[str, str]:
    """Fetch the tokens of an approved request."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(
            f"{server.url}/oauth2/token",
            data={
                "grant_type": "urn:openid:params:grant-type:ciba",
                "auth_req_id": auth_req_id,
            },
            auth=(client["client_id"], client["client_secret"]),
        )
    assert answer.status_code == 200, answer.text
    return answer.json()
