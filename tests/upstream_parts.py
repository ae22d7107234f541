"""Tools, upstreams and callers for tests of the upstream side, with one word each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from signoff.canonical import Json
from signoff.catalog.model import HeaderTemplate, HttpClientName, ToolSpec, Upstream
from signoff.catalog.wire import Parameter, Place, Style
from signoff.identity import Caller
from signoff.sealed import Sealer
from signoff.upstream.headers import References, parsed
from signoff.upstream.request import FrozenRequest, freeze

ALICE = Caller(kind="local", issuer="local", client_id="local:1", sub="alice")
SEALER = Sealer(b"k" * 32)
ENVIRONMENT = {"BANK_TOKEN": "s3cret-t0ken/+", "OTHER": "another-value"}

CLIENTS: tuple[HttpClientName, ...] = ("httpcore2", "aiohttp")


class Sending:
    """By which client the upstreams made here are called: tests that judge the wire turn it."""

    by: HttpClientName = "httpcore2"


STYLES: Mapping[Place, Style] = {
    "path": "simple",
    "query": "form",
    "header": "simple",
    "cookie": "form",
    "querystring": "form",
}


def references(environment: Mapping[str, str] | None = None, root: Path = Path()) -> References:
    return References(
        SEALER, environment=ENVIRONMENT if environment is None else environment, root=root
    )


def parameter(argument: str, place: Place, **more: Any) -> Parameter:
    defaults: dict[str, Any] = {
        "name": argument,
        "style": STYLES[place],
        "explode": place in ("query", "cookie"),
        "required": place == "path",
    }
    return Parameter(argument=argument, place=place, **(defaults | more))


def shaped(place: Place, style: Style, *, explode: bool, **more: Any) -> Parameter:
    """Return the parameter `color` in one style."""
    return parameter("color", place, style=style, explode=explode, **more)


def tool(
    path: str = "/things", *, method: str = "GET", parameters: Sequence[Parameter] = (), **more: Any
) -> ToolSpec:
    defaults: dict[str, Any] = {"input_schema": {"type": "object"}, "source": "spec#thing"}
    return ToolSpec(
        name="thing",
        title="Thing",
        description="A thing.",
        upstream="bank",
        method=method,
        path=path,
        parameters=tuple(parameters),
        **(defaults | more),
    )


def upstream(
    base_url: str = "https://bank.example/api",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Upstream:
    templates = tuple(
        HeaderTemplate(name=name, parts=parsed(text)) for name, text in (headers or {}).items()
    )
    more.setdefault("client", Sending.by)
    return Upstream(name="bank", base_url=base_url, headers=templates, **more)


def frozen(
    spec: ToolSpec,
    arguments: Mapping[str, Json] | None = None,
    *,
    to: Upstream | None = None,
    call_id: str | None = None,
    caller: Caller = ALICE,
    using: References | None = None,
) -> FrozenRequest:
    return freeze(
        spec,
        to or upstream(),
        arguments or {},
        caller=caller,
        call_id=call_id,
        sealer=SEALER,
        references=using or references(),
    )


BANK = upstream(
    headers={
        "Authorization": "Bearer ${env:BANK_TOKEN}",
        "X-On-Behalf-Of": "${caller.sub}",
        "X-Approval": "${approval.token}",
        "X-Plain": "as written",
    }
)
