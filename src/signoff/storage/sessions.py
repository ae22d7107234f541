"""Sessions, device keys and sign-in links in SQLite.

Owns their statements. One method is one transaction with its audit row. Cookie values and codes
are compared by hash and never stored; who is in `disabled` is refused by every statement's WHERE.
"""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from signoff.approvals.sessions import (
    CODE_TTL_S,
    IDLE,
    LIFETIME,
    DeviceKey,
    Session,
    SignedIn,
)
from signoff.audit import AuditEvent
from signoff.sealed import hash_id
from signoff.storage.sqlite import Database, Row, Tx, from_us, to_us

_TOUCH_AFTER: Final = timedelta(hours=1)
_CODE_BYTES: Final = 24
_TOKEN_BYTES: Final = 32

ADD_CODE = """
INSERT INTO login_codes (code_hash, user_id, created_at, expires_at)
SELECT :code_hash, :user_id, :now, :expires_at
WHERE NOT EXISTS (SELECT 1 FROM disabled WHERE id = :user_id)
RETURNING user_id
"""
DROP_OLD_CODES = "DELETE FROM login_codes WHERE expires_at <= :now"
LOOK_AT_CODE = """
SELECT user_id FROM login_codes
WHERE code_hash = :code_hash AND used_at IS NULL AND expires_at > :now
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE id = login_codes.user_id)
"""
USE_CODE = """
UPDATE login_codes SET used_at = :now
WHERE code_hash = :code_hash AND used_at IS NULL AND expires_at > :now
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE id = login_codes.user_id)
RETURNING user_id
"""
ADD_SESSION = """
INSERT INTO sessions (id, token_hash, user_id, created_at, seen_at)
VALUES (:id, :token_hash, :user_id, :now, :now)
"""
ADD_KEY = "INSERT INTO device_keys (session_id, id, x, y) VALUES (:session_id, :id, :x, :y)"
FIND_SESSION = """
SELECT s.id, s.user_id, s.created_at, s.seen_at, k.x, k.y
FROM sessions AS s LEFT JOIN device_keys AS k ON k.session_id = s.id
WHERE s.token_hash = :token_hash AND s.seen_at > :idle_since AND s.created_at > :old_since
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE id = s.user_id)
"""
TOUCH_SESSION = "UPDATE sessions SET seen_at = :now WHERE id = :id AND seen_at < :now"
END_SESSION = "DELETE FROM sessions WHERE id = :id RETURNING user_id"
DROP_OVER = "DELETE FROM sessions WHERE seen_at <= :idle_since OR created_at <= :old_since"
SIGNED_IN = """
SELECT DISTINCT s.user_id FROM sessions AS s JOIN device_keys AS k ON k.session_id = s.id
WHERE s.user_id = :user_id AND s.seen_at > :idle_since AND s.created_at > :old_since
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE id = s.user_id)
"""


class DisabledUserError(Exception):
    """A sign-in link was asked for a user who is switched off."""


