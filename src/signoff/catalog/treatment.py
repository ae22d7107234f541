"""What the operator says of one capability: its name, its risk, who signs it off, its retry.

Owns the keys that an OpenAPI operation and a hand-written capability share, and applying them to a
compiled tool. What cannot be enforced yet is refused here, in one sentence each.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from signoff.catalog import templates
from signoff.catalog.config import People
from signoff.catalog.fields import Fields, Problems, Word, kind_of, suggest
from signoff.catalog.model import ApprovalRule, Approver, Retry, RetryKind, Risk, ToolSpec
from signoff.catalog.openapi.names import RESERVED, TOOL
from signoff.catalog.openapi.texts import plain_text
from signoff.catalog.paging import Paging, paged, read_paging, told_of
from signoff.catalog.yaml_source import Node, Spot

CALLER: Final = "${caller.sub}"
_LATER: Final = "is reserved for a later version; leave it out"
RESERVED_KEYS: Final[Mapping[str, str]] = dict.fromkeys(
    ("visible_to", "default_grants", "constraints", "grant_ttl"), _LATER
)
_NO_PASSKEYS: Final = "passkeys are not built yet, so this cannot be enforced"
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,100}")
_GROUP: Final = "group:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """The operator's words, still with their places."""

    path: str
    spot: Spot
    name: Word | None
    title: Word | None
    description: Word | None
    risk: Risk | None
    approval: ApprovalRule
    approval_title: Word | None
    retry: Retry
    secret: tuple[Word, ...]
    definite_statuses: frozenset[int]
    media_type: Word | None
    pagination: Paging | None


def read_treatment(fields: Fields, people: People) -> Treatment:
    """Read the shared keys; the caller closes `fields`."""
    title, approval = _approval(fields, people)
    treatment = Treatment(
        path=fields.path,
        spot=fields.spot,
        name=_name(fields),
        title=fields.word("title"),
        description=fields.word("description"),
        risk=_risk(fields),
        approval=approval,
        approval_title=title,
        retry=_retry(fields),
        secret=tuple(fields.words("secret")),
        definite_statuses=_definite(fields),
        media_type=fields.word("media_type"),
        pagination=read_paging(fields),
    )
    executor = fields.text("executor", "proxy")
    if executor != "proxy":
        fields.complain("executor", f'"{executor[:40]}" is not built yet; only proxy is')
    fields.reserved(RESERVED_KEYS)
    return treatment


def apply(tool: ToolSpec, treatment: Treatment, problems: Problems) -> ToolSpec:
    """Return `tool` as the operator wants it; what does not fit it is a problem."""
    arguments = tuple(cast("Mapping[str, object]", tool.input_schema.get("properties", {})))
    secret = set(tool.secret_arguments)
    for word in treatment.secret:
        if word.text in arguments:
            secret.add(word.text)
        else:
            hint = suggest(word.text, arguments)
            message = f'{treatment.path}.secret: there is no argument "{word.text[:60]}"{hint}'
            problems.add(word.spot, message)
    title = treatment.approval_title
    if title is not None and (fault := templates.check_title(title, arguments, secret)):
        problems.add(title.spot, f"{treatment.path}.approval.title: {fault}")
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
        approval=treatment.approval,
        retry=treatment.retry,
        definite_statuses=treatment.definite_statuses,
        pagination=pagination,
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
        fields.complain("risk", f"critical means passkey, and {_NO_PASSKEYS}; use high")
        return Risk.HIGH
    return Risk(word) if word else None


def _approval(fields: Fields, people: People) -> tuple[Word | None, ApprovalRule]:
    approval = fields.section("approval")
    if approval is None:
        return None, ApprovalRule()
    title = approval.word("title")
    if approval.choice("strength", ("session", "passkey"), "session") == "passkey":
        approval.complain("strength", f"{_NO_PASSKEYS}; use session")
    expires_in_s = approval.duration("expires_in", 900.0, least="30s", most="72h")
    rule = ApprovalRule(
        title=title.text if title else None,
        approver=_approver(approval, people),
        expires_in_s=int(expires_in_s),
    )
    approval.reserved(RESERVED_KEYS)
    approval.close()
    return title, rule


def _approver(approval: Fields, people: People) -> Approver:
    node = approval.take("approver")
    if node is None:
        return Approver()
    if not isinstance(node.value, dict):
        return Approver(any_of=_who(approval, approval.at("approver"), node, people))
    fields = approval.section("approver")
    if fields is None:
        return Approver()
    fields.needs("any_of", "is needed: the users or groups that may decide")
    found = [
        who for path, member in fields.nodes("any_of") for who in _who(fields, path, member, people)
    ]
    if "any_of" in fields and not fields.nodes("any_of"):
        fields.complain("any_of", "names nobody")
    if fields.integer("need", 1, least=1, most=100) > 1:
        fields.complain("need", "more than one approver is not built yet; use 1")
    not_caller = fields.flag("not_caller")
    if not_caller and found and set(found) == {CALLER}:
        fields.complain("not_caller", "leaves nobody who could decide")
    fields.close()
    return Approver(any_of=tuple(dict.fromkeys(found)), not_caller=not_caller)


def _who(fields: Fields, path: str, node: Node, people: People) -> tuple[str, ...]:
    word = fields.as_word(node, path)
    if word is None:
        return ()
    text = word.text
    if text == CALLER or text in people.users:
        return (text,)
    if text.startswith(_GROUP):
        group = text.removeprefix(_GROUP)
        if group in people.groups:
            return people.groups[group]
        hint = suggest(group, people.groups)
        fields.problems.add(word.spot, f'{path}: nobody is in the group "{group[:60]}"{hint}')
        return ()
    if text.startswith("${"):
        fields.problems.add(word.spot, f'{path}: only "{CALLER}" may stand here')
        return ()
    hint = suggest(text, [*people.users, CALLER])
    fields.problems.add(word.spot, f'{path}: there is no user "{text[:60]}"{hint}')
    return ()


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
