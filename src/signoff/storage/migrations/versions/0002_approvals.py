"""The authorization server's tables: approvals, their ids, clients, signing keys, spent ids."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = (
    # `details` (what is shown, arguments and bodies included) is sealed, and stands last: who reads
    # the columns before it does not read its pages. `resources` is JSON. `acting_client` and
    # `acting_sub` are who makes the call that a gate asks for, as far as they are known here.
    """
    CREATE TABLE approvals (
      id TEXT PRIMARY KEY,
      client_id TEXT NOT NULL,
      call_id TEXT,
      tool TEXT,
      acting_client TEXT,
      acting_sub TEXT,
      status TEXT NOT NULL CHECK (status IN
        ('pending', 'approved', 'denied', 'expired', 'withdrawn', 'redeemed', 'lapsed')),
      scope TEXT NOT NULL,
      binding_message TEXT,
      digest TEXT NOT NULL,
      nonce TEXT NOT NULL,
      acr TEXT NOT NULL CHECK (acr IN ('session', 'passkey')),
      resources TEXT NOT NULL,
      opened_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL CHECK (expires_at > opened_at),
      decided_at INTEGER,
      decided_by TEXT,
      decided_acr TEXT,
      reason TEXT,
      redeem_by INTEGER,
      token_jti TEXT,
      listener_left_at INTEGER,
      outcome TEXT,
      outcome_at INTEGER,
      outcome_note TEXT,
      reconciled_by TEXT,
      details BLOB NOT NULL,
      CHECK ((status IN ('approved', 'redeemed', 'lapsed')) = (redeem_by IS NOT NULL)),
      CHECK ((status = 'redeemed') = (token_jti IS NOT NULL)),
      CHECK ((status IN ('approved', 'denied', 'redeemed', 'lapsed')) = (decided_at IS NOT NULL)),
      CHECK (decided_at IS NULL OR decided_at < expires_at)
    ) STRICT
    """,
    # A call has one approval for ever: a request repeated after a crash finds it again.
    """
    CREATE UNIQUE INDEX approvals_call ON approvals (client_id, call_id)
    WHERE call_id IS NOT NULL
    """,
    "CREATE INDEX approvals_pending ON approvals (expires_at) WHERE status = 'pending'",
    "CREATE INDEX approvals_approved ON approvals (redeem_by) WHERE status = 'approved'",
    "CREATE UNIQUE INDEX approvals_jti ON approvals (token_jti) WHERE token_jti IS NOT NULL",
    "CREATE INDEX approvals_age ON approvals (opened_at)",
    # Who may see and decide; ordered for the inbox, and so that what waits for somebody lies
    # together. `waiting` is 1 while the approval is pending. `client_id` is there when the request
    # is another application's, and no call of the gate.
    """
    CREATE TABLE approval_eligible (
      user_id TEXT NOT NULL,
      opened_at INTEGER NOT NULL,
      approval_id TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
      waiting INTEGER NOT NULL CHECK (waiting IN (0, 1)),
      client_id TEXT,
      PRIMARY KEY (user_id, waiting, opened_at, approval_id)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX approval_eligible_of ON approval_eligible (approval_id, user_id)",
    # A JSON list made by hand: under trusted_schema=OFF, SQLite before 3.42 lets no view use JSON.
    r"""
    CREATE VIEW approval_cards AS
    SELECT approvals.*, (SELECT '["' || group_concat(
                                  replace(replace(user_id, '\', '\\'), '"', '\"'), '","'
                                ) || '"]'
                         FROM approval_eligible
                         WHERE approval_id = approvals.id) AS eligible
    FROM approvals
    """,
    # The same without what is asked: enough to say where it stands.
    """
    CREATE VIEW approval_heads AS
    SELECT id, client_id, call_id, tool, status, scope, binding_message, digest, nonce, acr,
           resources, opened_at, expires_at, decided_at, decided_by, decided_acr, reason,
           redeem_by, token_jti, listener_left_at, outcome, outcome_at, outcome_note,
           reconciled_by, eligible
    FROM approval_cards
    """,
    # auth_req_ids by SHA-256; one approval may have several.
    """
    CREATE TABLE auth_req_ids (
      hash BLOB PRIMARY KEY,
      approval_id TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
      client_id TEXT NOT NULL,
      interval_s INTEGER NOT NULL CHECK (interval_s > 0),
      issued_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX auth_req_ids_of ON auth_req_ids (approval_id)",
    # Secrets by keyed hash; `previous_*` is the overlap of a rotation. Lists are JSON arrays.
    """
    CREATE TABLE clients (
      id TEXT PRIMARY KEY,
      name TEXT NOT NULL,
      role TEXT NOT NULL CHECK (role IN ('machine', 'gate')),
      origin TEXT NOT NULL CHECK (origin IN ('operator', 'self')),
      auth_method TEXT NOT NULL
        CHECK (auth_method IN ('client_secret', 'private_key_jwt', 'none')),
      secret_hash BLOB,
      secret_start TEXT,
      previous_hash BLOB,
      previous_until INTEGER,
      jwks TEXT,
      grant_types TEXT NOT NULL,
      scopes TEXT NOT NULL,
      audiences TEXT NOT NULL,
      metadata TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL,
      expires_at INTEGER,
      last_used_at INTEGER,
      CHECK ((auth_method = 'client_secret') = (secret_hash IS NOT NULL)),
      CHECK ((auth_method = 'private_key_jwt') = (jwks IS NOT NULL))
    ) STRICT
    """,
    # Ids that may be used once. The kind and the issuer keep one id from meaning another.
    """
    CREATE TABLE spent_ids (
      kind TEXT NOT NULL,
      issuer TEXT NOT NULL,
      value TEXT NOT NULL,
      expires_at INTEGER NOT NULL,
      PRIMARY KEY (kind, issuer, value)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX spent_ids_expiry ON spent_ids (expires_at)",
    # A key is published from `created_at` and signs from `signs_from`; `private` is sealed.
    """
    CREATE TABLE signing_keys (
      kid TEXT PRIMARY KEY,
      purpose TEXT NOT NULL CHECK (purpose IN ('issuer', 'client')),
      private BLOB NOT NULL,
      created_at INTEGER NOT NULL,
      signs_from INTEGER NOT NULL
    ) STRICT
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in TABLES:
        op.execute(statement)
