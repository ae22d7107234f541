"""One answer out of several pages: what is kept, and everything that ends it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from signoff.canonical import Json
from signoff.catalog.wire import FetchAll, Pagination
from signoff.upstream.all_pages import Reading
from signoff.upstream.response import LIMIT
from signoff.upstream.sent import Answered, Changed, NotSent, Sent, Unknown
from upstream_parts import parameter, tool

URL = "https://bank.example/api/things"
SCHEMA: Json = {
    "type": "object",
    "properties": {"page": {"type": "integer", "default": 1}, "after": {"type": "string"}},
}
PAGE = Pagination(kind="page", argument="page", items=("items",))
CURSOR = Pagination(kind="cursor", argument="after", next=("next",), items=("items",))
LINK = Pagination(kind="link", items=("items",))
FETCH = FetchAll(max_pages=5, max_items=50, max_time_s=10)


def reading(plan: Pagination = CURSOR, fetch: FetchAll = FETCH, **arguments: Json) -> Reading:
    parameters = [parameter("page", "query"), parameter("after", "query")]
    spec = tool(pagination=plan, parameters=parameters, input_schema=SCHEMA)
    return Reading(spec, fetch, arguments)


def page(items: Json, following: Json = None, *, link: str | None = None, **more: Json) -> Answered:
    body = json.dumps({"items": items, "next": following, **more}).encode()
    headers = (("content-type", "application/json"), *((("link", link),) if link else ()))
    return Answered(status=200, headers=headers, body=body)


def told(book: Reading) -> tuple[Any, Any, str]:
    result = book.result()
    assert not result.is_error
    assert json.loads(str(result.content[0]["text"])) == result.structured
    return result.structured, dict(result.meta), str(result.content[1]["text"])


def test_the_items_of_all_pages_stand_in_the_last_answer() -> None:
    book = reading()
    assert book.take(page([1, 2], "a", kept="old"), url=URL)
    assert book.next_arguments() == {"after": "a"}
    assert book.take(page([3], None, kept="new"), url=URL)
    assert book.following is None
    assert told(book) == (
        {"items": [1, 2, 3], "next": None, "kept": "new"},
        {"pages": 2, "items": 3, "complete": True},
        "2 pages were read, 3 items: that is all there is.",
    )


def test_items_deeper_in_an_answer_are_put_back_there() -> None:
    book = reading(Pagination(kind="page", argument="page", items=("data", "rows"), total=("n",)))
    for rows in ([1], [2]):
        body = json.dumps({"data": {"rows": rows, "more": 1}, "n": 2}).encode()
        assert book.take(Answered(status=200, headers=(), body=body), url=URL)
    assert told(book)[0] == {"data": {"rows": [1, 2], "more": 1}, "n": 2}


def test_a_plain_list_stays_one() -> None:
    book = reading(Pagination(kind="page", argument="page"))
    for body in (b"[1]", b"[2]", b"[]"):
        assert book.take(Answered(status=200, headers=(), body=body), url=URL)
    assert book.following is None
    result = book.result()
    assert (result.content[0]["text"], result.structured) == ("[1,2]", {"result": [1, 2]})
    assert result.meta["complete"] is True


def test_other_arguments_of_the_call_stay() -> None:
    book = reading(after="start", page=7)
    book.take(page([1], "next"), url=URL)
    assert book.next_arguments() == {"after": "next", "page": 7}


def test_reading_stops_at_the_limit_of_pages_and_says_how_to_go_on() -> None:
    book = reading(PAGE, FetchAll(max_pages=2), page=3)
    book.take(page(["a"]), url=URL)
    book.take(page(["b"]), url=URL)
    assert book.following is None
    _, meta, note = told(book)
    assert meta == {"pages": 2, "items": 2, "complete": False, "nextPage": {"page": 5}}
    assert note == (
        "2 pages were read, 2 items, then reading stopped: one call reads 2 pages at most. "
        'To go on, make the same call with {"page":5}.'
    )


def test_a_page_that_would_be_too_many_items_is_not_asked_for() -> None:
    book = reading(PAGE, FetchAll(max_items=5))
    book.take(page([1, 2]), url=URL)
    book.take(page([3, 4]), url=URL)
    assert book.following is None
    assert told(book)[1]["nextPage"] == {"page": 3}


def test_a_page_that_is_too_many_items_is_left_for_the_next_call() -> None:
    book = reading(PAGE, FetchAll(max_items=5))
    book.take(page([1, 2]), url=URL)
    assert not book.take(page([3, 4, 5, 6]), url=URL)
    structured, meta, _ = told(book)
    assert structured["items"] == [1, 2]
    assert meta == {"pages": 1, "items": 2, "complete": False, "nextPage": {"page": 2}}


def test_a_first_page_of_more_items_than_allowed_is_given_whole() -> None:
    book = reading(PAGE, FetchAll(max_items=2))
    assert book.take(page([1, 2, 3]), url=URL)
    assert told(book)[1] == {"pages": 1, "items": 3, "complete": False, "nextPage": {"page": 2}}


def test_a_page_that_makes_the_answer_too_large_is_left_for_the_next_call() -> None:
    book = reading(PAGE)
    book.take(page(["x" * (LIMIT // 2)]), url=URL)
    assert not book.take(page(["y" * (LIMIT // 2)]), url=URL)
    structured, meta, note = told(book)
    assert len(structured["items"]) == 1
    assert meta["nextPage"] == {"page": 2}
    assert "too large" in note


@pytest.mark.parametrize(
    "sent",
    [
        page(["x" * LIMIT]),
        Answered(status=500, headers=(), body=b"{}"),
        Answered(status=200, headers=(), body=b"<html>"),
        Answered(status=200, headers=(), body=b'{"items": {}}'),
        NotSent(reason="no connection"),
    ],
    ids=["too large", "500", "HTML", "no list", "not sent"],
)
def test_a_first_answer_that_is_no_page_is_told_as_any_answer(sent: Sent) -> None:
    book = reading()
    assert not book.take(sent, url=URL)
    assert (book.following, book.pages) == (None, 0)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (Answered(status=503, headers=(), body=b"oops"), "HTTP 503 Service Unavailable"),
        (
            Answered(status=429, headers=(("retry-after", "30"),), body=b""),
            "HTTP 429 Too Many Requests, Retry-After 30",
        ),
        (Answered(status=302, headers=(), body=b""), "HTTP 302 Found"),
        (Answered(status=799, headers=(), body=b""), "HTTP 799"),
        (Answered(status=200, headers=(), body=b"<html>"), "it is not JSON"),
        (Answered(status=200, headers=(), body=b""), "it is not JSON"),
        (Answered(status=200, headers=(), body=b'{"items":1}'), "it holds no list of items"),
        (Answered(status=200, headers=(), body=b"[1]"), "it holds no list of items"),
        (
            Answered(status=200, headers=(), body=b'{"items":[1', truncated=True),
            "it is larger than 11 bytes",
        ),
        (Unknown(reason="bank: no full answer"), "bank: no full answer"),
        (NotSent(reason="bank: no connection"), "bank: no connection"),
        (Changed(reason="a credential changed"), "a credential changed"),
    ],
    ids=[
        "503",
        "429",
        "302",
        "799",
        "HTML",
        "empty",
        "number",
        "list",
        "cut",
        "unknown",
        "not sent",
        "changed",
    ],
)
def test_what_was_read_is_told_when_a_later_page_fails(sent: Sent, why: str) -> None:
    book = reading()
    book.take(page([1], "a"), url=URL)
    assert not book.take(sent, url=URL)
    structured, meta, note = told(book)
    assert structured["items"] == [1]
    assert meta == {"pages": 1, "items": 1, "complete": False, "nextPage": {"after": "a"}}
    assert note == (
        f"1 page was read, 1 item, then reading stopped: the next could not be read: {why}. "
        'To go on, make the same call with {"after":"a"}.'
    )


@pytest.mark.parametrize(
    ("plan", "answer"),
    [
        (LINK, page([1], link="</things?token=x>; rel=next")),
        (CURSOR, page([1], {"after": "x"})),
        (CURSOR, page([1], "x" * 5_000)),
        (CURSOR, page([1], "/things?token=x")),
        (replace(PAGE, argument="after"), page([1])),
        (Pagination(kind="last_id", argument="after", items=("items",), more=("next",)),
         page(["no id"], following=True)),
    ],
    ids=["link", "object", "long", "url", "no number", "no id"],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_not_taken_for_the_end(
    plan: Pagination, answer: Answered
) -> None:
    book = reading(plan)
    book.take(answer, url=URL)
    assert book.following is None
    _, meta, note = told(book)
    assert meta == {"pages": 1, "items": 1, "complete": False}
    assert "no argument of this tool asks for it" in note


def test_a_cursor_that_leads_back_ends_it() -> None:
    book = reading()
    for at, following in enumerate(["a", "b", "a"]):
        assert book.take(page([at], following), url=URL)
    assert book.following is None
    _, meta, note = told(book)
    assert meta == {"pages": 3, "items": 3, "complete": False}
    assert "read before" in note


def test_a_cursor_that_leads_to_where_the_call_began_ends_it() -> None:
    book = reading(after="start")
    book.take(page([1], "start"), url=URL)
    assert book.following is None
    assert told(book)[1]["complete"] is False


def test_an_api_that_ignores_the_page_gives_its_items_once() -> None:
    book = reading(PAGE)
    assert book.take(page([1, 2]), url=URL)
    assert not book.take(page([1, 2]), url=URL)
    structured, meta, note = told(book)
    assert structured["items"] == [1, 2]
    assert meta == {"pages": 1, "items": 2, "complete": False}
    assert "the same page" in note


def test_pages_that_look_alike_are_told_apart_by_their_cursors() -> None:
    book = reading()
    for following in ("a", "b", None):
        assert book.take(page([0, 0], following), url=URL)
    structured, meta, _ = told(book)
    assert structured["items"] == [0] * 6
    assert meta == {"pages": 3, "items": 6, "complete": True}


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api/things?page=2",
        "//evil.example/things?page=2",
        "\\\\evil.example/things?page=2",
        "http://169.254.169.254/latest/meta-data?page=2",
        "http://127.0.0.1:9/?page=2",
        "http://bank.example/api/things?page=2",
        "https://bank.example:8443/api/things?page=2",
        "https://bank.example.evil.example/?page=2",
        "https://bank.example@evil.example/?page=2",
        "https://evil.example\\@bank.example/?page=2",
        "file:///etc/passwd?page=2",
        "https://[broken/?page=2",
        "https://bank.example:99999/?page=2",
    ],
)
def test_a_link_to_another_host_is_not_followed(link: str) -> None:
    book = reading(LINK)
    book.take(page([1], link=f'<{link}>; rel="next"'), url=URL)
    assert book.following is None
    _, meta, note = told(book)
    assert (meta["complete"], "nextPage" in meta) == (False, False)
    assert "is not followed" in note


def test_a_cursor_that_is_a_link_to_another_host_is_not_followed() -> None:
    book = reading()
    book.take(page([1], "https://evil.example/?after=2"), url=URL)
    assert book.following is None
    assert "evil.example" in told(book)[2]


@pytest.mark.parametrize(
    "link",
    [
        "https://bank.example/api/things?page=2",
        "https://bank.example:443/other/7/things?page=2",
        "HTTPS://BANK.example/api/things?page=2",
        "/api/things?page=2",
        "?page=2",
    ],
)
def test_a_link_to_the_same_origin_counts_for_its_arguments_alone(link: str) -> None:
    book = reading(LINK)
    book.take(page([1], link=f'<{link}>; rel="next"'), url=URL)
    assert book.following == {"page": 2}


def test_no_content_after_a_counted_page_is_the_end() -> None:
    book = reading(PAGE)
    book.take(page([1]), url=URL)
    assert not book.take(Answered(status=204, headers=(), body=b""), url=URL)
    assert told(book)[1] == {"pages": 1, "items": 1, "complete": True}


def test_reading_can_be_stopped_from_outside() -> None:
    book = reading()
    book.take(page([1], "a"), url=URL)
    book.stop("the time is over")
    assert book.following is None
    assert told(book)[1:] == (
        {"pages": 1, "items": 1, "complete": False, "nextPage": {"after": "a"}},
        (
            "1 page was read, 1 item, then reading stopped: the time is over. "
            'To go on, make the same call with {"after":"a"}.'
        ),
    )


def test_an_answer_of_one_page_stays_as_it_came() -> None:
    book = reading()
    body = b'{"items": [0.10000000000000000001, 1e2],  "next": null}'
    assert book.take(Answered(status=200, headers=(), body=body), url=URL)
    result = book.result()
    assert result.content[0]["text"] == body.decode()
    assert result.structured == json.loads(body)


def test_whole_numbers_stay_exact_over_pages() -> None:
    book = reading()
    book.take(page([2**63 + 1], "a"), url=URL)
    book.take(page([-(2**70)]), url=URL)
    assert told(book)[0]["items"] == [2**63 + 1, -(2**70)]
