//! Sessions and refresh tokens in PostgreSQL.

use jiff::Timestamp;
use sqlx::{Connection as _, PgConnection, query};
use uuid::Uuid;

use super::{accounts, time::SqlTime};
use crate::{
    domain::{
        account::User,
        session::{NewSession, Presented, RevokedReason, TokenHash, Verdict},
    },
    storage::Rotation,
};

pub(super) async fn open(
    connection: &mut PgConnection,
    user: Uuid,
    new: &NewSession,
) -> Result<Option<User>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let now = SqlTime(new.opened_at);
    // The password was verified a moment ago; the account may have been closed since.
    let updated = query!(
        "UPDATE users SET last_login_at = $2 WHERE id = $1 AND is_active AND deleted_at IS NULL",
        user,
        now as _,
    )
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(None);
    }
    insert(&mut transaction, user, new).await?;
    let user = accounts::select(&mut transaction, user).await?;
    transaction.commit().await?;
    Ok(user)
}

/// Adds a session with its first refresh token.
pub(super) async fn insert(connection: &mut PgConnection, user: Uuid, new: &NewSession) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO sessions (id, user_id, user_agent, ip_address, created_at, last_used_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $5, $6)",
        new.id,
        user,
        new.sender.user_agent,
        new.sender.address,
        SqlTime(new.opened_at) as _,
        SqlTime(new.expires_at) as _,
    )
    .execute(&mut *connection)
    .await?;
    insert_token(connection, new.token, new.id, new.opened_at, new.expires_at).await
}

async fn insert_token(
    connection: &mut PgConnection,
    token: TokenHash,
    session: Uuid,
    issued_at: Timestamp,
    expires_at: Timestamp,
) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO refresh_tokens (hash, session_id, issued_at, expires_at) VALUES ($1, $2, $3, $4)",
        &token.0[..],
        session,
        SqlTime(issued_at) as _,
        SqlTime(expires_at) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn rotate(
    connection: &mut PgConnection,
    presented: TokenHash,
    successor: TokenHash,
    now: Timestamp,
) -> Result<Rotation, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // The lock on the token lets one caller in at a time, who then sees what the one before wrote. The lock on the
    // session keeps it from being ended in between. Every caller takes them in this order.
    let row = query!(
        r#"SELECT t.session_id, t.expires_at AS "token_expires_at: SqlTime", t.spent_at IS NOT NULL AS "is_spent!",
                  s.user_id, s.expires_at AS "session_expires_at: SqlTime",
                  s.revoked_at IS NOT NULL AS "is_revoked!"
           FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id
           WHERE t.hash = $1
           FOR UPDATE OF t, s"#,
        &presented.0[..],
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else { return Ok(Rotation::Refused) };
    let user = accounts::select(&mut transaction, row.user_id).await?.filter(|user| user.is_active);
    let expires_at = row.session_expires_at.0;
    let state = Presented {
        token_expires_at: row.token_expires_at.0,
        session_expires_at: expires_at,
        is_spent: row.is_spent,
        is_revoked: row.is_revoked,
        user_may_log_in: user.is_some(),
    };
    let session = row.session_id;
    let rotation = match (state.judge(now), user) {
        (Verdict::Rotate, Some(user)) => {
            spend(&mut transaction, presented, successor, session, now).await?;
            insert_token(&mut transaction, successor, session, now, expires_at).await?;
            Rotation::Rotated { user, session, expires_at }
        }
        (Verdict::Revoke, _) => {
            end(&mut transaction, session, RevokedReason::Reuse, now).await?;
            Rotation::Reused { session }
        }
        _ => Rotation::Refused,
    };
    transaction.commit().await?;
    Ok(rotation)
}

async fn spend(
    connection: &mut PgConnection,
    token: TokenHash,
    successor: TokenHash,
    session: Uuid,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    query!(
        "UPDATE refresh_tokens SET spent_at = $2, replaced_by = $3 WHERE hash = $1",
        &token.0[..],
        SqlTime(now) as _,
        &successor.0[..],
    )
    .execute(&mut *connection)
    .await?;
    query!("UPDATE sessions SET last_used_at = $2 WHERE id = $1", session, SqlTime(now) as _)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn end(
    connection: &mut PgConnection,
    id: Uuid,
    reason: RevokedReason,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    query!(
        "UPDATE sessions SET revoked_at = $2, revoked_reason = $3 WHERE id = $1 AND revoked_at IS NULL",
        id,
        SqlTime(now) as _,
        reason.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn revoked_since(
    connection: &mut PgConnection,
    since: Timestamp,
) -> Result<Vec<(Uuid, Timestamp)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT id, revoked_at AS "revoked_at!: SqlTime" FROM sessions WHERE revoked_at >= $1"#,
        SqlTime(since) as _,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.revoked_at.0)).collect())
}
