"""Device requests in SQLite (RFC 8628).

Owns their statements. Device codes stand here as SHA-256, user codes as a keyed hash, for they are
short. Wrong codes are counted in a transaction of their own, so that no failure forgets one.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final, Literal

from signoff.approvals.request import TRANSITIONS, Event, Status
from signoff.audit import AuditEvent
from signoff.oauth.device import LIFE, MAX_TRIES, Device, LockedOut, WrongCode
from signoff.oauth.host_tokens import Consent
from signoff.sealed import Sealer, hash_id
from signoff.storage import consents, refresh_tokens
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Database, Row, Tx

_KEEP: Final = timedelta(hours=1)
_OPEN_AT_MOST: Final = 20_000
_OPEN_A_CLIENT: Final = 100
"""At one network: an id that everybody knows is used up for nobody else."""
_SLOWER_S: Final = 5
REDEEM_WITHIN: Final = timedelta(seconds=600)

# What is due has been ended right before.
OPEN_COUNTS: Final = """
SELECT (SELECT count(*) FROM device_codes WHERE status = 'pending') AS n,
       (SELECT count(*) FROM device_codes
        WHERE status = 'pending' AND network = :network) AS of_network,
       (SELECT count(*) FROM device_codes
        WHERE status = 'pending' AND network = :network AND client_id = :client_id) AS of_client
"""
TAKEN: Final = "SELECT 1 FROM device_codes WHERE user_code = :user_code AND status = 'pending'"
ADD: Final = """
INSERT INTO device_codes (hash, id, user_code, client_id, network, scope, resource, status,
                          interval_s, opened_at, expires_at)
VALUES (:hash, :id, :user_code, :client_id, :network, :scope, :resource, 'pending', :interval_s,
        :now, :expires_at)
"""
TRIES: Final = "SELECT wrong FROM device_tries WHERE user_id = :user_id AND last_at > :since"
COUNT: Final = """
INSERT INTO device_tries (user_id, wrong, last_at) VALUES (:user_id, 1, :now)
ON CONFLICT (user_id) DO UPDATE
SET wrong = CASE WHEN last_at > :since THEN wrong + 1 ELSE 1 END, last_at = :now
RETURNING wrong
"""
FIND_BY_USER_CODE: Final = """
SELECT * FROM device_codes
WHERE user_code = :user_code AND status = 'pending' AND expires_at > :now
"""
FIND: Final = """
SELECT device.*, consents.id AS c_id, consents.user_id, consents.acr, consents.decided_at
FROM device_codes AS device LEFT JOIN consents ON consents.id = device.consent_id
WHERE device.hash = :hash AND device.client_id = :client_id
"""
END_DUE: Final = """
UPDATE device_codes
SET status = CASE status WHEN 'pending' THEN 'expired' ELSE 'lapsed' END
WHERE (status = 'pending' AND expires_at <= :now) OR (status = 'approved' AND redeem_by <= :now)
"""
DECIDE: Final = """
UPDATE device_codes
SET status = :status, consent_id = :consent_id, redeem_by = :redeem_by
WHERE id = :id AND status = 'pending' AND expires_at > :now
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.id IN (:user_id, client_id))
RETURNING id
"""
SLOWER: Final = """
UPDATE device_codes SET interval_s = interval_s + :slower
WHERE hash = :hash AND status = 'pending' RETURNING id
"""
REDEEM: Final = f"""
UPDATE device_codes SET status = 'redeemed'
WHERE hash = :hash AND client_id = :client_id AND status = 'approved' AND redeem_by > :now
  AND {consents.HOLDS}
RETURNING id
"""  # noqa: S608 — two constants
FORGET: Final = """
DELETE FROM device_codes WHERE hash IN
  (SELECT hash FROM device_codes WHERE opened_at < :before LIMIT 8)
