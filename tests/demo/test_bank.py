"""The sample bank: who may do what, and that money moves once or not at all."""

import asyncio
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from starlette.routing import Route

from signoff.demo.bank import BankSettings, app, settings_from
from signoff.demo.ledger import Ledger

Read = Callable[[str], list[tuple[Any, ...]]]
ORDER: dict[str, Any] = {
    "amount": 25,
    "currency": "EUR",
    "from_account": "checking",
    "to_account": "savings",
}


def problem(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    members = answer.json()
    assert set(members) == {"type", "title", "status", "detail"}
    assert members["status"] == answer.status_code
    return answer.status_code, members["detail"]


def untouched(read: Read) -> bool:
    return read("SELECT count(*) FROM transfers") == [(0,)] and read(
        "SELECT sum(balance) FROM accounts WHERE owner = 'alice' AND currency = 'EUR'"
    ) == [(625_000,)]


async def test_accounts_are_those_of_the_person_the_call_is_made_for(
    client: httpx2.AsyncClient,
) -> None:
    answer = await client.get("/accounts", headers={"X-On-Behalf-Of": "bob"})

    assert answer.json() == {
        "accounts": [
            {
                "id": "bob-checking",
                "name": "Checking",
                "currency": "EUR",
                "balance": 420.0,
                "open": True,
            }
        ]
    }


async def test_a_transfer_moves_the_money_and_both_sides_see_it(
    client: httpx2.AsyncClient, read_books: Read
) -> None:
    order = {**ORDER, "amount": 19.99, "to_account": "bob-checking", "memo": "lunch"}

    answer = await client.post("/transfers", json=order)

    booked = answer.json()
    assert answer.status_code == 201
    assert {**booked, "id": "", "booked_at": ""} == {**order, "id": "", "booked_at": ""}
    assert read_books("SELECT id, balance FROM accounts WHERE currency = 'EUR' ORDER BY id") == [
        ("bob-checking", 43_999),
        ("checking", 123_001),
        ("savings", 500_000),
    ]
    seen = await client.get(
        "/accounts/bob-checking/transactions", headers={"X-On-Behalf-Of": "bob"}
    )
    assert seen.json() == {
        "transactions": [
            {
                "id": 1,
                "transfer": booked["id"],
                "direction": "in",
                "amount": 19.99,
                "currency": "EUR",
                "counterparty": "checking",
                "memo": "lunch",
                "booked_at": booked["booked_at"],
            }
        ]
    }


async def test_transactions_are_filtered_and_paged(client: httpx2.AsyncClient) -> None:
    for amount in (1, 2, 3):
        await client.post("/transfers", json={**ORDER, "amount": amount})
    back = {**ORDER, "amount": 4, "from_account": "savings", "to_account": "checking"}
    await client.post("/transfers", json=back)

    async def amounts(query: str) -> list[float]:
        answer = await client.get(f"/accounts/checking/transactions?{query}")
        return [one["amount"] for one in answer.json()["transactions"]]

    assert await amounts("") == [4, 3, 2, 1]
    assert await amounts("direction=out&limit=2") == [3, 2]
    assert await amounts("direction=in") == [4]
    assert await amounts("before=3") == [2, 1]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=-1", "before=0", "direction=up", "limit=²"]
)
async def test_a_bad_query_is_refused(client: httpx2.AsyncClient, query: str) -> None:
    status, _ = problem(await client.get(f"/accounts/checking/transactions?{query}"))
    assert status == 422


async def test_the_same_key_and_order_is_booked_once(
    client: httpx2.AsyncClient, read_books: Read
) -> None:
    answers = [
        await client.post("/transfers", json=ORDER, headers={"Idempotency-Key": "k1"})
        for _ in range(3)
    ]

    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert read_books("SELECT count(*), sum(amount) FROM transfers") == [(1, 2500)]


