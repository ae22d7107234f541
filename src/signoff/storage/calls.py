"""The gate's calls in SQLite: implements `gate.ports.Calls`.

Owns the statements on `calls` and `call_approvers` and what is sealed in them. What a state means
stands in `gate/call.py`: every swap here stores what `advance` made of the row, or nothing.
"""

import json
import sqlite3
from collections.abc import Awaitable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeVar, cast

from signoff.audit import AuditEvent
from signoff.canonical import Json, canonical_bytes
from signoff.gate.call import (
    OPEN,
    Call,
    Event,
    Facts,
    IllegalTransitionError,
    State,
    advance,
)
from signoff.gate.ports import (
    Frozen,
    Limits,
    Lost,
    Moved,
    Opened,
    Opening,
    Overtaken,
    Payload,
    Reused,
    StoreUnavailableError,
    Swap,
    SwitchedOff,
    TooMany,
)
from signoff.identity import Caller
from signoff.sealed import Sealer, SealError
from signoff.storage import call_statements as sql
from signoff.storage.sqlite import Database, Row, StorageError, Tx, from_us, to_us

T = TypeVar("T")

_TABLE: Final = "calls"
_NO_FACTS: Final = Facts()
_NOTHING: Final[Mapping[str, bytes | None]] = MappingProxyType({
    "auth_req_id": None,
    "access_token": None,
    "result": None,
})
_TOWARDS_SENDING: Final = frozenset({Event.AUTHORIZE, Event.CLAIM, Event.INTEND, Event.RETRY})
_TO_TELL: Final = frozenset({
    State.SUCCEEDED,
    State.FAILED,
    State.REFUSED,
    State.LAPSED,
    State.WITHDRAWN,
    State.OUTCOME_UNKNOWN,
})


