"""An upstream as its own process: writes one line for each effect before it answers.

    python gate_ledger.py DIRECTORY dumb|keyed nowhere|head|effect

`keyed` honours the Idempotency-Key. `head` and `effect` kill the gate's process (its id stands in
`gate.pid`) once: after the first byte of a request, or after the effect and before the answer.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path


class Ledger:
    def __init__(self, directory: Path, *, keyed: bool, kill_at: str) -> None:
        self.directory, self.keyed, self.kill_at = directory, keyed, kill_at
        self.answers: dict[str, bytes] = {}

    def kill_gate(self, at: str) -> bool:
        if self.kill_at != at:
            return False
        self.kill_at = "nowhere"
        os.kill(int((self.directory / "gate.pid").read_text()), signal.SIGKILL)
        return True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.readexactly(1)
            if self.kill_gate("head"):
                return
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
            fields = {
                line.split(": ", 1)[0].lower(): line.split(": ", 1)[1]
                for line in head.split("\r\n")[1:]
                if ": " in line
            }
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            answer = self.effect(fields.get("idempotency-key", ""), body)
            if self.kill_gate("effect"):
                return
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(answer), answer)
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def effect(self, key: str, body: bytes) -> bytes:
        if self.keyed and key in self.answers:
            return self.answers[key]
        line = json.dumps({"key": key, "body": body.decode()})
        with (self.directory / "ledger").open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.answers[key] = b'{"id":"t1"}'
        return self.answers[key]


async def main() -> None:
    ledger = Ledger(Path(sys.argv[1]), keyed=sys.argv[2] == "keyed", kill_at=sys.argv[3])
    server = await asyncio.start_server(ledger.serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
