"""What a data directory is for: settled at its first use.

Owns one row of `meta`.
"""

from typing import Final

from signoff.storage.sqlite import Database, Tx

LOAD: Final = "SELECT value FROM meta WHERE key = 'role'"
KEEP: Final = "INSERT INTO meta (key, value) VALUES ('role', :role)"


async def load_role(database: Database) -> str | None:
    """Return the role; None when the directory was never used."""
    row = await database.fetch_one(LOAD)
    return None if row is None else str(row["value"])


async def settle_role(database: Database, role: str) -> str:
    """Settle the role if there is none yet, and return the one there is."""

    def job(tx: Tx) -> str:
        row = tx.one(LOAD)
        if row is not None:
            return str(row["value"])
        tx.execute(KEEP, {"role": role})
        return role

    return await database.write(job)
