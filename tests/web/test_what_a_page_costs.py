"""What a page reads and draws: what it needs, in bounded pieces, and never on others' time."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from conftest import TurnedClock
from scripted_person import ScriptedPerson
from signoff.approvals.request import Approval
from signoff.catalog.model import User
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.web.present import MAX_BOXES, card
from street import USERS, Street, request, street, tool_call

HOSTILE = json.dumps({f"f{at:03}": "a\u200b" * 30 for at in range(480)}, ensure_ascii=False)


class CountingSealer(Sealer):
    """The real one, which counts."""

    opened = 0

    def open(self, *arguments: Any, **where: Any) -> bytes:
        self.opened += 1
        return super().open(*arguments, **where)


class Asked(dict[str, User]):
    """The users, which note on which thread a card asks for one."""

    def __init__(self) -> None:
        super().__init__(USERS)
        self.threads: set[threading.Thread] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.threads.add(threading.current_thread())
        return super().get(key, default)


@pytest.fixture
def sealer() -> CountingSealer:
    return CountingSealer(b"k" * 32)


@pytest.fixture
async def alice(here: Street) -> AsyncGenerator[ScriptedPerson, None]:
    person = await ScriptedPerson(here.url).sign_in(await here.link())
    yield person
    await person.close()


async def crowd(here: Street, sealer: CountingSealer) -> Approval:
    """Open thirty cards of another tool and two of the one that is returned."""
    for number in range(30):
        await here.open(tool_call(f"call_x{number}", tool="other"))
    await here.open(tool_call("call_b"))
    await here.open(tool_call("call_c"))
    shown = await here.open(tool_call("call_a"))
    sealer.opened = 0
    return shown


async def test_a_card_unseals_itself_and_its_rivals_and_nothing_else(
    here: Street, sealer: CountingSealer, alice: ScriptedPerson
) -> None:
    shown = await crowd(here, sealer)
    page = await alice.page(shown.id)
    assert "2 other requests for the same tool are open" in " ".join(page.split())
    assert sealer.opened == 3


async def test_of_many_rivals_a_few_are_compared_and_the_card_says_there_are_more(
    here: Street, sealer: CountingSealer, alice: ScriptedPerson
) -> None:
    shown = await here.open(tool_call("call_a"))
    for number in range(20):
        await here.open(tool_call(f"call_b{number}", request=request(body=HOSTILE)))
    sealer.opened = 0
    page = " ".join((await alice.page(shown.id)).split())
    assert "More than 5 other requests for the same tool are open" in page
    assert sealer.opened == 7


@pytest.mark.parametrize("gone", ["decided", "too late", "another's"])
async def test_what_is_over_or_anothers_is_no_rival(
    here: Street, alice: ScriptedPerson, clock: TurnedClock, gone: str
) -> None:
    theirs = tool_call("call_b", approvers=["bob"] if gone == "another's" else ["alice"])
    rival = await here.open(theirs, expires_in_s=60)
    shown = await here.open(tool_call("call_a"))
    if gone == "decided":
        await alice.deny(rival.id)
    if gone == "too late":
        clock.turn(61)
    assert "for the same tool" not in await alice.page(shown.id)


async def test_a_stream_and_a_sign_in_unseal_nothing(
    here: Street, sealer: CountingSealer, alice: ScriptedPerson
) -> None:
    shown = await crowd(here, sealer)
    for path in ("/approvals/events", f"/approvals/{shown.id}/events"):
        async with alice.http.stream("GET", path) as events, asyncio.timeout(20):
            async for line in events.aiter_lines():
                if line.startswith("data: "):
                    assert json.loads(line.removeprefix("data: "))["version"]
                    break
    entered = await alice.http.post(await here.link(), data={"device_key": ""})
    assert entered.status_code == 303
    assert sealer.opened == 0


async def test_the_version_of_a_stream_is_that_of_the_page(
    here: Street, alice: ScriptedPerson
) -> None:
    shown = await here.open()
    await here.open(tool_call("call_2"))
    for path in ("/approvals", f"/approvals/{shown.id}"):
        page = (await alice.http.get(path)).text
        found = re.search(r'data-version="([^"]+)"', page)
        assert found
        async with alice.http.stream("GET", f"{path}/events") as events, asyncio.timeout(20):
            async for line in events.aiter_lines():
                if line.startswith("data: "):
                    assert json.loads(line.removeprefix("data: "))["version"] == found[1]
                    break


async def test_a_card_of_hidden_characters_is_drawn_whole_in_bounded_pieces(here: Street) -> None:
    approval = await here.open(tool_call(request=request(body=HOSTILE)))
    drawn = card(approval, USERS)
    boxes = sum(len(fact.name.runs) + len(fact.value.runs) for fact in drawn.facts)
    assert boxes <= MAX_BOXES
    assert len(drawn.facts) == 480
    assert {fact.value.plain for fact in drawn.facts} == {"a[U+200B]" * 30}
    assert all(fact.value.suspect and fact.value.written_out for fact in drawn.facts)
    assert drawn.warnings == ("Hidden characters in the facts and the body: zero width space.",)
    few = card(
        await here.open(tool_call("call_few", request=request(body='{"a":"b\u200b"}'))), USERS
    )
    assert not any(fact.value.written_out for fact in few.facts)


@pytest.mark.parametrize(
    ("body", "aside"), [(HOSTILE, True), ('{"amount":25}', False)], ids=["large", "small"]
)
async def test_a_large_card_is_drawn_beside_the_loop(
    database: Database, sealer: Sealer, clock: TurnedClock, body: str, *, aside: bool
) -> None:
    users = Asked()
    async with street(database, sealer, clock, users=users) as here:
        person = await ScriptedPerson(here.url).sign_in(await here.link())
        approval = await here.open(tool_call(request=request(body=body)))
        users.threads.clear()
        page = await person.page(approval.id)
        assert page.count("a[U+200B]") == (480 * 30 * 2 if aside else 0)
        assert (users.threads != {threading.main_thread()}) is aside
        await person.deny(approval.id)
        assert "Denied" in await person.page(approval.id)
        await person.close()
