//! What the service needs of a database, whichever it is.
//!
//! Each method is one transaction: it happens wholly or not at all. `now` is an argument everywhere, so that rows
//! and tokens agree and tests can choose the hour. To keep data elsewhere, implement [`Store`] and pass the tests.

pub mod postgres;

use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::{
    account::{Credentials, NewUser, User},
    email::Email,
    session::{NewSession, RevokedReason, TokenHash},
};

/// Accounts and sessions.
pub trait Store: Send + Sync {
    /// Adds a user and their first session.
    fn register(&self, user: NewUser, session: NewSession) -> BoxFuture<'_, Result<User, StoreError>>;

    /// The user with this address, whatever the case of its letters, unless deleted.
    fn find_credentials<'a>(&'a self, email: &'a Email) -> BoxFuture<'a, Result<Option<Credentials>, StoreError>>;

    /// The user with this id, unless deleted.
    fn find_user(&self, id: Uuid) -> BoxFuture<'_, Result<Option<User>, StoreError>>;

    /// Adds a session of a user and notes the login. Nothing when the user is gone or inactive by now.
    fn open_session(&self, user: Uuid, session: NewSession) -> BoxFuture<'_, Result<Option<User>, StoreError>>;

    /// Exchanges a refresh token for its successor. Of any number of calls with one token, at any number of
    /// instances of the service, exactly one succeeds.
    fn rotate(
        &self,
        presented: TokenHash,
        successor: TokenHash,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Rotation, StoreError>>;

    /// Ends a session. Ending it again changes nothing.
    fn revoke_session(&self, id: Uuid, reason: RevokedReason, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The sessions ended at or after a moment, with when they were.
    fn revoked_since(&self, since: Timestamp) -> BoxFuture<'_, Result<Vec<(Uuid, Timestamp)>, StoreError>>;
}

/// What became of a presented refresh token.
#[derive(Debug)]
pub enum Rotation {
    /// The successor is good now.
    Rotated {
        /// Whose it is.
        user: User,
        /// The session.
        session: Uuid,
        /// When the session ends, however often it is refreshed.
        expires_at: Timestamp,
    },
    /// It was good for nothing.
    Refused,
    /// It was spent before, so its session was ended just now.
    Reused {
        /// The session.
        session: Uuid,
    },
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another account has the address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The database cannot be reached or used now. Trying again later may help.
    #[error("the database cannot be used now: {0}")]
    Unavailable(String),
    /// Something that should not happen.
    #[error("the database answered something unexpected")]
    Unexpected(#[source] Box<dyn std::error::Error + Send + Sync>),
}
