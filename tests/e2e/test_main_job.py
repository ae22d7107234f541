"""The main job: a risky call stops, a person signs it off, the bank moves the money once."""

import json

from harness import House, SignIn, transfer, until
from signoff.client.session import CallOutcome


def said(outcome: CallOutcome) -> str:
    return outcome.text + json.dumps(outcome.structured)


async def test_a_transfer_waits_for_the_person_and_is_booked_once(
    house: House, person: SignIn
) -> None:
    alice = await person(house.server)
    asked = await house.server.ask(transfer(25))
    await alice.open_first()
    assert house.bank.count(25) == 0
    assert "Transfer 25 EUR from checking to savings" in await alice.page.inner_text("h1")
    await alice.approve()
    outcome = await asked.work
    assert outcome.state == "done"
    assert house.bank.count(25) == 1
    assert any("alice" in status for status in asked.statuses)
    again = await house.server.call(transfer(25))
    assert again.state == "done"
    assert isinstance(again.structured, dict)
    assert again.structured["repeat"] is True
    assert house.bank.count(25) == 1


async def test_a_no_and_its_reason_reach_the_assistant_and_nothing_is_booked(
    house: House, person: SignIn
) -> None:
    alice = await person(house.server)
    asked = await house.server.ask(transfer(26))
    await alice.open(asked.card)
    await alice.deny("Rent is due first.")
    outcome = await asked.work
    assert outcome.state == "failed"
    assert "alice denied this call" in outcome.text
    assert "Rent is due first." in outcome.text
    assert "Nothing was sent" in outcome.text
    assert house.bank.count(26) == 0


async def test_after_a_no_the_same_call_gets_the_same_answer_without_a_new_card(
    house: House,
) -> None:
    asked = await house.server.ask(transfer(27))
    await house.alice.deny(asked.card, "Not today.")
    first = await asked.work
    again = await house.server.call(transfer(27))
    assert again.state == "failed"
    assert "Not today." in again.text
    assert first.text.splitlines()[0] in again.text
    assert await house.alice.waiting() == []
    assert house.bank.count(27) == 0


async def test_doing_it_twice_on_purpose_opens_a_card_that_says_so(
    house: House, person: SignIn
) -> None:
    alice = await person(house.server)
    asked = await house.server.ask(transfer(28))
    await house.alice.approve(asked.card)
    assert (await asked.work).state == "done"
    again = await house.server.call(transfer(28))
    assert isinstance(again.structured, dict)
    second = await house.server.ask({"call_id": again.structured["call_id"]}, tool="repeat_call")
    assert second.card != asked.card
    await alice.open(second.card)
    body = await alice.page.inner_text("main")
    assert "The same call succeeded" in body
    assert "This would be the second" in body
    assert house.bank.count(28) == 1
    button = alice.page.get_by_role("button", name="Send again")
    await button.wait_for()
    await button.click()
    assert (await second.work).state == "done"

    async def booked() -> bool:
        return house.bank.count(28) == 2

    await until(booked)


async def test_a_call_that_policy_allows_needs_nobody(house: House) -> None:
    outcome = await house.server.call({}, tool="list_accounts")
    assert outcome.state == "done"
    assert "checking" in said(outcome)


async def test_a_call_that_policy_denies_says_why_and_opens_no_card(house: House) -> None:
    outcome = await house.server.call({"account_id": "savings"}, tool="close_account")
    assert outcome.state == "failed"
    assert "Accounts are closed at the branch." in outcome.text
    assert await house.alice.waiting() == []


async def test_wrong_arguments_name_the_field_and_open_no_card(house: House) -> None:
    outcome = await house.server.call(transfer(29, currency="XXX"))
    assert outcome.state == "failed"
    assert "currency" in outcome.text
    assert "enum" in outcome.text
    assert await house.alice.waiting() == []
