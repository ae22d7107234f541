"""A frozen request as a card: what a person needs to see to say yes or no.

Pure functions over `authorization_details` in the shape of `approvals/details.py`. Owns which
facts stand on the card and in what order; `web/text.py` makes their text safe, `web/facts.py`
takes the request apart. Everything shown comes from what will be sent. Never cuts a value.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, cast

from signoff.approvals.details import TYPE
from signoff.approvals.request import Approval
from signoff.canonical import Json
from signoff.catalog.model import DetailsType, User
from signoff.web.alarms import warnings_of
from signoff.web.facts import Fact, flatten, is_described, request_facts
from signoff.web.text import Shown, one_piece, show

RiskLevel = Literal["low", "high", "critical"]

TITLE_VALUE_LENGTH: Final = 40
MAX_BOXES: Final = 4_000
"""So many stretches of text may the facts of a card have together."""
_FINGERPRINT_HEX: Final = 16
_DESCRIBED: Final = (
    "The body cannot be shown here, only its size and hash. The values below it are the "
    "arguments it was made from: if you cannot tell what would be sent, deny it."
)
_RISKS: Final[Mapping[str, tuple[RiskLevel, str]]] = {
    "low": ("low", "Low risk"),
    "high": ("high", "High risk"),
    "critical": ("critical", "Critical risk"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TitlePart:
    """A piece of the heading: the operator's words, or one value (None: too long, see facts)."""

    text: Shown | None
    argument: Shown | None = None
    """Set when this is a value: the argument's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who asks, through what. `claims` is what the client says of itself, and no more."""

    person: Shown | None
    person_name: Shown | None
    client_id: Shown
    local: bool
    claims: Shown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One header line. `reference` values are secrets and are shown by their reference."""

    name: Shown
    value: Shown
    reference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """The request byte for byte, as far as it may be shown."""

    method: str
    url: Shown
    headers: tuple[Header, ...]
    body: Shown | None
    """None when there is no body or it is only described."""
    body_bytes: int
    body_sha256: str
    body_media_type: Shown | None
    masked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The same call made before. `again` means this one was opened to do it once more."""

    call_id: Shown
    outcome: str
    at: datetime | None
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything the page shows of one approval, safe to put into elements one by one."""

    approval: Approval
    tool: Shown | None
    """None for another application's request, which gets a generic card."""
    title: tuple[TitlePart, ...]
    risk: RiskLevel
    risk_words: str
    who: Who
    facts: tuple[Fact, ...]
    exact: Exact | None
    said: Shown | None
    earlier: Earlier | None
    warnings: tuple[str, ...]
    fingerprint: str
    explained: tuple[tuple[str, str], ...] = ()
    """What the operator says of each type that another application asks for: title and words."""
    rivals: tuple[tuple[str, str], ...] = ()
    """Other open cards of the same tool: approval id and plain heading."""

    @property
    def plain_title(self) -> str:
        """Return the heading as one line of plain text, hidden characters named."""
        return "".join(
            part.text.plain
            if part.text is not None
            else f"{part.argument.plain if part.argument else ''} (see facts)"
            for part in self.title
        )

    @property
    def lasts(self) -> bool:
        """Tell whether a yes goes on giving access, until the person takes it back."""
        return self.tool is None and "offline_access" in self.approval.scope.split()

    @property
    def approve_label(self) -> str:
        """Return the words on the button that says yes."""
        if self.lasts:
            return "Approve until I take it back"
        return "Send again" if self.earlier and self.earlier.again else "Approve once"


def card(
    approval: Approval,
    users: Mapping[str, User],
    types: Mapping[str, DetailsType] = MappingProxyType({}),
) -> Card:
    """Return the card of `approval`; only the gate's own details get a title of ours.

    `types` are the operator's words for other applications' `authorization_details`.
    """
    details = approval.authorization_details
    if approval.call_id is not None and len(details) == 1 and details[0].get("type") == TYPE:
        return _bounded(_tool_call(approval, details[0], users))
    return _bounded(_application(approval, types))


