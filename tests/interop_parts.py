"""The authorization server on a real port, with people who decide by themselves.

Alice says yes at once, bob says no, carol never answers.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from joserfc.jwk import ECKey
from starlette.applications import Starlette

import nodejs
from as_parts import BANK, Provider, running_provider
from ports import free_port
from signoff.approvals.request import Status
from signoff.approvals.service import Limits
from signoff.oauth.clients import CIBA, Issued
from signoff.oauth.delivery import Delivery
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

HERE: Final = Path(__file__).parent / "interop"
_UV: Final = Path(sys.executable).parent / "uv"
_VENVS: Final = Path(tempfile.gettempdir()) / f"signoff-venvs-{os.getuid()}"
_VERDICTS: Final = {"alice": "approve", "bob": "deny"}
_RUN_S: Final = 90


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):  # noqa: ANN202 — as uvicorn has it
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running authorization server. `private` is the key of the client that signs.

    `url` is where it answers, which behind a proxy is not what it calls itself.
    """

    provider: Provider
    url: str
    private: ECKey
    with_secret: Issued
    with_key: Issued

    def environment(self, client: Issued) -> dict[str, str]:
        """Return what a client program needs to know."""
        return {
            "ISSUER": self.url,
            "NAME": self.provider.profile.issuer,
            "RESOURCE": BANK,
            "CLIENT_ID": client.client.id,
            "CLIENT_SECRET": client.secret or "",
            "PRIVATE_JWK": json.dumps(self.private.as_dict(private=True)),
            "PRIVATE_PEM": self.private.as_pem(private=True).decode(),
        }


async def decide_all(provider: Provider) -> None:
    """Decide whatever comes, as the people of this module do."""
    with provider.database.changes.watch("approval", "*") as watch:
        while True:
            for user_id, verdict in _VERDICTS.items():
                for card in await provider.approvals.inbox(user_id):
                    if card.status is Status.PENDING:
                        await provider.approvals.decide(
                            card.id,
                            user_id=user_id,
                            digest=card.digest,
                            verdict=verdict,  # pyright: ignore[reportArgumentType] — one of two
                            reason=None,
                            acr="session",
                        )
            await watch.changed(30)


@asynccontextmanager
async def served(
    directory: Path, *, behind_tls: bool = False, interval_s: int = 5
) -> AsyncGenerator[Served, None]:
    """Serve while the body runs.

    `behind_tls`: its issuer is https, as behind a proxy that ends TLS; the proxy is left out.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    issuer = f"https://127.0.0.1:{port}" if behind_tls else url
    private = ECKey.generate_key("P-256", {"kid": "one"})
    async with (
        Database(directory / "signoff.db").running() as database,
        running_provider(
            database,
            Sealer(b"k" * 32),
            limits=Limits(interval_s=interval_s),
            issuer=issuer,
            assertion_audience="ciba",
        ) as provider,
    ):
        config = uvicorn.Config(
            Starlette(routes=provider.routes),
            host="127.0.0.1",
            port=port,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        tasks = [asyncio.create_task(server.serve()), asyncio.create_task(decide_all(provider))]
        while not server.started:  # noqa: ASYNC110 — uvicorn announces nothing
            await asyncio.sleep(0.01)
        common: dict[str, Any] = {"grant_types": [CIBA, "client_credentials"]}
        signs = Delivery(request_signing_alg=None)
        yield Served(
            provider=provider,
            url=url,
            private=private,
            with_secret=await provider.other_client(**common),
            with_key=await provider.other_client(
                jwks=json.dumps({"keys": [private.as_dict(private=False)]}),
                delivery=signs,
                **common,
            ),
        )
        server.should_exit = True
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def node(script: str, *packages: str, **environment: str) -> Any:
    """Run a program of `interop/` with npm packages and return the JSON it prints."""
    modules = await asyncio.to_thread(nodejs.installed, *packages)
    # An import is resolved from where the file lies.
    copy = modules.parent / script
    copy.write_text((HERE / script).read_text())
    return await _run([str(nodejs.NODE), str(copy)], {**nodejs.environment(), **environment})


async def python(script: str, *packages: str, **environment: str) -> Any:
    """Run a program of `interop/` in a venv of its own with PyPI packages."""
    interpreter = await asyncio.to_thread(_venv, *packages)
    return await _run([str(interpreter), str(HERE / script)], {**os.environ, **environment})


def _venv(*packages: str) -> Path:
    folder = _VENVS / "+".join(packages)
    interpreter = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        venv.create(folder, clear=True, with_pip=False)
        subprocess.run(
            [_UV, "pip", "install", "-q", "--python", interpreter, *packages],
            check=True,
            timeout=300,
        )
        (folder / ".installed").touch()
    return interpreter


async def _run(command: list[str], environment: dict[str, str]) -> Any:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_RUN_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out.decode().splitlines()[-1])
