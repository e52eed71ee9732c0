//! Accounts in PostgreSQL.

use sqlx::{Connection as _, PgConnection, query, query_as};
use uuid::Uuid;

use super::{sessions, time::SqlTime};
use crate::domain::{
    account::{Credentials, NewUser, User},
    email::Email,
    session::NewSession,
};

/// A row of `users`, as every query here selects it.
pub(super) struct UserRow {
    id: Uuid,
    email: String,
    password_hash: String,
    first_name: Option<String>,
    last_name: Option<String>,
    is_email_verified: bool,
    is_active: bool,
    last_login_at: Option<SqlTime>,
    created_at: SqlTime,
    updated_at: SqlTime,
}

impl From<UserRow> for Credentials {
    fn from(row: UserRow) -> Self {
        let user = User {
            id: row.id,
            email: row.email,
            first_name: row.first_name,
            last_name: row.last_name,
            is_email_verified: row.is_email_verified,
            is_active: row.is_active,
            last_login_at: row.last_login_at.map(|time| time.0),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        };
        Self { user, password_hash: row.password_hash }
    }
}

pub(super) async fn register(
    connection: &mut PgConnection,
    new: &NewUser,
    session: &NewSession,
) -> Result<User, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let now = SqlTime(session.opened_at);
    // The database's own unique index decides who was first, so that two registrations at once cannot both succeed.
    query!(
        "INSERT INTO users (id, email, password_hash, first_name, last_name, last_login_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6, $6)",
        new.id,
        new.email.as_str(),
        new.password_hash,
        new.first_name,
        new.last_name,
        now as _,
    )
    .execute(&mut *transaction)
    .await?;
    sessions::insert(&mut transaction, new.id, session).await?;
    let user = select(&mut transaction, new.id).await?.ok_or(sqlx::Error::RowNotFound)?;
    transaction.commit().await?;
    Ok(user)
}

pub(super) async fn find_credentials(
    connection: &mut PgConnection,
    email: &Email,
) -> Result<Option<Credentials>, sqlx::Error> {
    let row = query_as!(
        UserRow,
        r#"SELECT id, email, password_hash, first_name, last_name, is_email_verified, is_active,
                  last_login_at AS "last_login_at: SqlTime", created_at AS "created_at: SqlTime",
                  updated_at AS "updated_at: SqlTime"
           FROM users WHERE lower(email) = lower($1) AND deleted_at IS NULL"#,
        email.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Into::into))
}

/// The user with this id, unless deleted.
pub(super) async fn select(connection: &mut PgConnection, id: Uuid) -> Result<Option<User>, sqlx::Error> {
    let row = query_as!(
        UserRow,
        r#"SELECT id, email, password_hash, first_name, last_name, is_email_verified, is_active,
                  last_login_at AS "last_login_at: SqlTime", created_at AS "created_at: SqlTime",
                  updated_at AS "updated_at: SqlTime"
           FROM users WHERE id = $1 AND deleted_at IS NULL"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Credentials::from(row).user))
}