async def test_the_same_key_is_booked_once_when_orders_race(
    client: httpx2.AsyncClient, read_books: Read
) -> None:
    answers = await asyncio.gather(
        *(
            client.post("/transfers", json=ORDER, headers={"Idempotency-Key": "k1"})
            for _ in range(8)
        )
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert read_books("SELECT count(*) FROM transfers") == [(1,)]


async def test_the_same_key_with_another_order_is_refused(
    client: httpx2.AsyncClient, read_books: Read
) -> None:
    key = {"Idempotency-Key": "k1"}
    await client.post("/transfers", json=ORDER, headers=key)

    answer = await client.post("/transfers", json={**ORDER, "amount": 26}, headers=key)

    assert problem(answer) == (422, "that Idempotency-Key was used for another order")
    assert read_books("SELECT amount FROM transfers") == [(2500,)]


async def test_a_key_belongs_to_one_customer(client: httpx2.AsyncClient, read_books: Read) -> None:
    order = {**ORDER, "from_account": "bob-checking"}
    await client.post("/transfers", json=ORDER, headers={"Idempotency-Key": "k1"})

    answer = await client.post(
        "/transfers", json=order, headers={"Idempotency-Key": "k1", "X-On-Behalf-Of": "bob"}
    )

    assert answer.status_code == 201
    assert read_books("SELECT count(*) FROM transfers") == [(2,)]


@pytest.mark.parametrize("key", ["", "k" * 201])
async def test_a_malformed_key_is_refused(
    client: httpx2.AsyncClient, read_books: Read, key: str
) -> None:
    answer = await client.post("/transfers", json=ORDER, headers={"Idempotency-Key": key})
    assert problem(answer)[0] == 422
    assert untouched(read_books)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"from_account": "bob-checking"}, 404, "no such account"),
        ({"from_account": "nowhere"}, 404, "no such account"),
        ({"to_account": "nowhere"}, 404, "no such account"),
        ({"to_account": "checking"}, 422, "same"),
        ({"to_account": "dollars"}, 422, "EUR"),
        ({"currency": "USD"}, 422, "USD"),
        ({"currency": "XXX"}, 422, "currency"),
        ({"amount": 1250.01}, 409, "not enough"),
        ({"amount": 0}, 422, "amount"),
        ({"amount": -5}, 422, "amount"),
        ({"amount": 0.001}, 422, "amount"),
        ({"amount": 19.999}, 422, "amount"),
        ({"amount": 10**30}, 422, "amount"),
        ({"amount": "25"}, 422, "amount"),
        ({"amount": True}, 422, "amount"),
        ({"amount": None}, 422, "amount"),
        ({"memo": "x" * 141}, 422, "memo"),
        ({"fee": 0}, 422, "fee"),
    ],
)
async def test_an_order_the_books_do_not_allow_is_refused_whole(
    client: httpx2.AsyncClient, read_books: Read, change: dict[str, Any], status: int, words: str
) -> None:
    got, detail = problem(await client.post("/transfers", json={**ORDER, **change}))

    assert got == status
    assert words in detail
    assert untouched(read_books)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"amount":1,"amount":2,"currency":"EUR","from_account":"a","to_account":"b"}',
        b'{"amount":NaN,"currency":"EUR","from_account":"checking","to_account":"savings"}',
    ],
)
async def test_a_body_that_is_not_one_order_is_refused(
    client: httpx2.AsyncClient, read_books: Read, body: bytes
) -> None:
    answer = await client.post(
        "/transfers", content=body, headers={"Content-Type": "application/json"}
    )
    assert problem(answer)[0] == 422
    assert untouched(read_books)


async def test_a_form_is_not_an_order(client: httpx2.AsyncClient) -> None:
    assert problem(await client.post("/transfers", data=ORDER))[0] == 415


async def test_an_endless_order_is_cut_off(client: httpx2.AsyncClient) -> None:
    answer = await client.post(
        "/transfers", content=b" " * 70_000, headers={"Content-Type": "application/json"}
    )
    assert problem(answer)[0] == 413


