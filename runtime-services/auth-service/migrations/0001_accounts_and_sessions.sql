-- Accounts, sessions, and the refresh tokens of each session.
-- Migrations only add: a version of the service that is still running must work with the schema of the next.

CREATE TABLE users (
    id                uuid PRIMARY KEY,
    email             text NOT NULL,
    password_hash     text NOT NULL,
    first_name        text,
    last_name         text,
    is_email_verified boolean NOT NULL DEFAULT false,
    is_active         boolean NOT NULL DEFAULT true,
    last_login_at     timestamptz,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    deleted_at        timestamptz
);

-- An address belongs to one account, however it is capitalised; a deleted account gives it free.
CREATE UNIQUE INDEX users_email_key ON users (lower(email)) WHERE deleted_at IS NULL;

-- One login and all that follows from it. Ending it ends its access tokens and its refresh tokens.
CREATE TABLE sessions (
    id             uuid PRIMARY KEY,
    user_id        uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_agent     text,
    ip_address     text,
    created_at     timestamptz NOT NULL,
    last_used_at   timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    revoked_at     timestamptz,
    revoked_reason text,
    CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);

CREATE INDEX sessions_user_id_idx ON sessions (user_id);
-- The cache is filled from this when it comes back empty.
CREATE INDEX sessions_revoked_at_idx ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- The family of refresh tokens of a session. Only the SHA-256 of a token is kept. A token is good once: `spent_at`
-- and `replaced_by` say when it was used and for what.
CREATE TABLE refresh_tokens (
    hash        bytea PRIMARY KEY CHECK (length(hash) = 32),
    session_id  uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    spent_at    timestamptz,
    replaced_by bytea,
    CHECK ((spent_at IS NULL) = (replaced_by IS NULL))
);

CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);
