"""Whoever makes a call by way of a gate may end meanwhile: nothing of theirs is decided or fetched.

The gate may be in a process of its own. What it asks for ends here, where clients and people are.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from as_parts import CALLER, ISSUER, Provider, refused, running_provider, tool_call
from signoff.approvals.ports import TooLate
from signoff.approvals.request import Status
from signoff.oauth.clients import Issued
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

End: TypeAlias = Callable[[Provider, str], Awaitable[object]]

BOTH = ["alice", "bob"]
ENDS: dict[str, End] = {
    "client deleted": lambda here, id_: here.clients.delete(id_, by="operator"),
    "client switched off": lambda here, id_: here.people.disable(id_, by="operator"),
    "person switched off": lambda here, _: here.people.disable("alice", by="operator"),
    "person taken out": lambda here, _: here.people.keep_only(["bob", "carol"]),
}
ended = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> AsyncGenerator[Provider, None]:
    async with running_provider(database, sealer) as running:
        yield running


@pytest.fixture
async def host(provider: Provider) -> Issued:
    return await provider.other_client(name="host")


def call_of(client_id: str, **changed: Any) -> Any:
    """Return details of a call that the client makes for Alice and Bob may decide too."""
    caller = {"kind": "oauth", "issuer": ISSUER, "client_id": client_id, "sub": "alice"}
    return tool_call(approvers=BOTH, caller=caller, **changed)


@ended
async def test_what_waits_for_a_person_leaves_the_page_and_the_gate_hears_why(
    provider: Provider, host: Issued, end: End
) -> None:
    auth_req_id = await provider.asked(call_of(host.client.id))
    other = await provider.asked(tool_call("call_2", approvers=BOTH, caller={
        "kind": "oauth", "issuer": ISSUER, "client_id": CALLER, "sub": "carol"
    }))  # fmt: skip
    card = await provider.card(auth_req_id)
    await end(provider, host.client.id)
    decided = await provider.approvals.decide(
        card.id, user_id="bob", digest=card.digest, verdict="approve", reason=None, acr="session"
    )
    assert isinstance(decided, TooLate)
    assert decided.approval.status is Status.WITHDRAWN
    answer = await provider.poll(auth_req_id)
    told = answer.json()
    assert (answer.status_code, told["error"], told["denied_by"]) == (400, "access_denied", None)
    assert "any more" in told["reason"]
    assert (await provider.card(other)).status is Status.PENDING


@ended
async def test_a_yes_that_the_gate_did_not_fetch_lapses(
    provider: Provider, host: Issued, end: End
) -> None:
    auth_req_id = await provider.asked(call_of(host.client.id))
    await provider.decide(auth_req_id, user_id="bob")
    await end(provider, host.client.id)
    assert (await provider.card(auth_req_id)).status is Status.LAPSED
    refused(await provider.poll(auth_req_id), "invalid_grant")


async def stands(provider: Provider, token: str) -> bool:
    return (await provider.post("/oauth2/introspect", {"token": token})).json()["active"]


@pytest.mark.parametrize("how", [name for name in ENDS if name != "person taken out"])
async def test_a_yes_that_the_gate_fetched_stands_no_more(
    provider: Provider, host: Issued, how: str
) -> None:
    auth_req_id = await provider.asked(call_of(host.client.id))
    await provider.decide(auth_req_id, user_id="bob")
    token = (await provider.poll(auth_req_id)).json()["access_token"]
    assert await stands(provider, token)
    await ENDS[how](provider, host.client.id)
    assert not await stands(provider, token)


@pytest.mark.parametrize("how", [name for name in ENDS if name != "person taken out"])
async def test_a_call_that_comes_afterwards_is_asked_about_no_more(
    provider: Provider, host: Issued, how: str
) -> None:
    """A request that was let in before, at a gate that has not heard of it."""
    await ENDS[how](provider, host.client.id)
    refused(await provider.ask(call_of(host.client.id)), "access_denied")
    assert await provider.approvals.inbox("bob") == []


async def test_a_client_that_never_was_makes_no_call(provider: Provider) -> None:
    refused(await provider.ask(call_of("host_unknown")), "access_denied")


async def test_the_same_call_asked_about_again_afterwards_is_refused(
    provider: Provider, host: Issued
) -> None:
    await provider.asked(call_of(host.client.id))
    await provider.clients.delete(host.client.id, by="operator")
    refused(await provider.ask(call_of(host.client.id)), "access_denied")


@pytest.mark.parametrize("kind", ["local", "agent"])
async def test_a_program_beside_the_gate_is_no_client_of_ours(
    provider: Provider, host: Issued, kind: str
) -> None:
    """Its id is the gate's to give: a client here that happens to be called so is another."""
    caller = {"kind": kind, "issuer": "local", "client_id": host.client.id}
    auth_req_id = await provider.asked(tool_call(caller=caller))
    await provider.clients.delete(host.client.id, by="operator")
    await provider.decide(auth_req_id)
    token = (await provider.poll(auth_req_id)).json()["access_token"]
    assert await stands(provider, token)