@pytest.mark.parametrize("named", [[], ["alice", "bob"], ["mallory"], [""]])
async def test_a_call_for_nobody_in_particular_is_refused(
    client: httpx2.AsyncClient, named: list[str]
) -> None:
    request = client.build_request("GET", "/accounts")
    del request.headers["X-On-Behalf-Of"]
    raw = [(b"X-On-Behalf-Of", name.encode()) for name in named]
    request.headers = httpx2.Headers([*request.headers.raw, *raw])

    assert problem(await client.send(request))[0] == 401


async def test_another_customers_account_looks_unknown(client: httpx2.AsyncClient) -> None:
    theirs = await client.get("/accounts/bob-checking/transactions")
    nobodys = await client.get("/accounts/nowhere/transactions")
    assert problem(theirs) == problem(nobodys) == (404, "there is no such account")


async def test_an_empty_account_closes_and_takes_no_more_money(
    client: httpx2.AsyncClient,
) -> None:
    assert problem(await client.delete("/accounts/dollars"))[0] == 409
    assert problem(await client.delete("/accounts/bob-checking"))[0] == 404
    empty = {**ORDER, "amount": 1250, "to_account": "savings"}
    await client.post("/transfers", json=empty)

    closed = await client.delete("/accounts/checking")

    assert closed.status_code == 200
    assert closed.json()["open"] is False
    into = {**ORDER, "from_account": "savings", "to_account": "checking"}
    assert problem(await client.post("/transfers", json=into)) == (
        409,
        "one of the accounts is closed",
    )


@pytest.mark.parametrize("presented", [None, "Bearer wrong", "secret", "Basic secret"])
async def test_a_bank_with_a_key_wants_it(books: Path, visitor: Any, presented: str | None) -> None:
    settings = BankSettings(ledger=books, issuer="http://localhost:8420", key="secret")
    headers = {} if presented is None else {"Authorization": presented}
    async with visitor(settings) as client:
        refused = await client.get("/accounts", headers=headers)
        allowed = await client.get("/accounts", headers={"Authorization": "Bearer secret"})

    assert problem(refused)[0] == 401
    assert allowed.status_code == 200


async def test_two_banks_share_one_ledger(books: Path, visitor: Any, read_books: Read) -> None:
    settings = BankSettings(ledger=books, issuer="http://localhost:8420")
    async with visitor(settings) as one, visitor(settings) as other:
        key = {"Idempotency-Key": "k1"}
        first = await one.post("/transfers", json=ORDER, headers=key)
        second = await other.post("/transfers", json=ORDER, headers=key)

    assert first.json() == second.json()
    assert read_books("SELECT count(*) FROM transfers") == [(1,)]


def test_a_ledger_that_exists_keeps_its_books(books: Path) -> None:
    ledger = Ledger(books)
    ledger.create()
    assert stat.S_IMODE(books.stat().st_mode) == 0o600
    before = ledger.accounts("alice")

    Ledger(books).create()

    assert ledger.accounts("alice") == before


def test_importing_the_module_opens_nothing(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", "import signoff.demo.bank"], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


def test_settings_come_from_the_environment_of_the_process_that_serves_the_bank() -> None:
    assert settings_from({}) == BankSettings(
        ledger=Path(".signoff/bank.db"), issuer="http://localhost:8420"
    )
    assert settings_from({
        "BANK_LEDGER": "/books/b.db",
        "SIGNOFF_DATA_DIR": "/data",
        "SIGNOFF_ISSUER": "https://sign.example/",
        "BANK_TOKEN": "k",
    }) == BankSettings(ledger=Path("/books/b.db"), issuer="https://sign.example", key="k")
    assert settings_from({"SIGNOFF_DATA_DIR": "/data"}).ledger == Path("/data/bank.db")


def test_the_spec_names_every_route_and_no_other() -> None:
    spec = yaml.safe_load(Path("openapi_specs/bank.yaml").read_text())
    offered = {
        (method.upper(), path) for path, methods in spec["paths"].items() for method in methods
    }
    routes = [route for route in app.routes if isinstance(route, Route)]
    served = {
        (method, route.path) for route in routes for method in (route.methods or set()) - {"HEAD"}
    }

    assert served == offered