def heading(
    approval: Approval,
    users: Mapping[str, User],
    types: Mapping[str, DetailsType] = MappingProxyType({}),
) -> Card:
    """Return the card without its body: what a line of the list needs, at the cost of a line."""
    details = approval.authorization_details
    if approval.call_id is not None and len(details) == 1 and details[0].get("type") == TYPE:
        return _heading(approval, details[0], users)
    return _asks_for(approval, types)


def beside(shown: Card, open_cards: Sequence[Card]) -> Card:
    """Mark in `shown` what differs from other open cards of the same tool."""
    if shown.tool is None:
        return shown
    others = [
        other
        for other in open_cards
        if other.approval.id != shown.approval.id
        and other.tool is not None
        and other.tool.plain == shown.tool.plain
    ]
    if not others:
        return shown
    facts = tuple(
        replace(fact, differs=any(_differs(fact, other) for other in others))
        for fact in shown.facts
    )
    rivals = tuple((other.approval.id, other.plain_title) for other in others)
    return replace(shown, facts=facts, rivals=rivals)


def fingerprint(digest: str) -> str:
    """Return the first 64 bits of `sha-256:<hex>` in groups a person can compare."""
    start = digest.removeprefix("sha-256:")[:_FINGERPRINT_HEX]
    return " ".join(start[at : at + 4] for at in range(0, len(start), 4))


def _differs(fact: Fact, other: Card) -> bool:
    values = [theirs.value.plain for theirs in other.facts if theirs.key == fact.key]
    return values != [fact.value.plain]


def _heading(approval: Approval, details: Mapping[str, Json], users: Mapping[str, User]) -> Card:
    level, words = _RISKS[str(details["risk"])]
    return Card(
        approval=approval,
        tool=show(str(details["tool"])),
        title=tuple(_title_part(_members(part)) for part in cast("list[Json]", details["title"])),
        risk=level,
        risk_words=words,
        who=_who(_members(details["caller"]), _members(details["client_info"]), users),
        facts=(),
        exact=None,
        said=None,
        earlier=_earlier(details),
        warnings=(),
        fingerprint=fingerprint(approval.digest),
    )


def _tool_call(approval: Approval, details: Mapping[str, Json], users: Mapping[str, User]) -> Card:
    request = _members(details["request"])
    card = _heading(approval, details, users)
    facts = request_facts(request, _members(details["arguments"]))
    exact, said = _exact(request), details["said"]
    prose = None if not isinstance(said, str) else show(said, spaces="prose")
    described = is_described(request) and not request.get("parts")
    warnings = warnings_of({
        "the tool's name": [card.tool],
        "the application's name": [card.who.client_id, card.who.claims],
        "the address": [exact.url],
        "the facts": [shown for fact in facts for shown in (fact.name, fact.value)],
        "the body": [exact.body],
        "the assistant's words": [prose],
    })
    return replace(
        card,
        facts=facts,
        exact=exact,
        said=prose,
        warnings=(*((_DESCRIBED,) if described else ()), *warnings),
    )


def _bounded(card: Card) -> Card:
    """Return the card with its facts written out where their boxes are too many for a page."""
    if sum(len(fact.name.runs) + len(fact.value.runs) for fact in card.facts) <= MAX_BOXES:
        return card
    facts = tuple(
        replace(fact, name=one_piece(fact.name), value=one_piece(fact.value)) for fact in card.facts
    )
    return replace(card, facts=facts)


def _asks_for(approval: Approval, types: Mapping[str, DetailsType]) -> Card:
    """Return the heading of another application's request."""
    client_id = show(approval.client_id)
    details = approval.authorization_details
    named = [types.get(str(member.get("type"))) for member in details]
    titles = [
        one.title if one is not None and one.title else str(member.get("type", "unnamed"))
        for one, member in zip(named, details, strict=True)
    ]
    wanted = show(", ".join(titles) or approval.scope, spaces="prose")
    explained = dict.fromkeys(
        (one.title or one.name, one.description) for one in named if one and one.description
    )
    return Card(
        approval=approval,
        tool=None,
        title=(
            TitlePart(text=show("Application ", spaces="prose")),
            _value_part("application", client_id),
            TitlePart(text=show(" asks for ", spaces="prose")),
            _value_part("what", wanted),
        ),
        risk="high",
        risk_words="Another application",
        who=Who(person=None, person_name=None, client_id=client_id, local=False, claims=None),
        facts=(),
        exact=None,
        said=None,
        explained=tuple((title, words or "") for title, words in explained),
        earlier=None,
        warnings=(),
        fingerprint=fingerprint(approval.digest),
    )


