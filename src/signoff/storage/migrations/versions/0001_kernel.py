"""The kernel's tables: the store's own facts, the audit chain, the outbox."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = (
    """
    CREATE TABLE meta (
      key TEXT PRIMARY KEY,
      value ANY NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # No index on `hash`: nothing looks for one, and each new row would change a page of its own.
    """
    CREATE TABLE audit (
      seq INTEGER PRIMARY KEY,
      body BLOB NOT NULL,
      prev BLOB NOT NULL,
      hash BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE outbox (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      kind TEXT NOT NULL,
      subject TEXT NOT NULL,
      payload TEXT NOT NULL,
      due_at INTEGER NOT NULL,
      attempts INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX outbox_due ON outbox (kind, due_at)",
    "CREATE INDEX outbox_order ON outbox (kind, subject, id)",
    # Users and clients share one namespace, so one table says who is switched off.
    """
    CREATE TABLE disabled (
      id TEXT PRIMARY KEY,
      at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in TABLES:
        op.execute(statement)
