"""The sample bank: an HTTP API over a ledger, as any company might run one.

Owns its routes, who may do what, and how a refusal is worded (RFC 9457). Knows signoff only as
the issuer of approval tokens. It runs as an `app:` upstream (`signoff.demo.bank:app`) or as its
own server (`python -m signoff.demo.bank`); nothing is read or opened before its lifespan begins.
"""

import argparse
import hashlib
import hmac
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypedDict, cast

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from signoff.canonical import Json, JsonError, parse
from signoff.demo.ledger import (
    Account,
    Ledger,
    LedgerError,
    Once,
    Order,
    Refusal,
    Transfer,
)
from signoff.demo.proof import GATE, SCOPE, names, words
from signoff.resource import RemoteKeys, ResourceError, ResourceVerifier
from signoff.schema import Validator
from signoff.tokens.keys import KeySource

AUDIENCE: Final = "https://bank.example/api"
_ORDER: Final = Validator({
    "type": "object",
    "additionalProperties": False,
    "required": ["amount", "currency", "from_account", "to_account"],
    "properties": {
        "amount": {
            "type": "number",
            "minimum": 0.01,
            "maximum": 1_000_000,
            "multipleOf": 0.01,
        },
        "currency": {"enum": ["EUR", "USD"]},
        "from_account": {"type": "string", "minLength": 1, "maxLength": 40},
        "to_account": {"type": "string", "minLength": 1, "maxLength": 40},
        "memo": {"type": "string", "maxLength": 140},
    },
})
_MAX_BODY: Final = 65_536
_MAX_KEY: Final = 200
_STATUS: Final[Mapping[Refusal, int]] = {
    "unknown-account": 404,
    "closed-account": 409,
    "same-account": 422,
    "wrong-currency": 422,
    "no-funds": 409,
    "not-empty": 409,
    "key-reused": 422,  # draft-ietf-httpapi-idempotency-key §2.7
    "token-used": 401,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BankSettings:
    """Where the books are, and whose approvals count.

    `key` is what a client of the bank must present as a bearer on the ordinary endpoints; None
    on a private socket.
    """

    ledger: Path
    issuer: str
    audience: str = AUDIENCE
    gate: str = GATE
    """The client whose tokens count: the gate in front of this bank."""
    key: str | None = None
    keys: KeySource | None = None
    """The issuer's public keys; None fetches them from the issuer."""


class ProblemError(Exception):
    """A refusal: what the client reads."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail


class _State(TypedDict):
    ledger: Ledger
    settings: BankSettings
    verifier: ResourceVerifier


def settings_from(environment: Mapping[str, str]) -> BankSettings:
    """Read `BANK_LEDGER`, `BANK_TOKEN`, and what signoff tells an app of itself."""
    ledger = environment.get("BANK_LEDGER")
    directory = Path(environment.get("SIGNOFF_DATA_DIR", ".signoff"))
    return BankSettings(
        ledger=Path(ledger) if ledger else directory / "bank.db",
        issuer=environment.get("SIGNOFF_ISSUER", "http://localhost:8420").rstrip("/"),
        gate=environment.get("SIGNOFF_CLIENT_ID", GATE),
        key=environment.get("BANK_TOKEN") or None,
    )


def bank(settings: Callable[[], BankSettings]) -> Starlette:
    """Return the API. `settings` is asked once, when the lifespan begins."""
    return Starlette(
        routes=[
            Route("/accounts", list_accounts, methods=["GET"]),
            Route("/accounts/{account_id}", close_account, methods=["DELETE"]),
            Route("/accounts/{account_id}/transactions", list_transactions, methods=["GET"]),
            Route("/transfers", create_transfer, methods=["POST"]),
            Route("/verified-transfers", create_verified_transfer, methods=["POST"]),
        ],
        exception_handlers={
            ProblemError: _problem,
            LedgerError: _refused,
            ResourceError: _not_approved,
        },
        lifespan=_lifespan(settings),
    )


async def list_accounts(request: Request) -> JSONResponse:
    owner = await _customer(request)
    accounts = await run_in_threadpool(_ledger(request).accounts, owner)
    return JSONResponse({"accounts": [_account(account) for account in accounts]})


async def list_transactions(request: Request) -> JSONResponse:
    owner = await _customer(request)
    account = request.path_params["account_id"]
    direction = request.query_params.get("direction")
    if direction not in (None, "in", "out"):
        raise ProblemError(422, "Bad query", "direction is in or out")
    transfers = await run_in_threadpool(
        _ledger(request).transactions,
        owner,
        account,
        limit=_whole(request, "limit", 20, at_most=100),
        before=_whole(request, "before", 2**62, at_most=2**62),
        direction=direction,
    )
    return JSONResponse({"transactions": [_transaction(one, account) for one in transfers]})


async def close_account(request: Request) -> JSONResponse:
    owner = await _customer(request)
    account = await run_in_threadpool(
        _ledger(request).close, owner, request.path_params["account_id"]
    )
    return JSONResponse(_account(account))


async def create_transfer(request: Request) -> JSONResponse:
    owner = await _customer(request)
    body, order = await _order(request)
    transfer = await run_in_threadpool(
        _ledger(request).transfer, owner, order, once=_once(request, body)
    )
    return JSONResponse(_booked(transfer), status_code=201)


async def create_verified_transfer(request: Request) -> JSONResponse:
    verifier = cast("ResourceVerifier", request.state.verifier)
    given = request.headers.getlist("authorization")
    token = await verifier.identify(",".join(given))
    body, order = await _order(request)
    await verifier.take(token, details=names(order, body, path=request.url.path))
    # The person who approved must own the account. The token is spent in the transaction that
    # moves the money, so a crash leaves both or neither.
    transfer = await run_in_threadpool(
        _ledger(request).transfer, token.sub, order, once=_once(request, body), jti=token.jti
    )
    return JSONResponse(_booked(transfer), status_code=201)


def main() -> None:
    """Run the bank as its own server."""
    parser = argparse.ArgumentParser(prog="python -m signoff.demo.bank", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8430)
    parser.add_argument("--data-dir", type=Path, default=Path(".bank"))
    parser.add_argument("--issuer", default="http://localhost:8420", help="whose approvals count")
    parser.add_argument("--audience", default=AUDIENCE)
    parser.add_argument("--gate", default=GATE, help="the client whose tokens count")
    flags = parser.parse_args()
    flags.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = BankSettings(
        ledger=flags.data_dir / "bank.db",
        issuer=flags.issuer.rstrip("/"),
        audience=flags.audience,
        gate=flags.gate,
        key=os.environ.get("BANK_TOKEN") or None,
    )
    uvicorn.run(bank(lambda: settings), host=flags.host, port=flags.port, log_level="warning")


def _lifespan(
    settings: Callable[[], BankSettings],
) -> Callable[[Starlette], AbstractAsyncContextManager[_State]]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[_State, None]:
        chosen = settings()
        ledger = Ledger(chosen.ledger)
        await run_in_threadpool(ledger.create)
        verifier = ResourceVerifier(
            issuer=chosen.issuer,
            audience=chosen.audience,
            keys=chosen.keys or RemoteKeys(f"{chosen.issuer}/oauth2/jwks"),
            clients={chosen.gate},
            scope=SCOPE,
        )
        yield {"ledger": ledger, "settings": chosen, "verifier": verifier}

    return lifespan


def _ledger(request: Request) -> Ledger:
    return cast("Ledger", request.state.ledger)


def _settings(request: Request) -> BankSettings:
    return cast("BankSettings", request.state.settings)


async def _customer(request: Request) -> str:
    """Return the person this call is made for."""
    key = _settings(request).key
    if key is not None and not hmac.compare_digest(
        request.headers.get("authorization", "").encode(), f"Bearer {key}".encode()
    ):
        raise ProblemError(401, "Not signed in", "the bank's key is missing or wrong")
    named = request.headers.getlist("x-on-behalf-of")
    if len(named) != 1:
        raise ProblemError(401, "Not signed in", "X-On-Behalf-Of must name one customer")
    if not await run_in_threadpool(_ledger(request).knows, named[0]):
        raise ProblemError(401, "Not signed in", "X-On-Behalf-Of names no customer of this bank")
    return named[0]


async def _order(request: Request) -> tuple[bytes, Order]:
    """Return the order as it came and as it was understood."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ProblemError(415, "Unsupported media type", "send the order as application/json")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise ProblemError(413, "Too large", "an order is at most 64 KiB")
    try:
        order = parse(body)
    except JsonError as error:
        raise ProblemError(422, "Bad order", f"not strict JSON: {error}") from error
    if found := _ORDER.violations(order, limit=1):
        raise ProblemError(422, "Bad order", f"{found[0].path or 'order'}: {found[0].message}")
    members = cast("Mapping[str, Any]", order)
    return body, Order(
        # repr is the shortest text that reads back to the same double: 19.99 stays 19.99.
        amount=Decimal(repr(members["amount"])),
        currency=members["currency"],
        from_account=members["from_account"],
        to_account=members["to_account"],
        memo=members.get("memo", ""),
    )


def _once(request: Request, body: bytes) -> Once | None:
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) != 1 or not 0 < len(keys[0]) <= _MAX_KEY:
        raise ProblemError(422, "Bad key", "Idempotency-Key must be one key of 1 to 200 characters")
    return Once(key=keys[0], order_hash=hashlib.sha256(body).hexdigest())


