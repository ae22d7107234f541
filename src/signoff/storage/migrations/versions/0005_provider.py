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

# How many approvals wait: of a client, of a user by the gate's calls, of a user by all other
# clients together, and of a user by one of those. Counted as they come and go, so that a cap costs
# one look-up and not a walk over all that wait.
KINDS = (
    ("calls", "user_id", "client_id IS NULL"),
    ("user", "user_id", "client_id IS NOT NULL"),
    ("pair", "client_id || ' ' || user_id", "client_id IS NOT NULL"),
)
COUNTS = (
    """
    CREATE TABLE pending_counts (
      kind TEXT NOT NULL CHECK (kind IN ('client', 'calls', 'user', 'pair')),
      id TEXT NOT NULL,
      pending INTEGER NOT NULL CHECK (pending >= 0),
      PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TRIGGER pending_client_opened AFTER INSERT ON approvals WHEN NEW.status = 'pending'
    BEGIN
      INSERT INTO pending_counts (kind, id, pending) VALUES ('client', NEW.client_id, 1)
      ON CONFLICT (kind, id) DO UPDATE SET pending = pending + 1;
    END
    """,
    """
    CREATE TRIGGER pending_client_ended AFTER UPDATE OF status ON approvals
    WHEN OLD.status = 'pending' AND NEW.status <> 'pending'
    BEGIN
      UPDATE pending_counts SET pending = pending - 1 WHERE kind = 'client' AND id = NEW.client_id;
    END
    """,
    """
    CREATE TRIGGER pending_client_forgotten AFTER DELETE ON approvals WHEN OLD.status = 'pending'
    BEGIN
      UPDATE pending_counts SET pending = pending - 1 WHERE kind = 'client' AND id = OLD.client_id;
    END
    """,
)


def counted(kind: str, key: str, when: str) -> tuple[str, ...]:
    """Return the triggers that count the rows of `approval_eligible` of one kind."""

    def of(row: str, expression: str) -> str:
        names = expression.replace("client_id", f"{row}.client_id")
        return names.replace("user_id", f"{row}.user_id")

    less = "UPDATE pending_counts SET pending = pending - 1 WHERE kind = "
    return (
        f"""
        CREATE TRIGGER pending_{kind}_asked AFTER INSERT ON approval_eligible
        WHEN NEW.waiting = 1 AND {of("NEW", when)}
        BEGIN
          INSERT INTO pending_counts (kind, id, pending) VALUES ('{kind}', {of("NEW", key)}, 1)
          ON CONFLICT (kind, id) DO UPDATE SET pending = pending + 1;
        END
        """,  # noqa: S608 — constants of this file
        f"""
        CREATE TRIGGER pending_{kind}_free AFTER UPDATE OF waiting ON approval_eligible
        WHEN OLD.waiting = 1 AND NEW.waiting = 0 AND {of("OLD", when)}
        BEGIN
          {less}'{kind}' AND id = {of("OLD", key)};
        END
        """,
        f"""
        CREATE TRIGGER pending_{kind}_forgotten AFTER DELETE ON approval_eligible
        WHEN OLD.waiting = 1 AND {of("OLD", when)}
        BEGIN
          {less}'{kind}' AND id = {of("OLD", key)};
        END
        """,
    )


def upgrade() -> None:
    """Change the tables."""
    for statement in (*TABLES, *COUNTS):
        op.execute(statement)
    for kind in KINDS:
        for statement in counted(*kind):
            op.execute(statement)
