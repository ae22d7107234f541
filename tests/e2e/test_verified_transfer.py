"""The transfer that the bank itself checks: only this approval's token moves this money, once."""

import asyncio
import json
from typing import Any

import httpx2

from harness import Launch, bank_process, catalogue, transfer
from ports import free_port
from scripted_person import ScriptedPerson


class Tap:
    """A proxy between signoff and the bank that keeps what passed: plays an eavesdropper."""

    def __init__(self, bank_url: str) -> None:
        self.bank_url = bank_url
        self.tokens: list[str] = []
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split()
        self.tokens.append(headers.get("authorization", "").removeprefix("Bearer "))
        self.bodies.append(body)
        del headers["host"]
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            answer = await http.request(method, self.bank_url + path, content=body, headers=headers)
        writer.write(
            f"HTTP/1.1 {answer.status_code} OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(answer.content)}\r\nConnection: close\r\n\r\n".encode()
            + answer.content
        )
        await writer.drain()
        writer.close()


async def post(bank_url: str, body: bytes, **headers: str) -> int:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(
            f"{bank_url}/verified-transfers",
            content=body,
            headers={"Content-Type": "application/json", **headers},
        )
    return answer.status_code


async def test_the_bank_takes_the_approvals_token_once_and_for_this_transfer_only(
    tmp_path: Any, launch: Launch
) -> None:
    port = free_port()
    async with bank_process(tmp_path, f"http://localhost:{port}") as books:
        tap = Tap(books.url)
        listener = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
        tapped = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        server = await launch(catalogue(tapped), port=port)
        alice = await ScriptedPerson(server.url).sign_in(await server.login_link())
        asked = await server.ask(transfer(120), tool="transfer_verified")
        await alice.approve(asked.card)
        outcome = await asked.work
        assert outcome.state == "done", outcome.text
        assert books.count(120) == 1

        (token,), (body,) = tap.tokens, tap.bodies
        replayed = await post(books.url, body, Authorization=f"Bearer {token}")
        dearer = json.dumps({**json.loads(body), "amount": 121}).encode()
        another = await post(books.url, dearer, Authorization=f"Bearer {token}")
        without = await post(books.url, body)
        wrong = await post(books.url, body, Authorization=f"Bearer {server.token}")
        assert {replayed, another, without, wrong} <= {401, 403}
        assert (books.count(120), books.count(121)) == (1, 0)

        # The approval's token is for the bank: it opens neither our tools nor anything else.
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            refused = await http.post(
                f"{server.url}/mcp",
                json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
                headers={"Authorization": f"Bearer {token}"},
            )
        assert refused.status_code == 401
        assert token not in outcome.text
        await alice.close()
        listener.close()
