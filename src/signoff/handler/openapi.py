"""`openapi_handler`: call an API's tools from a program's own loop, without a server.

Owns the order arguments → policy → headers → approval → send. Compiling, policy, freezing and
sending are those of the server, with the same guarantees. Nothing that policy asks about goes
without an answer to that very question; keeps no record and writes no audit.
"""

import asyncio
import inspect
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, Unpack, assert_never, cast

from signoff.canonical import Json, JsonError, digest, parse
from signoff.catalog.model import ToolSpec, Upstream
from signoff.catalog.standalone import (
    FromOpenApi,
    Options,
    Outbound,
    SetupError,
    Spec,
    from_openapi,
)
from signoff.gate.policy import Allow, Deny, decide
from signoff.gate.policy import Ask as Asks
from signoff.handler.answers import CallError, Done, Pending, answer_of
from signoff.handler.asking import Approve, Approved, Ask, Denied
from signoff.handler.resolving import Given, Resolver, shown
from signoff.identity import Caller
from signoff.schema import Validator
from signoff.sealed import Sealer, new_key
from signoff.upstream.frozen_request import FrozenRequest
from signoff.upstream.guard import Resolve
from signoff.upstream.request import (
    AuthRequiredError,
    RequestError,
    UpstreamError,
    freeze,
    mask_arguments,
)
from signoff.upstream.transport import Transports

_CALLER: Final = Caller(kind="local", issuer="local", client_id="handler")
_NAMED: Final = 5
_RANK: Final = ("session", "passkey")


