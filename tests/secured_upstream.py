"""An upstream whose calls carry a credential."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signoff.canonical import Json
from signoff.catalog.model import Credential, ToolSpec, Upstream
from signoff.catalog.wire import SchemeKind, Security, SecurityScheme
from signoff.upstream.headers import parsed
from signoff.upstream.transport import Sent, Transports
from upstream_parts import ENVIRONMENT, frozen, references, tool, upstream

SECRET = ENVIRONMENT["BANK_TOKEN"]


def scheme(kind: SchemeKind, **more: Any) -> SecurityScheme:
    return SecurityScheme(name="main", kind=kind, **more)


def key(carrier: Any, name: str, text: str = "${env:BANK_TOKEN}") -> Credential:
    return Credential(
        scheme=scheme("api_key", carrier=carrier, key=name), kind="value", value=parsed(text)
    )


def secured(path: str = "/x", **more: Any) -> ToolSpec:
    return tool(path, security=Security(credentials=("main",)), **more)


def bank(url: str, credential: Credential, **more: Any) -> Upstream:
    return upstream(url, credentials={"main": credential}, **more)


async def sent(
    to: Upstream,
    spec: ToolSpec,
    tmp_path: Path,
    arguments: Mapping[str, Json] | None = None,
    **more: Any,
) -> Sent:
    async with Transports([to], data_dir=tmp_path, references=references()) as transports:
        request = frozen(spec, arguments or {}, to=to)
        return await transports.send(request, to, fresh=True, **more)
