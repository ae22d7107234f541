"""What a digest covers: every member that a person saw."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from as_parts import known_caller, tool_call
from signoff.approvals.request import Approval, Status
from signoff.approvals.service import Acknowledged, Approvals, Request, holds, tool_call_of
from signoff.sealed import Sealer
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.sqlite import Database

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "client_id": "shop",
    "eligible": ("alice",),
    "scope": "openid pay",
    "acr": "session",
    "resources": ("https://bank.example",),
    "expires_in": timedelta(seconds=60),
    "binding_message": "W4SCT",
    "authorization_details": ({"type": "payment", "amount": 25},),
}


@pytest.fixture
def approvals(database: Database, sealer: Sealer) -> Approvals:
    return Approvals(SqliteApprovals(database, sealer), database.changes)


async def opened(approvals: Approvals, **changed: Any) -> Approval:
    acknowledged = await approvals.open(Request(**{**PLAIN, **changed}))
    assert isinstance(acknowledged, Acknowledged)
    return acknowledged.approval


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "another"},
        {"eligible": ("bob",)},
        {"eligible": ("alice", "bob")},
        {"scope": "openid"},
        {"acr": "passkey"},
        {"resources": ("https://evil.example",)},
        {"binding_message": None},
        {"nonce": "another"},
        {"authorization_details": ()},
        {"authorization_details": ({"type": "payment", "amount": 26},)},
        {"digest": "sha-256:" + "0" * 64},
    ],
)
async def test_a_plain_request_changed_in_anything_shown_no_longer_holds(
    approvals: Approvals, changed: dict[str, Any]
) -> None:
    approval = await opened(approvals)
    assert holds(approval)
    assert not holds(replace(approval, **changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"call_id": "call_2"},
        {"acr": "passkey"},
        {"eligible": ("alice", "mallory")},
        {"authorization_details": (tool_call() | {"tool": "close_account"},)},
        {"digest": "sha-256:" + "0" * 64},
    ],
)
async def test_a_tool_call_changed_in_anything_shown_no_longer_holds(
    approvals: Approvals, database: Database, changed: dict[str, Any]
) -> None:
    await known_caller(database)
    approval = await opened(approvals, authorization_details=(tool_call(),))
    assert (approval.digest, approval.nonce) == (tool_call()["digest"], tool_call()["nonce"])
    assert holds(approval)
    assert not holds(replace(approval, **changed))


async def test_two_equal_plain_requests_are_two_cards_with_two_digests(
    approvals: Approvals,
) -> None:
    first, second = await opened(approvals), await opened(approvals)
    assert first.id != second.id
    assert first.digest != second.digest


async def test_a_reason_is_trimmed_and_bounded(approvals: Approvals) -> None:
    for given, kept in (("  no\n", "no"), ("   ", None), (None, None), ("x" * 900, "x" * 500)):
        approval = await opened(approvals)
        await approvals.decide(
            approval.id,
            user_id="alice",
            digest=approval.digest,
            verdict="deny",
            reason=given,
            acr="session",
        )
        after = await approvals.load(approval.id)
        assert after is not None
        assert (after.status, after.reason) == (Status.DENIED, kept)


def test_only_a_single_tool_call_is_one() -> None:
    assert tool_call_of((tool_call(),)) == tool_call()
    assert tool_call_of(()) is None
    assert tool_call_of(({"type": "payment"},)) is None
    assert tool_call_of((tool_call(), tool_call("call_2"))) is None
