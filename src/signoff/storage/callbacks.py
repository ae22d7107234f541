"""Callbacks at rest: where a ping or push client of one auth_req_id is told, and what waits.

Implements `oauth.callbacks.CallbackStore` on SQLite. Addresses and undelivered tokens are sealed
for their row; a row that is done is deleted, and its secrets with it.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal, cast

from signoff.approvals.ports import Callback
from signoff.canonical import Json
from signoff.oauth.callbacks import Due
from signoff.sealed import Sealer
from signoff.storage.clock import to_us
from signoff.storage.sqlite import Database, Tx

KEEP_ANSWER: Final = timedelta(minutes=10)
"""As long as a pushed token lives at most: afterwards it is worth nothing."""
KEEP_LASTING: Final = timedelta(days=1)
"""With a refresh token in it, an answer is worth more, and the person is not asked again for it."""

LOAD: Final = """
SELECT c.ticket, c.mode, c.address, c.answer, c.answer_until, t.client_id, t.approval_id
FROM callbacks c JOIN auth_req_ids t ON t.hash = c.ticket WHERE c.ticket = :ticket
"""
FAILED: Final = "UPDATE callbacks SET failed = 1 WHERE ticket = :ticket"
DONE: Final = "DELETE FROM callbacks WHERE ticket = :ticket"
PUSHING: Final = """
SELECT c.failed FROM callbacks c JOIN auth_req_ids t ON t.hash = c.ticket
WHERE c.ticket = :ticket AND c.mode = 'push' AND t.client_id = :client_id
"""
TAKE: Final = """
DELETE FROM callbacks
WHERE ticket = :ticket AND failed = 1 AND answer IS NOT NULL AND answer_until > :now
  AND EXISTS (SELECT 1 FROM auth_req_ids t WHERE t.hash = ticket AND t.client_id = :client_id)
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.id = :client_id)
RETURNING answer
"""


class SqliteCallbacks:
    """The store's side of `oauth.callbacks`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database, self._sealer = database, sealer

    async def load(self, ticket: bytes) -> Due | None:
        """Return what is to be told to whom; None when it was told, or is forgotten."""
        row = await self._database.fetch_one(LOAD, {"ticket": ticket})
        if row is None:
            return None
        place = {"table": "callbacks", "row": ticket.hex()}
        address = json.loads(self._sealer.open(row["address"], column="address", **place))
        answer = None
        if row["answer"] is not None and row["answer_until"] > to_us(self._database.now()):
            answer = self._sealer.open(row["answer"], column="answer", **place)
        return Due(
            callback=Callback(
                mode=row["mode"], auth_req_id=address["auth_req_id"], token=address["token"]
            ),
            client_id=row["client_id"],
            approval_id=row["approval_id"],
            answer=answer,
        )

    async def failed(self, ticket: bytes) -> None:
        """Note that it did not arrive: from now on the client may fetch it."""
        await self._database.write(lambda tx: tx.execute(FAILED, {"ticket": ticket}))

    async def done(self, ticket: bytes) -> None:
        """Forget what has arrived."""
        await self._database.write(lambda tx: tx.execute(DONE, {"ticket": ticket}))

    async def pushing(self, ticket: bytes, *, client_id: str) -> Literal["waits", "failed"] | None:
        """Tell how the push to this client goes; None: it has arrived, or there was none."""
        row = await self._database.fetch_one(PUSHING, {"ticket": ticket, "client_id": client_id})
        if row is None:
            return None
        return "failed" if row["failed"] else "waits"

    async def take(self, ticket: bytes, *, client_id: str) -> Mapping[str, Json] | None:
        """Hand the undelivered answer out, once."""

        def job(tx: Tx) -> bytes | None:
            params = {"ticket": ticket, "client_id": client_id, "now": tx.now_us}
            row = tx.one(TAKE, params)
            return None if row is None else row["answer"]

        sealed = await self._database.write(job)
        if sealed is None:
            return None
        plain = self._sealer.open(sealed, table="callbacks", row=ticket.hex(), column="answer")
        return cast("dict[str, Json]", json.loads(plain))


def sealed_address(sealer: Sealer, ticket: bytes, callback: Callback) -> bytes:
    """Return the clear auth_req_id and token of a callback, sealed for its row."""
    plain = json.dumps({"auth_req_id": callback.auth_req_id, "token": callback.token}).encode()
    return sealer.seal(plain, table="callbacks", row=ticket.hex(), column="address")


def sealed_answer(sealer: Sealer, ticket: bytes, answer: bytes) -> bytes:
    """Return a minted answer, sealed for the row of its callback."""
    return sealer.seal(answer, table="callbacks", row=ticket.hex(), column="answer")
