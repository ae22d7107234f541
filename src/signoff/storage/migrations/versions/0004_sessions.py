"""Approvers' sessions, the device keys made at sign-in, and sign-in links."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = (
    # Cookie values and codes stand here as hashes only: what the server just compares is not kept.
    """
    CREATE TABLE sessions (
      id TEXT PRIMARY KEY,
      token_hash BLOB NOT NULL UNIQUE,
      user_id TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      seen_at INTEGER NOT NULL CHECK (seen_at >= created_at)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX sessions_user ON sessions (user_id)",
    # One key a session, set in the transaction of the sign-in and never afterwards: who holds a
    # stolen cookie must not be able to add a key of his own.
    """
    CREATE TABLE device_keys (
      session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
      id TEXT NOT NULL,
      x BLOB NOT NULL CHECK (length(x) = 32),
      y BLOB NOT NULL CHECK (length(y) = 32)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE login_codes (
      code_hash BLOB PRIMARY KEY,
      user_id TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL CHECK (expires_at > created_at),
      used_at INTEGER
    ) STRICT, WITHOUT ROWID
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in TABLES:
        op.execute(statement)
