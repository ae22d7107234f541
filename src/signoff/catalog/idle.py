"""Settings of an upstream that would do nothing, which is never what was meant.

Owns finding them. Each is a mistake with the reason why it would be idle: a credential that goes
nowhere or an address that nothing leads to is better heard of now than looked for later.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from signoff.catalog.fields import Fields, Problems, suggest
from signoff.catalog.model import Credential, Reference, Template, Upstream
from signoff.catalog.openapi.documents import Document, Operation, list_of
from signoff.catalog.openapi.security import MOVE_ONE, Given, clashes, named_schemes
from signoff.catalog.openapi.servers import Places, filled, origin_of, variable_names
from signoff.catalog.wire import SecurityScheme

_OF_A_SPEC: Final = (
    "expose", "operations", "overlays", "allow_refs", "allow_servers", "variables", "deprecated",
    "lists", "prefix",
)  # fmt: skip


def check_idle(fields: Fields, upstream: Upstream) -> None:
    """Report what an upstream's settings say to nobody."""
    if "openapi" not in fields:
        for key in _OF_A_SPEC:
            if key in fields:
                fields.complain(key, "means operations of a spec; openapi is missing")
    elif "expose" in fields and not fields.nodes("expose"):
        fields.complain("expose", "lists nothing; leave it out to offer every operation")
    if "allow_private" in fields and not ("allow_servers" in fields or "allow_refs" in fields):
        fields.complain(
            "allow_private",
            "is about allow_servers and allow_refs, and there are none; base_url is trusted as "
            "it is written",
        )
    if upstream.audience is not None and not _sends_approval(upstream):
        fields.complain(
            "audience", "is for whom ${approval.token} is; no header and no credential has that"
        )


def check_against(
    fields: Fields, document: Document, places: Places, upstream: Upstream, always: tuple[str, ...]
) -> None:
    """Report what they say to nothing in its spec; `always` are credentials of every call."""
    if places.variables:
        known = variable_names(document)
        for path, member in fields.members("variables"):
            if member.key not in known:
                message = f"no server of the spec has this variable{suggest(member.key, known)}"
                fields.problems.add(member.spot, f"{path}: {message}")
    if places.allowed:
        _check_servers(fields, document, places)
    named = named_schemes(document)
    for path, member in fields.members("credentials"):
        name = member.key
        if name in upstream.credentials and name not in always and name not in named:
            message = (
                "no operation asks for it, so it would never be sent; to send it with every call, "
                "say where it goes: {in: header, name: …, value: …}"
            )
            fields.problems.add(member.spot, f"{path}: {message}")


def note_clashes(
    fields: Fields,
    document: Document,
    schemes: Mapping[str, SecurityScheme],
    given: Given,
    *,
    selected: Callable[[Operation], bool],
    notes: Problems,
) -> None:
    """Note the credentials that no request can carry together, though operations need both."""
    counted = Counter(clashes(document, schemes, given, selected))
    for path, member in fields.members("credentials"):
        for clash, count in counted.items():
            if member.key == clash.other:
                what = "1 operation needs" if count == 1 else f"{count:,} operations need"
                message = f"is the {clash.place}, as {clash.one} is, and {what} both: {MOVE_ONE}"
                notes.add(member.spot, f"{path}: {message}")


def _check_servers(fields: Fields, document: Document, places: Places) -> None:
    led_to = {origin_of(url) for url in _operation_servers(document, places.variables)}
    for path, node in fields.nodes("allow_servers"):
        inner = node.value.get("url") if isinstance(node.value, dict) else None
        url = inner.node.value if inner is not None else node.value
        origin = origin_of(url) if isinstance(url, str) else None
        if origin in places.allowed and origin not in led_to:
            fields.problems.add(node.spot, f"{path}: no operation of the spec has a server there")


def _operation_servers(document: Document, variables: Mapping[str, str]) -> Iterator[str]:
    for operation in document.operations():
        for raw in list_of(operation.members.get("servers")) or list_of(operation.servers):
            url = filled(raw, variables)
            if url is not None:
                yield url


def _sends_approval(upstream: Upstream) -> bool:
    templates = [header.parts for header in upstream.headers]
    for credential in upstream.credentials.values():
        templates += _templates(credential)
    return any(
        isinstance(part, Reference) and part.kind == "approval"
        for template in templates
        for part in template
    )


def _templates(credential: Credential) -> tuple[Template, ...]:
    return (
        credential.value,
        credential.username,
        credential.password,
        credential.client_id,
        credential.client_secret,
    )
