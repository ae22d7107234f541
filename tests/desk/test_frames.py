"""What a relay remembers, as lines in and lines out."""

import json
from typing import Any

import pytest

from signoff.desk.frames import RESENT, Conversation


def line(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}).encode() + b"\n"


INITIALIZE = line(id=0, method="initialize", params={})
INITIALIZED = line(method="notifications/initialized")
LISTING = line(id="a", method="tools/list")


def calling(request_id: Any, **meta: Any) -> bytes:
    return line(id=request_id, method="tools/call", params={"name": "t", "_meta": meta})


def progress(token: Any, value: Any) -> bytes:
    return line(method="notifications/progress", params={"progressToken": token, "progress": value})


def test_an_answered_handshake_is_replayed_and_its_second_answer_swallowed() -> None:
    talk = Conversation()
    for heard in (INITIALIZE, INITIALIZED):
        talk.heard(heard)
    answer = line(id=0, result={})
    assert talk.answered(answer) == answer
    assert talk.replayed() == [INITIALIZE, INITIALIZED]
    assert talk.answered(answer) is None
    assert talk.answered(answer) == answer, "swallowed once only"


def test_an_unanswered_handshake_is_sent_again_and_its_answer_delivered() -> None:
    talk = Conversation()
    talk.heard(INITIALIZE)
    assert talk.replayed() == [INITIALIZE]
    assert talk.answered(line(id=0, result={})) == line(id=0, result={})


def test_unanswered_requests_are_sent_again_and_calls_are_marked() -> None:
    talk = Conversation()
    for heard in (LISTING, calling(1, kept="x"), calling("1"), calling(2), calling(3)):
        talk.heard(heard)
    talk.answered(line(id=2, result={}))
    talk.heard(line(method="notifications/cancelled", params={"requestId": 3}))
    listing, *calls = talk.replayed()
    assert listing == LISTING
    assert [json.loads(one)["id"] for one in calls] == [1, "1"]
    assert json.loads(calls[0])["params"]["_meta"] == {"kept": "x", RESENT: True}


def test_progress_rises_over_any_number_of_owners() -> None:
    talk = Conversation()
    talk.heard(calling(1, progressToken="t"))
    told: list[float] = []
    for _ in range(3):
        for value in (1, 2, 3):
            passed_on = talk.answered(progress("t", value))
            assert passed_on is not None
            told.append(json.loads(passed_on)["params"]["progress"])
        talk.replayed()
    assert told == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_progress_of_an_answered_request_is_forgotten() -> None:
    talk = Conversation()
    for _ in range(2):
        talk.heard(calling(1, progressToken="t"))
        assert talk.answered(progress("t", 1)) == progress("t", 1)
        talk.answered(line(id=1, result={}))
        talk.replayed()


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"{\n",
        b"[]\n",
        b"null\n",
        b'{"id":1}\n',
        b'{"method":7,"id":1}\n',
        b'{"method":"notifications/cancelled"}\n',
        b'{"method":"notifications/cancelled","params":[1]}\n',
        b'{"method":"notifications/progress","params":{"progress":true}}\n',
        b'{"method":"notifications/progress","params":{"progress":"1"}}\n',
        b"\xff\n",
    ],
)
def test_lines_that_make_no_sense_are_passed_on_and_change_nothing(content: bytes) -> None:
    talk = Conversation()
    talk.heard(content)
    assert talk.answered(content) == content
    assert talk.replayed() == []
    assert talk.unanswered() == []