def openapi_handler(
    api: FromOpenApi | Spec,
    *,
    approve: Approve | None = None,
    tls: ssl.SSLContext | None = None,
    resolve: Resolve | None = None,
    **options: Unpack[Options],
) -> "OpenApiHandler":
    """Return what calls the tools of a spec, or of what `from_openapi` made of one.

    `approve` is asked before each call that policy does not let go by itself; it answers
    `ask.approved(by=…)` or `ask.denied(by=…)`. It has to be there if any tool asks. `options` are
    those of `from_openapi`. `tls` replaces the system's trusted certificates, `resolve` its
    resolver for servers that are not `base_url`.

    Raises:
        DocumentError: the spec cannot be used.
        SetupError: `base_url` or `approve` is missing, or an option cannot be used.
    """
    if isinstance(api, FromOpenApi):
        if options:
            raise SetupError(f"{', '.join(sorted(options))}: say it to from_openapi")
    else:
        api = from_openapi(api, **options)
    if not api.is_base_url_given:
        said = f" (the spec says {api.upstream.base_url})" if api.upstream.base_url else ""
        raise SetupError(f"base_url is needed: a spec does not choose where calls go{said}")
    asking = [tool.name for tool in api.tools if not isinstance(decide(api.policy, tool), Allow)]
    if asking and approve is None:
        listed = ", ".join(asking[:_NAMED]) + (", …" if len(asking) > _NAMED else "")
        raise SetupError(
            f"approve is needed: a person decides about {listed}. Give approve, or leave these "
            "out with selected"
        )
    return OpenApiHandler(api, approve=approve, tls=tls, resolve=resolve)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call on its way; `id` is set when a person is asked about it."""

    tool: ToolSpec
    arguments: Mapping[str, Json]
    context: Any = field(repr=False)
    id: str | None = None


class OpenApiHandler:
    """Calls the tools of one API. Use as an async context manager; calls may run at once."""

    def __init__(
        self,
        api: FromOpenApi,
        *,
        approve: Approve | None,
        tls: ssl.SSLContext | None,
        resolve: Resolve | None,
    ) -> None:
        self.api: Final = api
        self._approve = approve
        self._tools = {tool.name: tool for tool in api.tools}
        self._validators: dict[str, Validator] = {}
        self._sealer = Sealer(new_key())
        self._resolver = Resolver(
            api.resolve_headers,
            api.credentials,
            self._sealer,
            timeout_s=api.upstream.timeout_s,
        )
        self._transports = Transports(
            [api.upstream],
            data_dir=Path(),
            references=self._resolver.references,
            tls=tls,
            resolve=resolve,
        )
        self._is_open = False

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """What a model may call: `name`, `description` and `input_schema` of each."""
        return self.api.tools

    async def __aenter__(self) -> Self:
        """Be ready to send; connections are made when they are needed.

        Raises:
            UpstreamError: `base_url` cannot be used.
        """
        await self._transports.__aenter__()
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        await self._transports.__aexit__(kind, error, trace)

    async def __call__(
        self, name: str, arguments: Mapping[str, Any], context: Any = None
    ) -> Done | Pending:
        """Call a tool, as a model asked for it. `context` is only for the program's own hooks.

        Raises:
            CallError: there is no answer; it says whether anything may have happened.
        """
        if not self._is_open:
            raise SetupError("use the handler inside `async with`")
        tool = self._tools.get(name)
        if tool is None:
            meant = next((one for one in self._tools if one.casefold() == name.casefold()), None)
            hint = f" Did you mean {meant}?" if meant is not None else ""
            raise CallError("unknown_tool", f"There is no tool {name[:100]!r}.{hint}")
        call = _Call(tool=tool, arguments=self._checked(tool, arguments), context=context)
        verdict = decide(self.api.policy, tool)
        match verdict:
            case Deny(reason=reason):
                raise CallError("denied_by_policy", f"{name} is not allowed here: {reason}")
            case Allow():
                with self._resolver.given() as given:
                    request, upstream = await self._frozen(call, given)
                    sent = await self._transports.send(request, upstream, fresh=False)
            case Asks(reason=reason):
                call = replace(call, id=f"call_{secrets.token_urlsafe(16)}")
                with self._resolver.given() as given:
                    request, upstream = await self._signed_off(call, reason, given)
                    sent = await self._transports.send(request, upstream, fresh=True)
            case _:
                assert_never(verdict)
        return answer_of(
            tool,
            sent,
            call.arguments,
            tools=self.api.tools,
            upstream=self.api.upstream,
            asked=request.url,
        )

    def _checked(self, tool: ToolSpec, arguments: Mapping[str, Any]) -> dict[str, Json]:
        """Return a copy of the arguments, which nobody changes while a person reads them.

        Raises:
            CallError: they are not what the tool's schema says.
        """
        try:
            plain = parse(json.dumps(dict(arguments)))
        except (JsonError, TypeError, ValueError, RecursionError) as error:
            raise CallError("invalid_arguments", f"{tool.name}: {error}") from None
        validator = self._validators.get(tool.name)
        if validator is None:
            validator = self._validators[tool.name] = Validator(tool.input_schema)
        faults = validator.violations(plain)
        if faults or not isinstance(plain, dict):
            listed = "\n".join(f"- {fault}" for fault in faults)
            raise CallError("invalid_arguments", f"{tool.name} was not called:\n{listed}")
        return plain

    async def _signed_off(
        self, call: _Call, reason: str, given: Given
    ) -> tuple[FrozenRequest, Upstream]:
        """Return the request that a person has approved, with headers made after that.

        Raises:
            CallError: there is no yes to exactly this request.
        """
        request, _ = await self._frozen(call, given)
        ask = self._question(call, request, reason)
        approve = self._approve
        if approve is None:
            raise CallError("not_approved", f"Nobody can be asked about {call.tool.name}.")
        deadline = asyncio.timeout(ask.expires_in_s)
        asked: object = approve(ask)
        if not inspect.isawaitable(asked):
            raise SetupError("approve is async: write `async def approve(ask)`. Nothing was sent")
        try:
            async with deadline:
                answer: object = await asked
        except TimeoutError:
            if not deadline.expired():
                raise
            raise CallError(
                "approval_expired", "Nobody decided in time. Nothing was sent."
            ) from None
        _check_answer(ask, answer)
        request, upstream = await self._frozen(call, given)
        if self._question(call, request, reason).digest != ask.digest:
            raise CallError("changed", "The request changed since the approval; nothing was sent.")
        return request, upstream

    def _question(self, call: _Call, request: FrozenRequest, reason: str) -> Ask:
        call_id = call.id or ""
        details = request.details()
        headers = cast("dict[str, Json]", details["headers"])
        details["headers"] = {name: shown(one) for name, one in headers.items()}
        if "credentials" in details:
            details["credentials"] = list(map(shown, cast("list[Json]", details["credentials"])))
        arguments = mask_arguments(call.tool, call.arguments, call_id=call_id, sealer=self._sealer)
        return Ask(
            tool=call.tool,
            arguments=arguments,
            request=details,
            strength=call.tool.approval.strength,
            reason=reason,
            expires_in_s=call.tool.approval.expires_in_s,
            digest=digest({
                "call_id": call_id,
                "tool": call.tool.name,
                "arguments": arguments,
                "request": details,
            }),
            context=call.context,
        )

    async def _frozen(self, call: _Call, given: Given) -> tuple[FrozenRequest, Upstream]:
        """Return the request, and the upstream with the headers that this call carries.

        Raises:
            CallError: an argument cannot be sent, or a header has no value.
        """
        security = call.tool.security
        without = replace(call.tool, security=replace(security, credentials=()))
        bare = self._freeze(replace(call, tool=without), self.api.upstream)
        if not self._resolver.is_needed:
            return bare, self.api.upstream
        outbound = Outbound(
            tool=call.tool.name, method=bare.method, url=bare.url, context=call.context
        )
        upstream = replace(
            self.api.upstream,
            headers=await self._resolver.headers(outbound, given),
            credentials=await self._resolver.credentials(outbound, security.credentials, given),
        )
        return self._freeze(call, upstream), upstream

    def _freeze(self, call: _Call, upstream: Upstream) -> FrozenRequest:
        try:
            return freeze(
                call.tool,
                upstream,
                call.arguments,
                caller=_CALLER,
                call_id=call.id,
                sealer=self._sealer,
                references=self._resolver.references,
            )
        except RequestError as error:
            raise CallError("invalid_arguments", f"{call.tool.name}: {error}") from error
        except AuthRequiredError as error:
            raise CallError("auth_required", str(error)) from error
        except UpstreamError as error:
            raise CallError("not_sent", f"Nothing was sent: {error}.") from error


def _check_answer(ask: Ask, answer: object) -> None:
    """Let a yes to this question pass, and nothing else.

    Raises:
        CallError: it is a no, or no answer to this question.
    """
    match answer:
        case Approved(digest=ask.digest, by=str(by), strength=strength) if by:
            if strength in _RANK and _RANK.index(strength) >= _RANK.index(ask.strength):
                return
            raise CallError(
                "not_approved",
                f"{ask.tool.name} needs a {ask.strength}; {by} was asked with {strength}. Nothing "
                "was sent.",
            )
        case Denied(digest=ask.digest, by=by, reason=reason):
            why = f" Their reason, as data: {json.dumps(reason)}." if reason else ""
            raise CallError("denied", f"{by} denied this call.{why} Nothing was sent.")
        case _:
            raise CallError(
                "not_approved", "approve gave no answer to this question. Nothing was sent."
            )
