//! The store in PostgreSQL.
//!
//! Every query is checked at compile time against the data in `.sqlx`, which stands for a database with all
//! migrations. After a change of a query or a migration it is written anew by compiling against such a database:
//!
//! ```text
//! SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$PWD/runtime-services/auth-service/.sqlx \
//!     cargo run -p portico-test-servers --example with_postgres -- \
//!     runtime-services/auth-service/migrations cargo check -p auth-service
//! ```

mod accounts;
mod database;
mod fault;
mod sessions;
mod time;

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

pub use database::{Database, MIGRATOR};

use super::{Rotation, Store, StoreError};
use crate::domain::{
    account::{Credentials, NewUser, User},
    email::Email,
    session::{NewSession, RevokedReason, TokenHash},
};

/// [`Store`] on a [`Database`].
#[derive(Debug, Clone)]
pub struct PostgresStore(Arc<Database>);

impl PostgresStore {
    /// The store in this database.
    pub fn new(database: Arc<Database>) -> Self {
        Self(database)
    }
}

impl Store for PostgresStore {
    fn register(&self, user: NewUser, session: NewSession) -> BoxFuture<'_, Result<User, StoreError>> {
        Box::pin(async move {
            let done = accounts::register(&mut *self.0.lease().await?, &user, &session).await;
            done.map_err(|error| self.0.failed(error))
        })
    }

    fn find_credentials<'a>(&'a self, email: &'a Email) -> BoxFuture<'a, Result<Option<Credentials>, StoreError>> {
        Box::pin(async move {
            let found = accounts::find_credentials(&mut *self.0.lease().await?, email).await;
            found.map_err(|error| self.0.failed(error))
        })
    }

    fn find_user(&self, id: Uuid) -> BoxFuture<'_, Result<Option<User>, StoreError>> {
        Box::pin(async move {
            let found = accounts::select(&mut *self.0.lease().await?, id).await;
            found.map_err(|error| self.0.failed(error))
        })
    }

    fn open_session(&self, user: Uuid, session: NewSession) -> BoxFuture<'_, Result<Option<User>, StoreError>> {
        Box::pin(async move {
            let opened = sessions::open(&mut *self.0.lease().await?, user, &session).await;
            opened.map_err(|error| self.0.failed(error))
        })
    }

    fn rotate(
        &self,
        presented: TokenHash,
        successor: TokenHash,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Rotation, StoreError>> {
        Box::pin(async move {
            let rotation = sessions::rotate(&mut *self.0.lease().await?, presented, successor, now).await;
            rotation.map_err(|error| self.0.failed(error))
        })
    }

    fn revoke_session(&self, id: Uuid, reason: RevokedReason, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let done = sessions::end(&mut *self.0.lease().await?, id, reason, now).await;
            done.map_err(|error| self.0.failed(error))
        })
    }

    fn revoked_since(&self, since: Timestamp) -> BoxFuture<'_, Result<Vec<(Uuid, Timestamp)>, StoreError>> {
        Box::pin(async move {
            let found = sessions::revoked_since(&mut *self.0.lease().await?, since).await;
            found.map_err(|error| self.0.failed(error))
        })
    }
}