def _whole(request: Request, name: str, default: int, *, at_most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= at_most):
        raise ProblemError(422, "Bad query", f"{name} is a whole number from 1 to {at_most}")
    return int(text)


def _problem(_request: Request, error: Exception) -> JSONResponse:
    refusal = cast("ProblemError", error)
    challenge = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}  # noqa: PLR2004
    return JSONResponse(
        {
            "type": "about:blank",
            "title": refusal.title,
            "status": refusal.status,
            "detail": refusal.detail,
        },
        status_code=refusal.status,
        headers=challenge,
        media_type="application/problem+json",
    )


def _not_approved(request: Request, error: Exception) -> JSONResponse:
    refusal = cast("ResourceError", error)
    logging.getLogger(__name__).info("a verified transfer was refused: %s", refusal.detail)
    answer = _problem(request, ProblemError(refusal.status, "Not approved", words(refusal)))
    answer.headers.update(refusal.headers)
    return answer


def _refused(request: Request, error: Exception) -> JSONResponse:
    refusal = cast("LedgerError", error)
    title = refusal.refusal.replace("-", " ").capitalize()
    return _problem(request, ProblemError(_STATUS[refusal.refusal], title, str(refusal)))


def _account(account: Account) -> dict[str, Json]:
    return {
        "id": account.id,
        "name": account.name,
        "currency": account.currency,
        "balance": float(account.balance),
        "open": account.open,
    }


def _transaction(transfer: Transfer, account: str) -> dict[str, Json]:
    order = transfer.order
    sent = order.from_account == account
    return {
        "id": transfer.seq,
        "transfer": transfer.id,
        "direction": "out" if sent else "in",
        "amount": float(order.amount),
        "currency": order.currency,
        "counterparty": order.to_account if sent else order.from_account,
        "memo": order.memo,
        "booked_at": transfer.booked_at,
    }


def _booked(transfer: Transfer) -> dict[str, Json]:
    order = transfer.order
    return {
        "id": transfer.id,
        "amount": float(order.amount),
        "currency": order.currency,
        "from_account": order.from_account,
        "to_account": order.to_account,
        "memo": order.memo,
        "booked_at": transfer.booked_at,
    }


app = bank(lambda: settings_from(os.environ))

if __name__ == "__main__":
    main()
