"""The gate's calls: one row a call, everything that must be used again sealed."""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = (
    """
    CREATE TABLE calls (
      id TEXT PRIMARY KEY,
      state TEXT NOT NULL CHECK (state IN (
        'opening', 'waiting', 'authorized', 'claimed', 'dispatching',
        'succeeded', 'failed', 'denied', 'expired', 'withdrawn', 'refused', 'lapsed',
        'outcome_unknown'
      )),
      fence INTEGER NOT NULL CHECK (fence >= 0),
      attempts INTEGER NOT NULL CHECK (attempts >= 0),
      request_key BLOB NOT NULL,
      caller_key BLOB NOT NULL,
      caller TEXT NOT NULL,
      client_id TEXT NOT NULL,
      sub TEXT,
      tool TEXT NOT NULL,
      title BLOB NOT NULL,
      approvers TEXT NOT NULL,
      acr TEXT NOT NULL CHECK (acr IN ('session', 'passkey')),
      audience TEXT NOT NULL,
      digest TEXT NOT NULL,
      catalogue_digest TEXT NOT NULL,
      arguments BLOB,
      details BLOB,
      request BLOB,
      opened_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      approve_at TEXT NOT NULL,
      auth_req_id BLOB,
      interval_s INTEGER NOT NULL,
      decided_at INTEGER,
      decided_by TEXT,
      reason TEXT,
      access_token BLOB,
      jti TEXT UNIQUE,
      execute_by INTEGER,
      lease_until INTEGER,
      finished_at INTEGER,
      note TEXT,
      result BLOB,
      repeat_of TEXT,
      told INTEGER NOT NULL CHECK (told IN (0, 1))
    ) STRICT
    """,
    "CREATE INDEX calls_same ON calls (request_key, opened_at)",
    # Parallel identical calls cannot open two cards, whatever the code above does.
    """
    CREATE UNIQUE INDEX calls_one_open ON calls (request_key)
    WHERE state IN ('opening', 'waiting', 'authorized', 'claimed', 'dispatching')
    """,
    """
    CREATE INDEX calls_open ON calls (caller_key)
    WHERE state IN ('opening', 'waiting', 'authorized', 'claimed', 'dispatching')
    """,
    "CREATE INDEX calls_untold ON calls (id) WHERE told = 0",
    "CREATE INDEX calls_unknown ON calls (finished_at) WHERE state = 'outcome_unknown'",
    "CREATE INDEX calls_finished ON calls (finished_at) WHERE request IS NOT NULL",
    # One row for each person asked, while the call is undecided: the base of the limit.
    """
    CREATE TABLE call_approvers (
      user_id TEXT NOT NULL,
      call_id TEXT NOT NULL REFERENCES calls (id),
      PRIMARY KEY (user_id, call_id)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX call_approvers_call ON call_approvers (call_id)",
    # The record without what is heavy.
    """
    CREATE VIEW call_records AS
    SELECT rowid AS number, id, state, fence, attempts, request_key, caller, tool, title,
      approvers, acr, audience, digest, catalogue_digest, opened_at, expires_at, approve_at,
      interval_s, decided_at, decided_by, reason, jti, execute_by, lease_until, finished_at, note,
      repeat_of
    FROM calls
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in TABLES:
        op.execute(statement)
