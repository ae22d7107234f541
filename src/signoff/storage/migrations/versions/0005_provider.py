"""CIBA in full and tokens after they were issued: callbacks, user codes, revocation, limits."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = (
    # How a client hears of a decision (CIBA Core §4), and what it must send.
    """
    ALTER TABLE clients ADD COLUMN delivery_mode TEXT NOT NULL DEFAULT 'poll'
      CHECK (delivery_mode IN ('poll', 'ping', 'push'))
    """,
    "ALTER TABLE clients ADD COLUMN notification_endpoint TEXT",
    "ALTER TABLE clients ADD COLUMN request_signing_alg TEXT",
    """
    ALTER TABLE clients ADD COLUMN user_code INTEGER NOT NULL DEFAULT 0
      CHECK (user_code IN (0, 1))
    """,
    """
    ALTER TABLE clients ADD COLUMN dpop_bound INTEGER NOT NULL DEFAULT 0
      CHECK (dpop_bound IN (0, 1))
    """,
    "ALTER TABLE clients ADD COLUMN details_types TEXT NOT NULL DEFAULT '[]'",
    # One auth_req_id of a ping or push client. `address` (auth_req_id and bearer token) and
    # `answer` (tokens that were minted for a push and have not arrived) are sealed.
    """
    CREATE TABLE callbacks (
      ticket BLOB PRIMARY KEY REFERENCES auth_req_ids (hash) ON DELETE CASCADE,
      mode TEXT NOT NULL CHECK (mode IN ('ping', 'push')),
      address BLOB NOT NULL,
      answer BLOB,
      answer_until INTEGER,
      failed INTEGER NOT NULL DEFAULT 0 CHECK (failed IN (0, 1)),
      CHECK ((answer IS NULL) = (answer_until IS NULL))
    ) STRICT, WITHOUT ROWID
    """,
    # A person's user_code (CIBA Core §7.1), salted and slow; and wrong tries, by client.
    """
    CREATE TABLE user_codes (
      user_id TEXT PRIMARY KEY,
      salt BLOB NOT NULL,
      hash BLOB NOT NULL,
      set_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE user_code_tries (
      user_id TEXT NOT NULL,
      client_id TEXT NOT NULL,
      wrong INTEGER NOT NULL CHECK (wrong > 0),
      PRIMARY KEY (user_id, client_id)
    ) STRICT, WITHOUT ROWID
    """,
    # Access tokens that were taken back before they expired.
    """
    CREATE TABLE revoked_tokens (
      jti TEXT PRIMARY KEY,
      expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX revoked_tokens_expiry ON revoked_tokens (expires_at)",
    # Rate limits: the instant from which on the next use is on time (GCRA).
    """
    CREATE TABLE paces (
      kind TEXT NOT NULL,
      id TEXT NOT NULL,
      due_at INTEGER NOT NULL,
      PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID
    """,
)

# How many approvals of a client wait, counted as they come and go: there may be thousands. What
# waits for a person is few by its caps, and read when it is needed.
COUNTS = (
    """
    CREATE TABLE pending_counts (
      client_id TEXT PRIMARY KEY,
      pending INTEGER NOT NULL CHECK (pending >= 0)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TRIGGER pending_opened AFTER INSERT ON approvals WHEN NEW.status = 'pending'
    BEGIN
      INSERT INTO pending_counts (client_id, pending) VALUES (NEW.client_id, 1)
      ON CONFLICT (client_id) DO UPDATE SET pending = pending + 1;
    END
    """,
    """
    CREATE TRIGGER pending_ended AFTER UPDATE OF status ON approvals
    WHEN OLD.status = 'pending' AND NEW.status <> 'pending'
    BEGIN
      UPDATE pending_counts SET pending = pending - 1 WHERE client_id = NEW.client_id;
    END
    """,
    """
    CREATE TRIGGER pending_forgotten AFTER DELETE ON approvals WHEN OLD.status = 'pending'
    BEGIN
      UPDATE pending_counts SET pending = pending - 1 WHERE client_id = OLD.client_id;
    END
    """,
)


def upgrade() -> None:
    """Change the tables."""
    for statement in (*TABLES, *COUNTS):
        op.execute(statement)