"""


class SqliteDevices:
    """Implements `oauth.device.DeviceStore`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database, self._sealer = database, sealer

    async def open(
        self, device: Device, *, device_code: str, user_code: str, network: str
    ) -> bool | None:
        """Keep a request. False: the user code is taken; None: too many are open."""
        hidden = self._hidden(user_code)

        def job(tx: Tx) -> bool | None:
            tx.execute(FORGET, {"before": to_us(tx.now - LIFE - REDEEM_WITHIN - _KEEP)})
            tx.execute(END_DUE, {"now": tx.now_us})
            whose = {"client_id": device.client_id, "network": network}
            counts = tx.one(OPEN_COUNTS, whose)
            if counts is None or counts["of_client"] >= _OPEN_A_CLIENT:
                return None
            # No network takes more than it leaves: whoever comes next finds room.
            if counts["of_network"] >= _OPEN_AT_MOST - counts["n"]:
                return None
            if tx.one(TAKEN, {"user_code": hidden}) is not None:
                return False
            params = {
                "hash": hash_id(device_code),
                "id": device.id,
                "user_code": hidden,
                **whose,
                "scope": device.scope,
                "resource": device.resource,
                "interval_s": device.interval_s,
                "now": tx.now_us,
                "expires_at": to_us(tx.now + LIFE),
            }
            tx.execute(ADD, params)
            tx.audit(
                AuditEvent(event="device.opened", subject=device.id, actor=device.client_id[:256])
            )
            return True

        return await self._database.write(job)

    async def enter(self, user_code: str, *, user_id: str) -> Device | WrongCode | LockedOut:
        """Return the open request of a code; a wrong one is counted in its own transaction."""
        hidden = self._hidden(user_code)

        def job(tx: Tx) -> Device | WrongCode | LockedOut:
            since = to_us(tx.now - LIFE)
            tries = tx.one(TRIES, {"user_id": user_id, "since": since})
            if tries is not None and tries["wrong"] >= MAX_TRIES:
                return LockedOut()
            row = None
            if user_code:
                row = tx.one(FIND_BY_USER_CODE, {"user_code": hidden, "now": tx.now_us})
            if row is not None:
                # The tries stay counted: who knows one code must not buy guesses at others with it.
                return _read(row)
            counted = tx.one(COUNT, {"user_id": user_id, "now": tx.now_us, "since": since})
            wrong = MAX_TRIES if counted is None else int(counted["wrong"])
            tx.audit(
                AuditEvent(
                    event="device.wrong_code",
                    subject=user_id,
                    actor=user_id,
                    details={"wrong": wrong},
                )
            )
            return LockedOut() if wrong >= MAX_TRIES else WrongCode(left=MAX_TRIES - wrong)

        return await self._database.write(job)

    async def decide(
        self, device_id: str, *, verdict: Literal["approve", "deny"], consent: Consent
    ) -> bool:
        """Decide an open request, once, with its consent and audit row."""
        approved = verdict == "approve"
        after = TRANSITIONS[Status.PENDING][Event.APPROVE if approved else Event.DENY]

        def job(tx: Tx) -> bool:
            if approved and not consents.add(tx, consent):
                return False
            params = {
                "id": device_id,
                "status": after,
                "consent_id": consent.id if approved else None,
                "redeem_by": to_us(tx.now + REDEEM_WITHIN) if approved else None,
                "user_id": consent.user_id,
                "now": tx.now_us,
            }
            if tx.one(DECIDE, params) is None:
                raise _NotOpenError
            tx.audit(AuditEvent(event=f"device.{after}", subject=device_id, actor=consent.user_id))
            tx.changed("device", device_id)
            return True

        try:
            return await self._database.write(job)
        except _NotOpenError:
            return False

    async def find(self, device_code: str, *, client_id: str) -> Device | None:
        """Return the request of a device code of this client, what is due ended."""
        params = {"hash": hash_id(device_code), "client_id": client_id}
        row = await self._database.fetch_one(FIND, params)
        if row is None:
            return None
        now = to_us(self._database.now())
        due = (row["status"] == "pending" and row["expires_at"] <= now) or (
            row["status"] == "approved" and row["redeem_by"] <= now
        )
        if due:
            await self._database.write(lambda tx: tx.execute(END_DUE, {"now": tx.now_us}))
            row = await self._database.fetch_one(FIND, params)
        return None if row is None else _with_consent(row)

    async def slow_down(self, device_code: str) -> None:
        """Lengthen the interval by five seconds, for this and every later poll."""
        params = {"hash": hash_id(device_code), "slower": _SLOWER_S}
        await self._database.write(lambda tx: tx.one(SLOWER, params))

    async def redeem(
        self,
        device_code: str,
        *,
        client_id: str,
        refresh_token: str | None,
        bound_to: str | None = None,
    ) -> Consent | None:
        """Use an approved request up, and keep its refresh token."""
        params = {"hash": hash_id(device_code), "client_id": client_id}

        def job(tx: Tx) -> Consent | None:
            used = tx.one(REDEEM, params | {"now": tx.now_us})
            row = tx.one(FIND, params)
            if used is None or row is None:
                return None
            consent = _with_consent(row).consent
            if consent is not None and refresh_token is not None:
                refresh_tokens.add(tx, refresh_token, consent_id=consent.id, jkt=bound_to)
            tx.audit(AuditEvent(event="device.redeemed", subject=used["id"], actor=client_id))
            return consent

        return await self._database.write(job)

    def _hidden(self, user_code: str) -> bytes:
        return self._sealer.keyed_hash("device user code", user_code.encode())


class _NotOpenError(Exception):
    """Undoes the consent that was written before the request turned out to be over."""


def _read(row: Row) -> Device:
    return Device(
        id=row["id"],
        client_id=row["client_id"],
        scope=row["scope"],
        resource=row["resource"],
        status=Status(row["status"]),
        interval_s=row["interval_s"],
        opened_at=from_us(row["opened_at"]),
        expires_at=from_us(row["expires_at"]),
    )


def _with_consent(row: Row) -> Device:
    device = _read(row)
    if row["c_id"] is None:
        return device
    consent = Consent(
        id=row["c_id"],
        client_id=device.client_id,
        user_id=row["user_id"],
        scope=device.scope,
        resource=device.resource,
        acr=row["acr"],
        decided_at=from_us(row["decided_at"]),
    )
    return replace(device, consent=consent)