def _application(approval: Approval, types: Mapping[str, DetailsType]) -> Card:
    card, details = _asks_for(approval, types), approval.authorization_details
    facts = tuple(
        fact
        for position, member in enumerate(details)
        for fact in flatten(dict(member), "" if len(details) == 1 else f"[{position}]")
    )
    facts += (
        Fact(key="scope", name=show("scope"), place="asked", value=show(approval.scope)),
        *(
            Fact(key="resource", name=show("resource"), place="asked", value=show(resource))
            for resource in approval.resources
        ),
    )
    said = approval.binding_message
    prose = None if said is None else show(said, spaces="prose")
    words = [shown for fact in facts for shown in (fact.name, fact.value)]
    warnings = warnings_of({
        "the application's name": [card.who.client_id],
        "the facts": words,
        "the application's words": [prose],
    })
    return replace(card, facts=facts, said=prose, warnings=warnings)


def _title_part(part: Mapping[str, Json]) -> TitlePart:
    if "text" in part:
        return TitlePart(text=show(str(part["text"]), spaces="prose"))
    return _value_part(str(part["argument"]), show(str(part["value"])))


def _value_part(name: str, value: Shown) -> TitlePart:
    one_line = not any(run.breaks for run in value.runs)
    fits = one_line and len(value.plain) <= TITLE_VALUE_LENGTH
    return TitlePart(text=value if fits and value.length else None, argument=show(name))


def _who(
    caller: Mapping[str, Json], client_info: Mapping[str, Json], users: Mapping[str, User]
) -> Who:
    sub = caller.get("sub")
    user = users.get(str(sub)) if sub is not None else None
    claims = " ".join(str(client_info[name]) for name in ("name", "version") if client_info[name])
    return Who(
        person=None if sub is None else show(str(sub)),
        person_name=None if user is None else show(user.name),
        client_id=show(str(caller["client_id"])),
        local=caller["kind"] == "local",
        claims=show(claims) if claims else None,
    )


def _exact(request: Mapping[str, Json]) -> Exact:
    body, media_type = request["body"], request["body_media_type"]
    return Exact(
        method=str(request["method"]),
        url=show(str(request["url"])),
        headers=(
            *(_header(name, value) for name, value in _members(request["headers"]).items()),
            *_credentials(request),
        ),
        body=show(str(body), spaces="prose") if body is not None else None,
        body_bytes=cast("int", request["body_bytes"]),
        body_sha256=str(request["body_sha256"]),
        body_media_type=None if media_type is None else show(str(media_type)),
        masked=bool(request["masked"]),
    )


def _credentials(request: Mapping[str, Json]) -> Iterator[Header]:
    """Return the secrets that go into the query or a cookie when the request is sent."""
    for one in cast("Sequence[Mapping[str, Json]]", request.get("credentials") or ()):
        name = show(f"{one['name']} ({one['in']})")
        yield Header(name=name, value=show(str(one["reference"])), reference=True)


def _header(name: str, value: Json) -> Header:
    if isinstance(value, str):
        return Header(name=show(name), value=show(value), reference=False)
    reference = str(_members(value)["reference"])
    return Header(name=show(name), value=show(reference), reference=True)


def _earlier(details: Mapping[str, Json]) -> Earlier | None:
    if details["repeat_of"] is None:
        return None
    before = _members(details["repeat_of"])
    try:
        at = datetime.fromisoformat(str(before["at"]))
    except ValueError:
        at = None
    return Earlier(
        call_id=show(str(before["call_id"])),
        outcome=str(before["outcome"]),
        at=at if at is not None and at.tzinfo is not None else None,
        again=bool(details["again"]),
    )


def _members(value: Json) -> Mapping[str, Json]:
    # `check_details` has checked the shape before anything was stored.
    return cast("Mapping[str, Json]", value)
