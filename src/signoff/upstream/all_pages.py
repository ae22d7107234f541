"""One answer out of several pages: what of each is kept, when it is enough, what is said of it.

Owns the limits of `fetch_all`, and that reading stops at a loop, at another host and at the first
page that does not come. Sends nothing and holds no clock: `gate/allowed.py` asks for the next page
as for any call of the same tool, frozen anew, so it goes to the same place with the same
credentials and no other.
"""

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, assert_never

from signoff.canonical import Json, JsonError, parse
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import FetchAll
from signoff.upstream.pages import at, counts, elsewhere, names_more, next_arguments
from signoff.upstream.response import LIMIT, Failed, OutcomeUnknown, Succeeded, classify
from signoff.upstream.sent import Answered, Changed, NotSent, Sent, Unknown
from signoff.upstream.serialise import compact
from signoff.upstream.tool_result import ToolResult, told

_ROOM: Final = 16_384  # for what stands around the items


class Reading:
    """The pages read so far. `following` are the arguments of the next one; None: it is over."""

    def __init__(self, tool: ToolSpec, fetch: FetchAll, arguments: Mapping[str, Json]) -> None:
        self._tool, self._fetch = tool, fetch
        self._arguments = dict(arguments)
        self._items: list[Json] = []
        self._around: Json = None
        self._text = ""
        self._bytes = 0
        self._last = 0
        self._digest = b""
        self._asked = {_digest(arguments)}
        self._stopped: str | None = None
        self._rest: dict[str, Json] | None = None
        self.following: dict[str, Json] | None = None
        self.pages = 0

    @property
    def progress(self) -> str:
        """How far it is, in words that hold nothing of the answer."""
        return f"{_many(self.pages, 'page')} read, {_many(len(self._items), 'item')} so far"

    def take(self, sent: Sent, *, url: str) -> bool:
        """Add a page that came from `url`; False when it is none, and then it is over.

        With the first one False, nothing was read and `sent` is the whole answer.
        """
        if self.following is not None:
            self._arguments.update(self.following)
        asked, self.following = self.following, None
        if self.pages and _is_nothing(sent) and counts(self._tool):
            return False
        page = _page(self._tool, sent)
        if isinstance(page, str):
            self._end(f"the next could not be read: {page}", asked)
            return False
        answered, value, items = page
        text = compact(items).encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(text).digest()
        if counts(self._tool) and self.pages and items and digest == self._digest:
            # A cursor says itself whether it moved; a number that is ignored shows in the items.
            self._end("the API answers every request with the same page", None)
            return False
        if self._bytes + len(text) > LIMIT - _ROOM:
            self._end("the answer would become too large", asked)
            return False
        if self.pages and len(self._items) + len(items) > self._fetch.max_items:
            self._end(f"it would be more than {self._fetch.max_items} items", asked)
            return False
        self._digest, self._around = digest, value
        self._text = answered.body.decode("utf-8-sig", "replace")
        self._items += items
        self._bytes += len(text)
        self._last = len(items)
        self.pages += 1
        self._go_on(answered, value, url)
        return True

    def next_arguments(self) -> dict[str, Json]:
        """Return all the arguments of the next call."""
        return {**self._arguments, **(self.following or {})}

    def stop(self, why: str) -> None:
        """End before the next page is asked for, or instead of it."""
        self._end(why, self.following)
        self.following = None

    def result(self) -> ToolResult:
        """Return what was read, in the shape of one answer: the last one, with all the items."""
        value = _with(self._around, self._tool, self._items) if self.pages > 1 else self._around
        counted = f"{_many(self.pages, 'page')} {'was' if self.pages == 1 else 'were'} read"
        counted = f"{counted}, {_many(len(self._items), 'item')}"
        meta: dict[str, Json] = {
            "pages": self.pages,
            "items": len(self._items),
            "complete": self._stopped is None,
        }
        if self._stopped is None:
            note = f"{counted}: that is all there is."
        else:
            note = f"{counted}, then reading stopped: {self._stopped}."
        if self._rest is not None:
            meta["nextPage"] = self._rest
            note = f"{note} To go on, make the same call with {compact(self._rest)}."
        structured: dict[str, Json] = value if isinstance(value, dict) else {"result": value}
        text = compact(value) if self.pages > 1 else self._text  # one page stays as it came
        return told([text, note], structured, meta=meta)

    def _go_on(self, answered: Answered, value: Json, url: str) -> None:
        following = next_arguments(self._tool, answered, value, self._arguments)
        if host := elsewhere(self._tool, answered, value, url):
            # It may well be a private address: nobody but the operator says where calls go.
            self._end(f"the link to the next page leads to {host[:100]}, and is not followed", None)
        elif following is None:
            if names_more(self._tool, answered, value):
                self._end("there is more, but no argument of this tool asks for it", None)
        elif (asked := _digest({**self._arguments, **following})) in self._asked:
            self._end("the API names a page as its next one that was read before", None)
        elif self.pages >= self._fetch.max_pages:
            self._end(f"one call reads {self._fetch.max_pages} pages at most", following)
        elif len(self._items) + self._last > self._fetch.max_items:
            self._end(f"one call reads {self._fetch.max_items} items at most", following)
        else:
            self._asked.add(asked)
            self.following = following

    def _end(self, why: str, rest: dict[str, Json] | None) -> None:
        self._stopped, self._rest = why, rest


def _page(tool: ToolSpec, sent: Sent) -> tuple[Answered, Json, list[Json]] | str:
    """Return the answer, its value and its items, or why it is no page."""
    match sent:
        case Answered():
            pass
        case NotSent(reason=reason) | Changed(reason=reason) | Unknown(reason=reason):
            return reason
        case _:
            assert_never(sent)
    match classify(tool, sent):
        case Failed() | OutcomeUnknown():
            after = sent.header("retry-after")
            return _status(sent.status) + (f", Retry-After {after[:40]}" if after else "")
        case Succeeded():
            pass
    if sent.truncated:
        return f"it is larger than {len(sent.body):,} bytes"
    try:
        value = parse(sent.body)
    except JsonError:
        return "it is not JSON"
    items = at(value, tool.pagination.items) if tool.pagination is not None else None
    return (sent, value, items) if isinstance(items, list) else "it holds no list of items"


def _is_nothing(sent: Sent) -> bool:
    return isinstance(sent, Answered) and sent.status == HTTPStatus.NO_CONTENT


def _with(value: Json, tool: ToolSpec, items: list[Json]) -> Json:
    """Return `value` with `items` where its own stand."""
    path = tool.pagination.items if tool.pagination is not None else ()

    def placed(part: Json, depth: int) -> Json:
        if depth == len(path) or not isinstance(part, dict):
            return items
        return {**part, path[depth]: placed(part.get(path[depth]), depth + 1)}

    return placed(value, 0)


def _digest(arguments: Mapping[str, Json]) -> bytes:
    return hashlib.sha256(json.dumps(dict(arguments), sort_keys=True).encode()).digest()


def _status(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
