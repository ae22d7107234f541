"""What the operator says of one capability: its name, its risk, who signs it off, its retry.

Owns the keys that an OpenAPI operation and a hand-written capability share, and applying them to a
compiled tool. What cannot be enforced yet is refused here, in one sentence each.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, cast

from signoff.catalog import templates
from signoff.catalog.approving import NO_PASSKEYS, RESERVED_KEYS, Defaults, Own, read_own
from signoff.catalog.config import People
from signoff.catalog.fields import Fields, Problems, Word, kind_of, suggest
from signoff.catalog.model import Retry, RetryKind, Risk, ToolSpec, Visibility
from signoff.catalog.openapi.names import RESERVED, TOOL
from signoff.catalog.openapi.texts import plain_text
from signoff.catalog.paging import Paging, answer_of, paged, read_paging, told_of
from signoff.catalog.visibility import read_scopes, read_visibility
from signoff.catalog.yaml_source import Spot

_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """The operator's words, still with their places."""

    path: str
    spot: Spot
    name: Word | None
    title: Word | None
    description: Word | None
    risk: Risk | None
    approval: Own
    retry: Retry
    secret: tuple[Word, ...]
    definite_statuses: frozenset[int]
    media_type: Word | None
    pagination: Paging | None
    scopes: tuple[str, ...] | None
    visible_to: Visibility | None


def read_treatment(fields: Fields, people: People) -> Treatment:
    """Read the shared keys; the caller closes `fields`."""
    treatment = Treatment(
        path=fields.path,
        spot=fields.spot,
        name=_name(fields),
        title=fields.word("title"),
        description=fields.word("description"),
        risk=_risk(fields),
        approval=read_own(fields, people),
        retry=_retry(fields),
        secret=tuple(fields.words("secret")),
        definite_statuses=_definite(fields),
        media_type=fields.word("media_type"),
        pagination=read_paging(fields),
        scopes=read_scopes(fields),
        visible_to=read_visibility(fields, people),
    )
    executor = fields.text("executor", "proxy")
    if executor != "proxy":
        fields.complain("executor", f'"{executor[:40]}" is not built yet; only proxy is')
    fields.reserved(RESERVED_KEYS)
    return treatment


def apply(tool: ToolSpec, treatment: Treatment, problems: Problems, defaults: Defaults) -> ToolSpec:
    """Return `tool` as the operator wants it; what does not fit it is a problem.

    `defaults` is what the tool's upstream says of approvals.
    """
    arguments = tuple(cast("dict[str, object]", tool.input_schema.get("properties", {})))
    secret = set(tool.secret_arguments)
    for word in treatment.secret:
        if word.text in arguments:
            secret.add(word.text)
        else:
            hint = suggest(word.text, arguments)
            message = f'{treatment.path}.secret: there is no argument "{word.text[:60]}"{hint}'
            problems.add(word.spot, message)
    title = treatment.approval.title
    if title is not None and (fault := templates.check_title(title, arguments, secret)):
        problems.add(title.spot, f"{treatment.path}.approval.title: {fault}")
    if treatment.media_type is not None and tool.body.kind == "none":
        message = "it sends no body, so there is no media type to choose; leave it out"
        problems.add(treatment.media_type.spot, f"{treatment.path}.media_type: {message}")
    risk, reason = tool.risk, tool.risk_reason
    if treatment.risk is not None:
        risk, reason = treatment.risk, "set in the catalogue"
    parameters = tuple(
        replace(one, secret=True) if one.argument in secret else one for one in tool.parameters
    )
    hidden = {(key,) for argument, key in tool.body.members.items() if argument in secret}
    pagination = paged(tool, treatment.pagination, risk, problems)
    return replace(
        tool,
        name=treatment.name.text if treatment.name else tool.name,
        title=treatment.title.text if treatment.title else tool.title,
        description=(_described(treatment) or tool.description) + told_of(pagination),
        risk=risk,
        risk_reason=reason,
        approval=treatment.approval.over(defaults, tool.method, risk, problems),
        retry=treatment.retry,
        definite_statuses=treatment.definite_statuses,
        pagination=pagination,
        output_schema=answer_of(tool, pagination),
        scopes=tool.scopes if treatment.scopes is None else treatment.scopes,
        visible_to=treatment.visible_to,
        parameters=parameters,
        body=replace(tool.body, secrets=tool.body.secrets | hidden),
        secret_arguments=frozenset(secret),
    )


def _described(treatment: Treatment) -> str:
    return plain_text(treatment.description.text, limit=2_000) if treatment.description else ""


def _name(fields: Fields) -> Word | None:
    word = fields.word("name")
    if word is None:
        return None
    if not TOOL.fullmatch(word.text):
        fields.complain("name", "must be 1 to 48 letters, digits, _ or -")
        return None
    if word.text in RESERVED:
        fields.complain("name", f'"{word.text}" is signoff\'s own tool; choose another name')
        return None
    return word


def _risk(fields: Fields) -> Risk | None:
    word = fields.choice("risk", [str(risk) for risk in Risk], "")
    if word == Risk.CRITICAL:
        fields.complain("risk", f"critical means passkey, and {NO_PASSKEYS}; use high")
    return Risk(word) if word else None


def _retry(fields: Fields) -> Retry:
    node = fields.take("retry")
    if node is None:
        return Retry()
    if isinstance(node.value, dict):
        retry = fields.section("retry")
        word = retry.word("idempotency_key") if retry is not None else None
        if retry is None:
            return Retry()
        retry.needs("idempotency_key", "is needed: the upstream's header, Idempotency-Key")
        retry.close()
        if word is not None and not _HEADER.fullmatch(word.text):
            retry.complain("idempotency_key", "is not a header name")
        return Retry(kind="idempotency_key", header=word.text if word else None)
    if node.value == "reconcile":
        fields.complain("retry", "reconcile is not built yet; leave retry out")
        return Retry()
    options = ("never", "idempotency_key", "natural")
    if not isinstance(node.value, str):
        fields.complain("retry", f"must be one of {', '.join(options)}, not {kind_of(node)}")
        return Retry()
    kind = cast("RetryKind", fields.choice("retry", options, "never"))
    return Retry(kind=kind, header="Idempotency-Key" if kind == "idempotency_key" else None)


def _definite(fields: Fields) -> frozenset[int]:
    found: set[int] = set()
    for path, node in fields.nodes("definite_statuses"):
        if isinstance(node.value, int) and 500 <= node.value <= 599:  # noqa: PLR2004 — 5xx
            found.add(node.value)
        else:
            fields.problems.add(node.spot, f"{path}: must be a status from 500 to 599")
    return frozenset(found)
