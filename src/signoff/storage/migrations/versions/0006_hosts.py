"""MCP hosts that sign in: registrations, client documents, consents, codes, refresh tokens."""

from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = (
    # What a host said of itself when it registered (RFC 7591), or the operator of it. `token_hash`
    # opens its management; a host that the operator made has none.
    """
    CREATE TABLE registrations (
      client_id TEXT PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
      redirect_uris TEXT NOT NULL,
      token_hash BLOB,
      registered_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX registrations_age ON registrations (registered_at)",
    # A client id metadata document as it was last fetched; `client_id` is its URL.
    """
    CREATE TABLE client_documents (
      client_id TEXT PRIMARY KEY,
      name TEXT NOT NULL,
      redirect_uris TEXT NOT NULL,
      grant_types TEXT NOT NULL,
      jwks TEXT,
      dpop_bound INTEGER NOT NULL CHECK (dpop_bound IN (0, 1)),
      first_seen_at INTEGER NOT NULL,
      fetched_at INTEGER NOT NULL,
      fresh_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # One yes of one person to one application. Everything issued from it ends when it is revoked.
    # `approval_id` and `details` (sealed): it was asked for by a backchannel request.
    """
    CREATE TABLE consents (
      id TEXT PRIMARY KEY,
      client_id TEXT NOT NULL,
      user_id TEXT NOT NULL,
      scope TEXT NOT NULL,
      resource TEXT NOT NULL,
      acr TEXT NOT NULL CHECK (acr IN ('session', 'passkey')),
      approval_id TEXT,
      details BLOB,
      decided_at INTEGER NOT NULL,
      revoked_at INTEGER,
      revoked_for TEXT,
      used_at INTEGER,
      CHECK ((revoked_at IS NULL) = (revoked_for IS NULL))
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX consents_of_client ON consents (client_id)",
    "CREATE INDEX consents_of_user ON consents (user_id) WHERE revoked_at IS NULL",
    "CREATE UNIQUE INDEX consents_approval ON consents (approval_id)",
    "CREATE INDEX consents_age ON consents (decided_at)",
    # `request_id` names the page the yes was given on: it is given once.
    """
    CREATE TABLE authorization_codes (
      hash BLOB PRIMARY KEY,
      consent_id TEXT NOT NULL REFERENCES consents (id) ON DELETE CASCADE,
      request_id TEXT NOT NULL UNIQUE,
      redirect_uri TEXT NOT NULL,
      code_challenge TEXT NOT NULL,
      nonce TEXT,
      dpop_jkt TEXT,
      expires_at INTEGER NOT NULL,
      used_at INTEGER
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX authorization_codes_of ON authorization_codes (consent_id)",
    # A used token stays: who shows it again has a copy that somebody else used. With `jkt`, it is
    # of use only with a proof of that key (RFC 9449 §5).
    """
    CREATE TABLE refresh_tokens (
      hash BLOB PRIMARY KEY,
      consent_id TEXT NOT NULL REFERENCES consents (id) ON DELETE CASCADE,
      jkt TEXT,
      issued_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL CHECK (expires_at > issued_at),
      used_at INTEGER
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX refresh_tokens_of ON refresh_tokens (consent_id)",
    # A device waits (RFC 8628). The user code is short, so its hash is keyed. `network` is whose
    # share of what may wait it comes out of.
    """
    CREATE TABLE device_codes (
      hash BLOB PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      user_code BLOB NOT NULL,
      client_id TEXT NOT NULL,
      network TEXT NOT NULL,
      scope TEXT NOT NULL,
      resource TEXT NOT NULL,
      status TEXT NOT NULL CHECK (status IN
        ('pending', 'approved', 'denied', 'expired', 'withdrawn', 'redeemed', 'lapsed')),
      interval_s INTEGER NOT NULL CHECK (interval_s > 0),
      opened_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL CHECK (expires_at > opened_at),
      consent_id TEXT REFERENCES consents (id) ON DELETE SET NULL,
      redeem_by INTEGER
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX device_codes_open ON device_codes (user_code) WHERE status = 'pending'",
    # Whatever a stranger asks for is counted first: that must cost little however many wait. With
    # `status` in it the index alone tells.
    """
    CREATE INDEX device_codes_waiting ON device_codes (network, client_id, status)
    WHERE status = 'pending'
    """,
    "CREATE INDEX device_codes_age ON device_codes (opened_at)",
    # Wrong user codes, by the person who typed them.
    """
    CREATE TABLE device_tries (
      user_id TEXT PRIMARY KEY,
      wrong INTEGER NOT NULL CHECK (wrong > 0),
      last_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in TABLES:
        op.execute(statement)
