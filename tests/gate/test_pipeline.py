"""A call from arguments to its one effect, through the real authorization server."""

import json

from gate_house import House
from gate_parts import ALICE, INFO
from signoff.gate.answers import Finished
from signoff.gate.call import State


async def test_an_approved_call_is_sent_once_with_the_bytes_of_its_card(home: House) -> None:
    call = await home.pay()
    card = await home.card(call)
    assert home.bank.heads == []
    await home.decide(call)
    finished = await home.finished(call)
    assert finished.call is not None
    assert finished.call.state is State.SUCCEEDED
    assert not finished.result.is_error
    assert finished.result.structured == {"id": "t1"}
    request = card.authorization_details[0]["request"]
    assert isinstance(request, dict)
    assert [body.decode() for body in home.bank.bodies] == [request["body"]]
    assert json.loads(home.bank.bodies[0]) == {"amount": 25, "to_account": "savings"}


async def test_an_allowed_read_goes_at_once_and_is_written_nowhere(home: House) -> None:
    answer = await home.gate.call(ALICE, INFO, "balance", {"account": "checking"}, said=None)
    assert isinstance(answer, Finished)
    assert answer.call is None
    assert [head.split("\r\n")[0] for head in home.bank.heads] == [
        "GET /accounts/checking HTTP/1.1"
    ]