class SqliteCalls:
    """Implements `gate.ports.Calls` over the one SQLite file of a data directory."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    @property
    def exclusive(self) -> bool:
        # The lock of the data directory: nobody else writes this file.
        return True

    def now(self) -> datetime:
        return self._database.now()

    async def open(
        self, call: Call, frozen: Frozen, *, seen: str | None, limits: Limits
    ) -> Opening:
        caller_key = canonical_bytes(cast("Json", call.caller.as_json()))
        row = {
            **_columns(call),
            "caller": json.dumps(call.caller.as_json()),
            "request_key": call.request_key,
            "tool": call.tool,
            "title": self._seal(call.id, "title", call.title.encode()),
            "approvers": json.dumps(call.approvers),
            "acr": call.acr,
            "audience": call.audience,
            "digest": call.digest,
            "catalogue_digest": call.catalogue_digest,
            "repeat_of": call.repeat_of,
            "state": call.state.value,
            "fence": call.fence,
            "caller_key": self._sealer.keyed_hash("caller", caller_key),
            "arguments": self._seal(call.id, "arguments", frozen.arguments),
            "details": self._seal(call.id, "details", frozen.details),
            "request": self._seal(call.id, "request", frozen.request),
        }

        def job(tx: Tx) -> Opening:
            if off := tx.one(sql.FIND_DISABLED, row):
                return SwitchedOff(id=off["id"])
            latest = tx.one(sql.LATEST, row)
            if (latest["id"] if latest else None) != seen:
                return Overtaken()
            if _count(tx, sql.COUNT_OPEN, row) >= limits.per_caller:
                return TooMany(whose="caller", limit=limits.per_caller)
            for user_id in call.approvers:
                if _count(tx, sql.COUNT_ASKED, {"user_id": user_id}) >= limits.per_approver:
                    return TooMany(whose=user_id, limit=limits.per_approver)
            tx.execute(sql.ADD, row)
            for user_id in call.approvers:
                tx.execute(sql.ADD_APPROVER, {"user_id": user_id, "call_id": call.id})
            tx.audit(_audit_of(call, "call.opened", actor=call.caller.client_id))
            tx.changed("call", call.id)
            return Opened(call=call)

        return await _available(self._database.write(job))

    async def load(self, call_id: str) -> Call | None:
        row = self._look_up(sql.LOAD, call_id)
        return None if row is None else self._call(row)

    async def latest(self, request_key: bytes) -> Call | None:
        row = await _available(self._database.fetch_one(sql.LATEST, {"request_key": request_key}))
        return None if row is None else self._call(row)

    async def load_frozen(self, call_id: str) -> Frozen | None:
        row = self._look_up(sql.LOAD_FROZEN, call_id)
        if row is None or row["request"] is None:
            return None
        return Frozen(
            arguments=self._unseal(call_id, "arguments", row["arguments"]),
            details=self._unseal(call_id, "details", row["details"]),
            request=self._unseal(call_id, "request", row["request"]),
        )

    async def load_payload(self, call_id: str, payload: Payload) -> bytes | None:
        row = self._look_up(sql.LOAD_PAYLOAD[payload], call_id)
        if row is None or row["payload"] is None:
            return None
        return self._unseal(call_id, payload, row["payload"])

    async def move(
        self,
        call: Call,
        event: Event,
        facts: Facts = _NO_FACTS,
        *,
        audit: AuditEvent | None = None,
        auth_req_id: str | None = None,
        access_token: str | None = None,
        result: bytes | None = None,
    ) -> Swap:
        payloads = {
            "auth_req_id": None if auth_req_id is None else auth_req_id.encode(),
            "access_token": None if access_token is None else access_token.encode(),
            "result": result,
        }
        sealed = {
            name: None if plain is None else self._seal(call.id, name, plain)
            for name, plain in payloads.items()
        }
        return await _available(
            self._database.write(
                lambda tx: self._swap(tx, call, event, facts, sealed=sealed, audit=audit)
            )
        )

    async def intend_again(self, call: Call, lease_until: datetime) -> Swap:
        facts = Facts(lease_until=lease_until)

        def job(tx: Tx) -> Swap:
            first = self._swap(tx, call, Event.RETRY, facts)
            if not isinstance(first, Moved):
                return first
            second = self._swap(tx, first.call, Event.INTEND, facts)
            if not isinstance(second, Moved):
                # Nothing of this transaction may stand: the call was sent before.
                raise _UndoneError(second)
            return second

        try:
            return await _available(self._database.write(job))
        except _UndoneError as undone:
            return undone.swap

    async def disabled(self, ids: Collection[str]) -> frozenset[str]:
        rows = await _available(
            self._database.fetch_all(
                sql.FIND_DISABLED_OF,
                {"ids": json.dumps(sorted(ids))},
            )
        )
        return frozenset(row["id"] for row in rows)

    async def unsent_of(self, user_or_client_id: str) -> Sequence[Call]:
        parameters = {"id": user_or_client_id}
        rows = await _available(self._database.fetch_all(sql.UNSENT_OF, parameters))
        return [self._call(row) for row in rows]

    async def unfinished(self) -> Sequence[str]:
        return [row["id"] for row in await _available(self._database.fetch_all(sql.UNFINISHED))]

    async def untold(self) -> Sequence[str]:
        return [row["id"] for row in await _available(self._database.fetch_all(sql.UNTOLD))]

    async def unknown(self) -> Sequence[str]:
        return [row["id"] for row in await _available(self._database.fetch_all(sql.UNKNOWN))]

    async def mark_told(self, call: Call) -> None:
        await _available(
            self._database.write(
                lambda tx: tx.execute(sql.MARK_TOLD, {"id": call.id, "fence": call.fence})
            )
        )

    async def record(self, event: AuditEvent) -> None:
        def job(tx: Tx) -> None:
            tx.audit(event)
            tx.changed("call", event.subject)

        await _available(self._database.write(job))

    async def forget(self, finished_before: datetime) -> int:
        before = {"before": to_us(finished_before)}
        return await _available(self._database.write(lambda tx: tx.execute(sql.FORGET, before)))

    def _swap(
        self,
        tx: Tx,
        seen: Call,
        event: Event,
        facts: Facts,
        *,
        sealed: Mapping[str, bytes | None] = _NOTHING,
        audit: AuditEvent | None = None,
    ) -> Swap:
        row = tx.one(sql.LOAD, {"id": seen.id})
        if row is None:
            return Lost(call=None)
        call = self._call(row)
        if call.fence != seen.fence:
            return Lost(call=call)
        try:
            after = advance(call, event, now=tx.now, facts=facts)
        except IllegalTransitionError:
            return Lost(call=call)
        if event is Event.AUTHORIZE and tx.one(sql.FIND_JTI, {"id": call.id, "jti": after.jti}):
            return Reused()
        params = {
            **_columns(after),
            **sealed,
            "from": call.state.value,
            "to": after.state.value,
            "fence": call.fence,
            "ended": after.state not in OPEN,
            "untold": after.state in _TO_TELL,
            "towards_sending": event in _TOWARDS_SENDING,
        }
        if tx.one(sql.SWAP, params) is None:
            off = tx.one(sql.FIND_DISABLED, params)
            return SwitchedOff(id=off["id"]) if off else Lost(call=call)
        if call.is_undecided and not after.is_undecided:
            tx.execute(sql.DROP_APPROVERS, {"id": call.id})
        tx.audit(audit or _audit_of(after, f"call.{after.state}", actor=after.decided_by))
        tx.changed("call", call.id)
        return Moved(call=after)

    def _look_up(self, statement: str, call_id: str) -> Row | None:
        try:
            return self._database.look_up(statement, {"id": call_id})
        except (StorageError, sqlite3.Error) as error:
            raise StoreUnavailableError(str(error)) from error

    def _seal(self, call_id: str, column: str, plain: bytes) -> bytes:
        return self._sealer.seal(plain, table=_TABLE, row=call_id, column=column)

    def _unseal(self, call_id: str, column: str, sealed: bytes) -> bytes:
        return self._sealer.open(sealed, table=_TABLE, row=call_id, column=column)

    def _call(self, row: Row) -> Call:
        try:
            title = self._unseal(row["id"], "title", row["title"]).decode()
        except SealError:
            # Nothing is decided by a title; what is sent is checked against the details.
            title = f"Call {row['tool']}"
        return Call(
            id=row["id"],
            state=State(row["state"]),
            fence=row["fence"],
            attempts=row["attempts"],
            request_key=row["request_key"],
            caller=Caller.from_json(json.loads(row["caller"])),
            tool=row["tool"],
            title=title,
            approvers=tuple(json.loads(row["approvers"])),
            acr=row["acr"],
            audience=row["audience"],
            digest=row["digest"],
            catalogue_digest=row["catalogue_digest"],
            opened_at=from_us(row["opened_at"]),
            expires_at=from_us(row["expires_at"]),
            approve_at=row["approve_at"],
            interval_s=row["interval_s"],
            decided_at=_time(row["decided_at"]),
            decided_by=row["decided_by"],
            reason=row["reason"],
            jti=row["jti"],
            execute_by=_time(row["execute_by"]),
            lease_until=_time(row["lease_until"]),
            finished_at=_time(row["finished_at"]),
            note=row["note"],
            repeat_of=row["repeat_of"],
        )


class _UndoneError(Exception):
    def __init__(self, swap: Swap) -> None:
        super().__init__("undone")
        self.swap = swap


async def _available(work: Awaitable[T]) -> T:
    try:
        return await work
    except (StorageError, sqlite3.Error) as error:
        raise StoreUnavailableError(str(error)) from error


def _columns(call: Call) -> dict[str, object]:
    """Return what a swap may change, and whom it is guarded by."""
    return {
        "id": call.id,
        "attempts": call.attempts,
        "opened_at": to_us(call.opened_at),
        "expires_at": to_us(call.expires_at),
        "approve_at": call.approve_at,
        "interval_s": call.interval_s,
        "decided_at": _us(call.decided_at),
        "decided_by": call.decided_by,
        "reason": call.reason,
        "jti": call.jti,
        "execute_by": _us(call.execute_by),
        "lease_until": _us(call.lease_until),
        "finished_at": _us(call.finished_at),
        "note": call.note,
        "client_id": call.caller.client_id,
        "sub": call.caller.sub,
    }


def _audit_of(call: Call, event: str, *, actor: str | None) -> AuditEvent:
    details: dict[str, Json] = {"tool": call.tool, "digest": call.digest, "fence": call.fence}
    if call.note is not None:
        details["note"] = call.note
    return AuditEvent(event=event, subject=call.id, actor=actor or "system", details=details)


def _count(tx: Tx, statement: str, params: dict[str, object]) -> int:
    row = tx.one(statement, params)
    return 0 if row is None else int(row["n"])


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else from_us(microseconds)


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)
