"""The bank's endpoint that wants proof: only the token of this very approval moves money, once."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from memory_keys import MemoryKeys
from signoff.canonical import Json, sha256_hex
from signoff.demo.bank import AUDIENCE, BankSettings
from signoff.tokens.keyring import Keyring

ISSUER = "http://localhost:8420"
ORDER: dict[str, Any] = {
    "amount": 25,
    "currency": "EUR",
    "from_account": "checking",
    "to_account": "savings",
}
BODY = json.dumps(ORDER).encode()
Read = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
async def keyring() -> Keyring:
    # The bank reads the wall clock, so these tokens are minted by it too.
    ring = Keyring(MemoryKeys(), now=lambda: datetime.now(UTC))
    await ring.maintain()
    return ring


def claims_of(body: bytes = BODY, **changes: Any) -> dict[str, Json]:
    now = datetime.now(UTC)
    details: dict[str, Json] = {
        "type": "tool_call",
        "version": 1,
        "call_id": "call_1",
        "tool": "transfer_verified",
        "arguments": dict(ORDER),
        "request": {
            "method": "POST",
            "url": "http://bank.test/verified-transfers",
            "body_sha256": sha256_hex(body),
        },
    }
    claims: dict[str, Json] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "client_id": "signoff-gate",
        "act": {"sub": "alice", "client_id": "claude"},
        "txn": "call_1",
        "jti": "jti_1",
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(seconds=120)).timestamp()),
        "scope": "openid",
        "authorization_details": [details],
    }
    return {**claims, **changes}


def details_with(**changes: Json) -> list[Json]:
    (details,) = cast("list[dict[str, Json]]", claims_of()["authorization_details"])
    return [{**details, **changes}]


@asynccontextmanager
async def proven(
    visitor: Any, books: Path, keyring: Keyring
) -> AsyncGenerator[Callable[..., Any], None]:
    settings = BankSettings(ledger=books, issuer=ISSUER, keys=keyring)
    async with visitor(settings) as client:
        del client.headers["X-On-Behalf-Of"]

        async def send(token: str | None, body: bytes = BODY, **headers: str) -> httpx2.Response:
            given = {} if token is None else {"Authorization": f"Bearer {token}"}
            return await client.post(
                "/verified-transfers",
                content=body,
                headers={"Content-Type": "application/json", **given, **headers},
            )

        yield send


@pytest.fixture
async def send(visitor: Any, books: Path, keyring: Keyring) -> AsyncGenerator[Any, None]:
    async with proven(visitor, books, keyring) as sender:
        yield sender


async def test_an_approved_transfer_is_booked(
    send: Any, keyring: Keyring, read_books: Read
) -> None:
    answer = await send(keyring.mint_access_token(claims_of()))

    assert answer.status_code == 201
    assert read_books("SELECT ordered_by, amount, to_account FROM transfers") == [
        ("alice", 2500, "savings")
    ]


async def test_one_approval_moves_money_once(send: Any, keyring: Keyring, read_books: Read) -> None:
    token = keyring.mint_access_token(claims_of())

    answers = await asyncio.gather(*(send(token) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [201, 401, 401, 401, 401, 401]
    assert read_books("SELECT count(*) FROM transfers") == [(1,)]


async def test_a_repeated_attempt_with_its_key_gets_the_first_answer(
    send: Any, keyring: Keyring, read_books: Read
) -> None:
    token = keyring.mint_access_token(claims_of())
    key = {"Idempotency-Key": "k1"}

    first, second = await send(token, **key), await send(token, **key)

    assert (first.status_code, first.text) == (second.status_code, second.text)
    assert first.status_code == 201
    assert read_books("SELECT count(*) FROM transfers") == [(1,)]


async def test_a_refused_transfer_leaves_its_approval_unspent(
    send: Any, keyring: Keyring, read_books: Read
) -> None:
    order = {**ORDER, "amount": 5000.5}
    body = json.dumps(order).encode()
    dear = details_with(
        arguments=order,
        request={
            "method": "POST",
            "url": "http://bank.test/verified-transfers",
            "body_sha256": sha256_hex(body),
        },
    )
    token = keyring.mint_access_token(claims_of(authorization_details=dear))

    assert (await send(token, body)).status_code == 409
    assert read_books("SELECT * FROM used_tokens") == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"iss": "https://evil.example"}, 401),
        ({"aud": "http://localhost:8420/gate"}, 401),
        ({"aud": [AUDIENCE]}, 401),
        ({"client_id": "other"}, 401),
        ({"exp": 1_700_000_000}, 401),
        ({"exp": None}, 401),
        ({"iat": None}, 401),
        ({"sub": ""}, 401),
        ({"jti": None}, 401),
        ({"scope": "accounts"}, 403),
        ({"authorization_details": []}, 403),
        ({"authorization_details": None}, 403),
        ({"authorization_details": details_with(type="other")}, 403),
        ({"authorization_details": details_with(arguments={})}, 403),
        ({"authorization_details": details_with(arguments={**ORDER, "amount": 26})}, 403),
        ({"authorization_details": details_with(arguments={**ORDER, "amount": "25"})}, 403),
        ({"authorization_details": details_with(arguments={**ORDER, "to_account": "x"})}, 403),
        ({"authorization_details": details_with(arguments={**ORDER, "currency": "USD"})}, 403),
        ({"authorization_details": details_with(request={})}, 403),
        (
            {
                "authorization_details": details_with(
                    request={
                        "method": "POST",
                        "url": "http://bank.test/verified-transfers",
                        "body_sha256": sha256_hex(b"{}"),
                    }
                )
            },
            403,
        ),
        (
            {
                "authorization_details": details_with(
                    request={
                        "method": "POST",
                        "url": "http://bank.test/transfers?x=/other",
                        "body_sha256": sha256_hex(BODY),
                    }
                )
            },
            403,
        ),
        ({"sub": "bob"}, 404),
    ],
)
async def test_a_token_that_is_not_for_this_transfer_moves_nothing(
    send: Any, keyring: Keyring, read_books: Read, changes: Mapping[str, Any], status: int
) -> None:
    claims = {name: value for name, value in claims_of(**changes).items() if value is not None}

    answer = await send(keyring.mint_access_token(claims))

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert read_books("SELECT count(*) FROM transfers") == [(0,)]
    assert read_books("SELECT count(*) FROM used_tokens") == [(0,)]


@pytest.mark.parametrize(
    "change", [{"amount": 2500}, {"to_account": "bob-checking"}, {"memo": "x"}]
)
async def test_an_order_that_differs_from_the_approved_one_is_refused(
    send: Any, keyring: Keyring, read_books: Read, change: Mapping[str, Any]
) -> None:
    token = keyring.mint_access_token(claims_of())

    answer = await send(token, json.dumps({**ORDER, **change}).encode())

    assert answer.status_code == 403
    assert answer.json()["detail"] == "the approval names another transfer"
    assert read_books("SELECT count(*) FROM transfers") == [(0,)]


@pytest.mark.parametrize("token", [None, "", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_no_token_moves_no_money(send: Any, read_books: Read, token: str | None) -> None:
    answer = await send(token)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert read_books("SELECT count(*) FROM transfers") == [(0,)]


async def test_a_strangers_signature_is_refused(send: Any, read_books: Read) -> None:
    stranger = Keyring(MemoryKeys(), now=lambda: datetime.now(UTC))
    await stranger.maintain()

    assert (await send(stranger.mint_access_token(claims_of()))).status_code == 401
    assert read_books("SELECT count(*) FROM transfers") == [(0,)]


async def test_an_id_token_is_no_access_token(send: Any, keyring: Keyring) -> None:
    token = keyring.mint_id_token(claims_of(), access_token="x")
    assert (await send(token)).status_code == 401


async def test_a_key_that_booked_one_approval_does_not_spend_another(
    send: Any, keyring: Keyring, read_books: Read
) -> None:
    key = {"Idempotency-Key": "k1"}
    await send(keyring.mint_access_token(claims_of()), **key)

    again = await send(keyring.mint_access_token(claims_of(jti="jti_2")), **key)

    assert again.status_code == 201
    assert read_books("SELECT jti FROM used_tokens") == [("jti_1",)]
