"""One upstream behind real transports, and a call that changes something there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import Body
from signoff.upstream.request import FrozenRequest
from signoff.upstream.transport import Sent, Transports
from upstream_parts import frozen, parameter, references, tool, upstream

POST = tool(
    "/transfers/{id}",
    method="POST",
    parameters=[parameter("id", "path"), parameter("q", "query", style="deepObject")],
    body=Body(kind="members", required=True, members={"amount": "amount"}),
)
ARGUMENTS: Any = {"id": "a b", "q": {"x": "[]"}, "amount": 5}
HEADERS = {"Authorization": "Bearer ${env:BANK_TOKEN}", "X-Approval": "${approval.token}"}
TOKEN = SecretStr("eyJ-approval-token")


class Sender:
    """One upstream behind real transports."""

    def __init__(self, url: str, data_dir: Path, **more: Any) -> None:
        self.upstream = upstream(url, **more)
        self.data_dir = data_dir

    async def send(self, request: FrozenRequest, *, fresh: bool = True, **more: Any) -> Sent:
        async with self.transports() as transports:
            return await transports.send(request, self.upstream, fresh=fresh, **more)

    def transports(self, **more: Any) -> Transports:
        more.setdefault("references", references())
        return Transports([self.upstream], data_dir=self.data_dir, **more)

    def frozen(
        self, spec: ToolSpec | None = None, arguments: Any = None, **more: Any
    ) -> FrozenRequest:
        return frozen(spec or tool(), arguments, to=self.upstream, **more)


@pytest.fixture
def sender(tmp_path: Path) -> Callable[..., Sender]:
    def made(url: str, **more: Any) -> Sender:
        return Sender(url, tmp_path, **more)

    return made


Made = Callable[..., Sender]
