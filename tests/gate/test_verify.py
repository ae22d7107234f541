"""Tokens that are not a yes to this very call are refused, member by member."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from gate_parts import ALICE, INFO, ISSUER, NOW, PAY, catalogue, new_call
from memory_keys import MemoryKeys
from signoff.approvals.details import details_digest, token_details
from signoff.canonical import Json
from signoff.gate.call import Call
from signoff.gate.opening import Asking, build_details
from signoff.gate.verify import TokensRefusedError, Verifier, Warrant
from signoff.sealed import Sealer
from signoff.tokens.keyring import Keyring
from signoff.upstream.headers import References
from signoff.upstream.request import freeze

CLIENT = "signoff-gate"
Claims = dict[str, Json]


class Desk:
    """An issuer, one call with its details, and the claims of a good yes to it."""

    def __init__(self, keyring: Keyring, details: dict[str, Json], call: Call) -> None:
        self.keyring, self.details, self.call = keyring, details, call
        self.verifier = Verifier(issuer=ISSUER, client_id=CLIENT, keys=keyring)
        decided = int(NOW.timestamp()) + 60
        shared: Claims = {
            "iss": ISSUER,
            "sub": "alice",
            "iat": decided,
            "exp": decided + 120,
            "auth_time": decided,
            "acr": "session",
        }
        self.access: Claims = {
            **shared,
            "aud": f"{ISSUER}/gate",
            "client_id": CLIENT,
            "jti": "jti-1",
            "scope": "openid",
            "txn": call.id,
            "act": {"sub": "alice", "client_id": "local:1"},
            "authorization_details": [token_details(details)],
        }
        self.identity: Claims = {
            **shared,
            "aud": CLIENT,
            "urn:openid:params:jwt:claim:auth_req_id": "req-1",
        }

    async def verify(self, *, now: datetime = NOW + timedelta(seconds=61)) -> Warrant:
        access_token = self.keyring.mint_access_token(self.access)
        return await self.verifier.verify(
            self.call,
            self.details,
            auth_req_id="req-1",
            access_token=access_token,
            id_token=self.keyring.mint_id_token(self.identity, access_token=access_token),
            now=now,
        )


@pytest.fixture
async def desk(sealer: Sealer, tmp_path: Path) -> Desk:
    keyring = Keyring(MemoryKeys(), now=lambda: NOW)
    await keyring.maintain()
    served = catalogue()
    references = References(sealer, environment={}, root=tmp_path)
    arguments: dict[str, Json] = {"amount": 25, "to_account": "savings"}
    request = freeze(
        PAY,
        served.upstreams["bank"],
        arguments,
        caller=ALICE,
        call_id="call_1",
        sealer=sealer,
        references=references,
    )
    asking = Asking(
        tool=PAY,
        catalogue=served,
        caller=ALICE,
        client_info=INFO,
        masked=arguments,
        request=request,
        approvers=("alice",),
        said=None,
        earlier=None,
        again=False,
    )
    details = build_details(asking, call_id="call_1", nonce="n" * 22)
    return Desk(keyring, details, new_call(digest=str(details["digest"])))


async def test_a_good_yes_is_a_warrant(desk: Desk) -> None:
    decided = NOW + timedelta(seconds=60)
    assert await desk.verify() == Warrant(
        jti="jti-1",
        decided_by="alice",
        decided_at=decided,
        execute_by=decided + timedelta(seconds=120),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iss", "https://evil.example"),
        ("aud", f"{ISSUER}/mcp"),
        ("aud", [f"{ISSUER}/gate"]),
        ("client_id", "another"),
        ("sub", "bob"),
        ("txn", "call_2"),
        ("auth_time", 0),
        ("acr", "passkey"),
        ("act", {"sub": "bob", "client_id": "local:1"}),
        ("act", {"sub": "alice", "client_id": "local:2"}),
        ("authorization_details", []),
        ("authorization_details", "tool_call"),
        ("authorization_details", ["tool_call"]),
        ("exp", 0),
        ("jti", None),
    ],
)
async def test_one_wrong_claim_of_the_access_token_refuses(
    desk: Desk, name: str, value: Json
) -> None:
    desk.access[name] = value
    with pytest.raises(TokensRefusedError):
        await desk.verify()


@pytest.mark.parametrize(
    "name", ["aud", "client_id", "sub", "txn", "act", "acr", "auth_time", "authorization_details"]
)
async def test_a_missing_claim_of_the_access_token_refuses(desk: Desk, name: str) -> None:
    del desk.access[name]
    with pytest.raises(TokensRefusedError):
        await desk.verify()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", "another"),
        ("iss", "https://evil.example"),
        ("sub", "bob"),
        ("acr", "none"),
        ("acr", None),
        ("auth_time", int(NOW.timestamp()) - 1),
        ("auth_time", int(NOW.timestamp()) + 900),
        ("auth_time", "now"),
        ("auth_time", True),
        ("urn:openid:params:jwt:claim:auth_req_id", "req-2"),
    ],
)
async def test_one_wrong_claim_of_the_id_token_refuses(desk: Desk, name: str, value: Json) -> None:
    desk.identity[name] = value
    if name in desk.access and name not in ("aud", "iss"):
        desk.access[name] = value  # the two tokens agree, and still it is wrong
    with pytest.raises(TokensRefusedError):
        await desk.verify()


@pytest.mark.parametrize(
    "name", ["sub", "acr", "auth_time", "urn:openid:params:jwt:claim:auth_req_id"]
)
async def test_a_missing_claim_of_the_id_token_refuses(desk: Desk, name: str) -> None:
    del desk.identity[name]
    with pytest.raises(TokensRefusedError):
        await desk.verify()


MEMBERS = (
    *("type", "version", "call_id", "nonce", "tool", "catalogue_digest", "caller", "digest"),
    *("request", "arguments"),
)


@pytest.mark.parametrize("member", MEMBERS)
async def test_each_member_of_the_details_counts(desk: Desk, member: str) -> None:
    granted = cast("list[dict[str, Json]]", desk.access["authorization_details"])[0]
    granted[member] = "something else"
    with pytest.raises(TokensRefusedError, match=f"authorization_details.{member} differs"):
        await desk.verify()


async def test_a_missing_and_an_added_member_of_the_details_refuse(desk: Desk) -> None:
    granted = cast("list[dict[str, Json]]", desk.access["authorization_details"])[0]
    granted["also"] = True
    with pytest.raises(TokensRefusedError, match=r"authorization_details\.also"):
        await desk.verify()
    del granted["also"], granted["request"]
    with pytest.raises(TokensRefusedError, match=r"authorization_details\.request"):
        await desk.verify()


async def test_true_is_not_one(desk: Desk) -> None:
    granted = cast("list[dict[str, Json]]", desk.access["authorization_details"])[0]
    granted["version"] = True
    with pytest.raises(TokensRefusedError):
        await desk.verify()


async def test_two_granted_members_are_refused(desk: Desk) -> None:
    granted = cast("list[Json]", desk.access["authorization_details"])
    granted.append(granted[0])
    with pytest.raises(TokensRefusedError, match="not one member"):
        await desk.verify()


async def test_an_id_token_of_another_access_token_is_refused(desk: Desk) -> None:
    access_token = desk.keyring.mint_access_token(desk.access)
    other = desk.keyring.mint_access_token({**desk.access, "jti": "jti-2"})
    with pytest.raises(TokensRefusedError, match="at_hash"):
        await desk.verifier.verify(
            desk.call,
            desk.details,
            auth_req_id="req-1",
            access_token=access_token,
            id_token=desk.keyring.mint_id_token(desk.identity, access_token=other),
            now=NOW + timedelta(seconds=61),
        )


async def test_another_issuers_keys_are_refused(desk: Desk) -> None:
    stranger = Keyring(MemoryKeys(), now=lambda: NOW)
    await stranger.maintain()
    desk.keyring, ours = stranger, desk.keyring
    desk.verifier = Verifier(issuer=ISSUER, client_id=CLIENT, keys=ours)
    with pytest.raises(TokensRefusedError):
        await desk.verify()


async def test_a_token_that_has_ended_is_refused(desk: Desk) -> None:
    with pytest.raises(TokensRefusedError, match="expired"):
        await desk.verify(now=NOW + timedelta(seconds=200))


async def test_details_of_another_record_are_refused(desk: Desk) -> None:
    desk.details["approvers"] = ["alice", "bob"]
    desk.details["digest"] = details_digest(desk.details)
    with pytest.raises(TokensRefusedError, match="what was shown"):
        await desk.verify()


@pytest.mark.parametrize(
    ("behind_s", "skew_s", "holds"),
    [(-9, 10, True), (-11, 10, False), (-1, 0, False), (0, 0, True)],
)
async def test_a_decision_before_the_opening_is_one_only_by_clocks_that_differ(
    desk: Desk, behind_s: int, skew_s: float, *, holds: bool
) -> None:
    desk.verifier = Verifier(issuer=ISSUER, client_id=CLIENT, keys=desk.keyring, skew_s=skew_s)
    decided = int(NOW.timestamp()) + behind_s
    for claims in (desk.access, desk.identity):
        claims |= {"auth_time": decided, "iat": decided, "exp": decided + 120}
    if holds:
        assert (await desk.verify(now=NOW)).decided_at == NOW + timedelta(seconds=behind_s)
    else:
        with pytest.raises(TokensRefusedError, match="auth_time is not between"):
            await desk.verify(now=NOW)


@pytest.mark.parametrize(
    ("ahead_s", "skew_s", "holds"), [(9, 10, True), (11, 10, False), (6, 0, False)]
)
async def test_a_token_from_the_future_is_one_only_by_clocks_that_differ(
    desk: Desk, ahead_s: int, skew_s: float, *, holds: bool
) -> None:
    desk.verifier = Verifier(issuer=ISSUER, client_id=CLIENT, keys=desk.keyring, skew_s=skew_s)
    now = NOW + timedelta(seconds=60 - ahead_s)
    if holds:
        assert (await desk.verify(now=now)).jti == "jti-1"
    else:
        with pytest.raises(TokensRefusedError, match="issued in the future"):
            await desk.verify(now=now)
