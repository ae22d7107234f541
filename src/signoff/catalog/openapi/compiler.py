"""A document's operations become tools; what cannot is named with its reason.

Owns the pass over a document and what the method says of a tool: default risk and annotations.
One bad operation never costs the others. A spec's text may raise a risk, never lower one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from signoff.catalog.model import Risk, ToolSpec
from signoff.catalog.openapi import arguments, bodies, parameters, responses
from signoff.catalog.openapi.documents import Document, MappingError, Operation
from signoff.catalog.openapi.names import tool_names
from signoff.catalog.openapi.schemas import Converter
from signoff.catalog.openapi.texts import describe, plain_text

_READS: Final = frozenset({"GET", "HEAD"})
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_GROUPS: Final = re.compile(r"[./:]")
_DOING: Final = frozenset({
    "cancel", "close", "create", "delete", "destroy", "disable", "execute", "kill", "move", "pay",
    "purge", "reboot", "refund", "remove", "reset", "restart", "revoke", "send", "shutdown",
    "terminate", "transfer", "trigger", "update", "wipe",
})  # fmt: skip
_TITLE: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """An operation that is not a tool. `ref` is the `$ref` at fault, if one is."""

    operation: Operation
    reason: str
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What one document gave, in the document's order; names are unique within it."""

    tools: tuple[ToolSpec, ...]
    faulty: tuple[Faulty, ...]


def compile_document(
    document: Document,
    *,
    upstream: str,
    selected: Callable[[Operation], bool],
    never_headers: Callable[[Operation], Sequence[str]] = lambda _: (),
) -> Compiled:
    """Compile the `selected` operations of `document` for `upstream`.

    Names are given to all operations before any is left out, so leaving one out renames no other.
    `never_headers` names headers of an operation that the operator sets, so no argument may.
    """
    operations = list(document.operations())
    names = tool_names((one.id, one.method, one.path) for one in operations)
    compiler = _Compiler(document, upstream, names)
    tools: list[ToolSpec] = []
    faulty: list[Faulty] = []
    for operation in operations:
        if not selected(operation):
            continue
        try:
            tools.append(compiler.tool(operation, never_headers(operation)))
        except MappingError as error:
            faulty.append(Faulty(operation=operation, reason=error.message, ref=error.ref))
        except RecursionError:
            faulty.append(Faulty(operation=operation, reason="it is nested too deeply"))
    return Compiled(tools=tuple(tools), faulty=tuple(faulty))


class _Compiler:
    def __init__(
        self, document: Document, upstream: str, names: Mapping[tuple[str, str], str]
    ) -> None:
        self._document, self._upstream, self._names = document, upstream, names
        self._inputs = Converter(document, "input")
        self._outputs = Converter(document, "output")
        self._never = parameters.never_arguments(document)

    def tool(self, operation: Operation, never_headers: Sequence[str]) -> ToolSpec:
        """Return the operation as a tool.

        Raises:
            MappingError: says why it cannot be one.
        """
        if operation.fault is not None:
            raise operation.fault
        if not operation.path.startswith("/") or set(operation.path) & set("?#"):
            raise MappingError("its path is not a plain path")
        never = self._never | {("header", name.lower().replace("_", "-")) for name in never_headers}
        candidates = parameters.collect(self._document, operation, never)
        shape = bodies.read(self._document, operation)
        merged = arguments.merge(candidates, shape, self._inputs)
        method = operation.method.upper()
        name = self._names[operation.method, operation.path]
        summary = operation.members.get("summary")
        text = describe(summary, operation.members.get("description")) or (
            f"{method} {plain_text(operation.path, limit=200)}"
        )
        if operation.members.get("deprecated") is True:
            text = f"[deprecated] {text}"[:600]
        risk, reason = default_risk(operation)
        return ToolSpec(
            name=name,
            title=plain_text(summary, limit=_TITLE) or name,
            description=text,
            upstream=self._upstream,
            method=method,
            path=operation.path,
            input_schema=merged.schema,
            output_schema=responses.output_schema(self._document, operation, self._outputs),
            parameters=merged.parameters,
            body=merged.body,
            tags=operation.tags,
            operation_id=operation.id,
            risk=risk,
            risk_reason=reason,
            read_only=method in _READS and risk is Risk.LOW,
            destructive=method not in _READS or risk is not Risk.LOW,
            idempotent=method in _IDEMPOTENT,
            secret_arguments=merged.secret,
            source=f"{self._document.name}#{operation.label}",
        )


def default_risk(operation: Operation) -> tuple[Risk, str]:
    """Return the risk the method implies, raised by what the spec says, and why."""
    method = operation.method.upper()
    if method not in _READS:
        return Risk.HIGH, f"{method} without a risk of its own"
    said = operation.members.get("x-risk")
    if said is not None and said != "low":
        return Risk.HIGH, f"the spec says x-risk: {plain_text(str(said), limit=20)}"
    for part in (operation.id, *_GROUPS.split(operation.id or "")[-1:]):
        word = next(iter(_WORD.findall(part or "")), "").lower()
        if word in _DOING:
            return Risk.HIGH, f'{method}, but its name says "{word}"'
    return Risk.LOW, method
