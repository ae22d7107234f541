"""The sample bank's books: one SQLite file that anyone may read with plain `sqlite3`.

Owns the money rules: an order is booked whole or not at all, once per idempotency key and once per
approval token. Knows no HTTP and nothing of signoff. Every method opens its own connection, so
several banks, threads or processes may share one file.
"""

import secrets
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

Direction = Literal["in", "out"]
Refusal = Literal[
    "unknown-account", "closed-account", "same-account", "wrong-currency", "no-funds",
    "not-empty", "key-reused", "token-used",
]  # fmt: skip

_CENT: Final = Decimal(100)

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS accounts (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  currency TEXT NOT NULL CHECK (currency IN ('EUR', 'USD')),
  balance INTEGER NOT NULL CHECK (balance >= 0), -- minor units
  open INTEGER NOT NULL DEFAULT 1 CHECK (open IN (0, 1))
) STRICT;
CREATE TABLE IF NOT EXISTS transfers (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  ordered_by TEXT NOT NULL,
  amount INTEGER NOT NULL CHECK (amount > 0), -- minor units
  currency TEXT NOT NULL,
  from_account TEXT NOT NULL REFERENCES accounts (id),
  to_account TEXT NOT NULL REFERENCES accounts (id),
  memo TEXT NOT NULL,
  booked_at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS idempotency (
  ordered_by TEXT NOT NULL,
  key TEXT NOT NULL,
  order_hash TEXT NOT NULL,
  transfer TEXT NOT NULL REFERENCES transfers (id),
  PRIMARY KEY (ordered_by, key)
) STRICT;
CREATE TABLE IF NOT EXISTS used_tokens (
  jti TEXT PRIMARY KEY,
  transfer TEXT NOT NULL REFERENCES transfers (id)
) STRICT;
"""
_OPENING: Final = """
INSERT OR IGNORE INTO accounts (id, owner, name, currency, balance) VALUES
  ('checking', 'alice', 'Checking', 'EUR', 125000),
  ('savings', 'alice', 'Savings', 'EUR', 500000),
  ('dollars', 'alice', 'Dollars', 'USD', 80000),
  ('bob-checking', 'bob', 'Checking', 'EUR', 42000)
"""
_ACCOUNTS: Final = "SELECT * FROM accounts WHERE owner = :owner ORDER BY id"
_ACCOUNT: Final = "SELECT * FROM accounts WHERE id = :id"
_CUSTOMER: Final = "SELECT 1 FROM accounts WHERE owner = :owner LIMIT 1"
_CLOSE: Final = "UPDATE accounts SET open = 0 WHERE id = :id"
_TAKE: Final = """
UPDATE accounts SET balance = balance - :amount WHERE id = :id AND balance >= :amount
"""
_GIVE: Final = "UPDATE accounts SET balance = balance + :amount WHERE id = :id"
_BOOK: Final = """
INSERT INTO transfers (id, ordered_by, amount, currency, from_account, to_account, memo, booked_at)
VALUES (:id, :ordered_by, :amount, :currency, :from_account, :to_account, :memo, :booked_at)
RETURNING *
"""
_TRANSFER: Final = "SELECT * FROM transfers WHERE id = :id"
_TRANSACTIONS: Final = """
SELECT * FROM transfers
WHERE ((from_account = :id AND :direction <> 'in') OR (to_account = :id AND :direction <> 'out'))
  AND seq < :before
ORDER BY seq DESC LIMIT :limit
"""
_ANSWERED: Final = """
SELECT order_hash, transfer FROM idempotency WHERE ordered_by = :ordered_by AND key = :key
"""
_KEEP_KEY: Final = """
INSERT INTO idempotency (ordered_by, key, order_hash, transfer)
VALUES (:ordered_by, :key, :order_hash, :transfer)
"""
_SPEND: Final = """
INSERT INTO used_tokens (jti, transfer) VALUES (:jti, :transfer) ON CONFLICT (jti) DO NOTHING
"""


class LedgerError(Exception):
    """The books do not allow it; nothing was booked. The message is for the customer."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal: Refusal = refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account; `balance` is exact, in units of the currency."""

    id: str
    name: str
    currency: str
    balance: Decimal
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a customer wants moved. `amount` is exact and has at most two decimals."""

    amount: Decimal
    currency: str
    from_account: str
    to_account: str
    memo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """An order that was booked; `seq` orders all transfers of the bank."""

    seq: int
    id: str
    order: Order
    booked_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """What makes a repeated order the same one: the customer's key and the bytes of the order."""

    key: str
    order_hash: str


class Ledger:
    """The books in the file at `path`, created with a few accounts when it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the file and its accounts where they are missing."""
        self.path.touch(mode=0o600)
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript("BEGIN IMMEDIATE;" + _TABLES + _OPENING + ";COMMIT;")

    def knows(self, owner: str) -> bool:
        """Return whether `owner` is a customer."""
        with closing(self._connect()) as connection:
            return connection.execute(_CUSTOMER, {"owner": owner}).fetchone() is not None

    def accounts(self, owner: str) -> list[Account]:
        """Return the accounts of `owner`, by id."""
        with closing(self._connect()) as connection:
            return [_account(row) for row in connection.execute(_ACCOUNTS, {"owner": owner})]

    def transactions(
        self,
        owner: str,
        account: str,
        *,
        limit: int,
        before: int | None,
        direction: Direction | None,
    ) -> list[Transfer]:
        """Return transfers that touch `account`, newest first.

        Raises:
            LedgerError: `owner` has no such account.
        """
        with closing(self._connect()) as connection:
            _owned(connection, account, owner)
            rows = connection.execute(
                _TRANSACTIONS,
                {
                    "id": account,
                    "direction": direction or "",
                    "before": before or 2**62,
                    "limit": limit,
                },
            )
            return [_transfer(row) for row in rows]

    def close(self, owner: str, account: str) -> Account:
        """Close an empty account; closing a closed one changes nothing.

        Raises:
            LedgerError: `owner` has no such account, or there is money on it.
        """
        with self._transaction() as connection:
            row = _owned(connection, account, owner)
            if row["balance"]:
                raise LedgerError("not-empty", "there is still money on that account")
            connection.execute(_CLOSE, {"id": account})
            return _account(_row(connection, _ACCOUNT, account))

    def transfer(
        self, owner: str, order: Order, *, once: Once | None = None, jti: str | None = None
    ) -> Transfer:
        """Book `order` for `owner`, or return what the same key booked before.

        `jti` is the approval token that allows it: one token books one transfer. A repetition
        under its key needs no second token.

        Raises:
            LedgerError: says what the books do not allow.
        """
        with self._transaction() as connection:
            if once is not None and (booked := _repeated(connection, owner, once)):
                return booked
            amount = int(order.amount * _CENT)
            _check(connection, owner, order)
            if not connection.execute(_TAKE, {"id": order.from_account, "amount": amount}).rowcount:
                raise LedgerError("no-funds", "there is not enough money on that account")
            connection.execute(_GIVE, {"id": order.to_account, "amount": amount})
            row = connection.execute(
                _BOOK,
                {
                    "id": "trf_" + secrets.token_urlsafe(9),
                    "ordered_by": owner,
                    "amount": amount,
                    "currency": order.currency,
                    "from_account": order.from_account,
                    "to_account": order.to_account,
                    "memo": order.memo,
                    "booked_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                },
            ).fetchone()
            if once is not None:
                connection.execute(
                    _KEEP_KEY,
                    {
                        "ordered_by": owner,
                        "key": once.key,
                        "order_hash": once.order_hash,
                        "transfer": row["id"],
                    },
                )
            used = {"jti": jti, "transfer": row["id"]}
            if jti is not None and not connection.execute(_SPEND, used).rowcount:
                raise LedgerError("token-used", "that approval has already moved money")
            return _transfer(row)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=5)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _row(connection: sqlite3.Connection, sql: str, id: str) -> sqlite3.Row:  # noqa: A002 — the column's word
    row: sqlite3.Row | None = connection.execute(sql, {"id": id}).fetchone()
    if row is None:
        raise LedgerError("unknown-account", "there is no such account")
    return row


def _owned(connection: sqlite3.Connection, account: str, owner: str) -> sqlite3.Row:
    row = _row(connection, _ACCOUNT, account)
    if row["owner"] != owner:
        # The same answer as for an account that does not exist: it tells a stranger nothing.
        raise LedgerError("unknown-account", "there is no such account")
    return row


def _repeated(connection: sqlite3.Connection, owner: str, once: Once) -> Transfer | None:
    row = connection.execute(_ANSWERED, {"ordered_by": owner, "key": once.key}).fetchone()
    if row is None:
        return None
    if row["order_hash"] != once.order_hash:
        raise LedgerError("key-reused", "that Idempotency-Key was used for another order")
    return _transfer(_row(connection, _TRANSFER, row["transfer"]))


def _check(connection: sqlite3.Connection, owner: str, order: Order) -> None:
    source = _owned(connection, order.from_account, owner)
    target = _row(connection, _ACCOUNT, order.to_account)
    if order.from_account == order.to_account:
        raise LedgerError("same-account", "both accounts are the same")
    if not (source["open"] and target["open"]):
        raise LedgerError("closed-account", "one of the accounts is closed")
    if {source["currency"], target["currency"]} != {order.currency}:
        raise LedgerError("wrong-currency", f"both accounts must be kept in {order.currency}")


def _account(row: sqlite3.Row) -> Account:
    return Account(
        id=row["id"],
        name=row["name"],
        currency=row["currency"],
        balance=Decimal(row["balance"]) / _CENT,
        open=bool(row["open"]),
    )


def _transfer(row: sqlite3.Row) -> Transfer:
    order = Order(
        amount=Decimal(row["amount"]) / _CENT,
        currency=row["currency"],
        from_account=row["from_account"],
        to_account=row["to_account"],
        memo=row["memo"],
    )
    return Transfer(seq=row["seq"], id=row["id"], order=order, booked_at=row["booked_at"])