class Sessions:
    """Implements `approvals.sessions.SessionStore`."""

    def __init__(self, database: Database, *, lifetime: timedelta = LIFETIME) -> None:
        self._database, self._lifetime = database, lifetime

    async def create_login_code(self, user_id: str, *, ttl_s: int = CODE_TTL_S) -> str:
        """Return the code of a fresh sign-in link. It is known only to who asked.

        The caller has checked that the user is in the catalogue.

        Raises:
            DisabledUserError: the user is switched off.
        """
        code = secrets.token_urlsafe(_CODE_BYTES)

        def job(tx: Tx) -> None:
            tx.execute(DROP_OLD_CODES, {"now": tx.now_us})
            added = tx.one(
                ADD_CODE,
                {
                    "code_hash": hash_id(code),
                    "user_id": user_id,
                    "now": tx.now_us,
                    "expires_at": to_us(tx.now + timedelta(seconds=ttl_s)),
                },
            )
            if added is None:
                raise DisabledUserError(f"{user_id} is disabled: signoff users enable {user_id}")
            tx.audit(AuditEvent(event="login_code.created", subject=user_id, actor="system"))

        await self._database.write(job)
        return code

    async def link_user(self, code: str) -> str | None:
        """Return whom the link signs in, None when it was used or is too old."""
        params = {"code_hash": hash_id(code), "now": to_us(self._database.now())}
        row = await self._database.fetch_one(LOOK_AT_CODE, params)
        return None if row is None else str(row["user_id"])

    async def sign_in(self, code: str, *, device_key: DeviceKey | None) -> SignedIn | None:
        """Use the link up and begin a session with its key."""
        token, session_id = secrets.token_urlsafe(_TOKEN_BYTES), f"ses_{secrets.token_urlsafe(16)}"

        def job(tx: Tx) -> SignedIn | None:
            used = tx.one(USE_CODE, {"code_hash": hash_id(code), "now": tx.now_us})
            if used is None:
                return None
            user_id = str(used["user_id"])
            tx.execute(DROP_OVER, _since(tx.now, self._lifetime))
            tx.execute(
                ADD_SESSION,
                {
                    "id": session_id,
                    "token_hash": hash_id(token),
                    "user_id": user_id,
                    "now": tx.now_us,
                },
            )
            if device_key is not None:
                tx.execute(
                    ADD_KEY,
                    {
                        "session_id": session_id,
                        "id": device_key.id,
                        "x": device_key.x,
                        "y": device_key.y,
                    },
                )
            tx.audit(
                AuditEvent(
                    event="session.created",
                    subject=session_id,
                    actor=user_id,
                    details={"device_key": None if device_key is None else device_key.id},
                )
            )
            tx.changed("session", session_id)
            session = Session(
                id=session_id,
                user_id=user_id,
                device_key=device_key,
                created_at=tx.now,
                seen_at=tx.now,
            )
            return SignedIn(session=session, token=token, lifetime=self._lifetime)

        return await self._database.write(job)

    async def find(self, token: str) -> Session | None:
        """Return the live session of a cookie's value, and note that it was seen."""
        now = self._database.now()
        params = {"token_hash": hash_id(token), **_since(now, self._lifetime)}
        row = await self._database.fetch_one(FIND_SESSION, params)
        if row is None:
            return None
        session = _session(row)
        if now - session.seen_at >= _TOUCH_AFTER:
            # Hourly is exact enough for 30 days, and spares a flush per page.
            await self._database.write(
                lambda tx: tx.execute(TOUCH_SESSION, {"id": session.id, "now": tx.now_us})
            )
        return session

    async def end(self, session_id: str, *, by: str) -> None:
        """Delete the session; its key goes with it."""

        def job(tx: Tx) -> None:
            if tx.one(END_SESSION, {"id": session_id}) is None:
                return
            tx.audit(AuditEvent(event="session.ended", subject=session_id, actor=by))
            tx.changed("session", session_id)

        await self._database.write(job)


class Reach:
    """Tells the gate who could approve right now."""

    def __init__(self, database: Database, *, lifetime: timedelta = LIFETIME) -> None:
        self._database, self._lifetime = database, lifetime

    async def signed_in(self, user_ids: Collection[str]) -> set[str]:
        """Return those of `user_ids` with a live session that has a device key."""
        since = _since(self._database.now(), self._lifetime)
        found: set[str] = set()
        for user_id in user_ids:
            params = {"user_id": user_id, **since}
            if await self._database.fetch_one(SIGNED_IN, params) is not None:
                found.add(user_id)
        return found


def _since(now: datetime, lifetime: timedelta) -> dict[str, int]:
    """Return since when a session must have been seen, and must have begun, to be live."""
    return {"idle_since": to_us(now - IDLE), "old_since": to_us(now - lifetime)}


def _session(row: Row) -> Session:
    key = None if row["x"] is None else DeviceKey.from_point(bytes(row["x"]), bytes(row["y"]))
    return Session(
        id=str(row["id"]),
        user_id=str(row["user_id"]),
        device_key=key,
        created_at=from_us(row["created_at"]),
        seen_at=from_us(row["seen_at"]),
    )
