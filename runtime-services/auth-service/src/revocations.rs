//! Revocations in Valkey: which sessions ended before their access tokens did.
//!
//! The database is the truth; the cache is what every request can afford to ask. So whenever a connection to the
//! cache is made, or the cache turns out to have lost its memory, the sessions that ended within the life of an access
//! token are written again before anything is believed of it. Until then, and while it cannot be reached, the answer
//! to "is this revoked?" is an error and never "no".

mod connection;
mod watch;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use portico_service_config::CacheConfig;
use portico_service_kit::{
    clock::SharedClock,
    health::{CheckHandle, Health},
};
use redis::{RedisError, aio::MultiplexedConnection};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::storage::Store;

/// A key that is there as long as the cache remembers what it was told.
const MARKER: &str = "portico:auth:filled";

/// Longer than access tokens live, so that clocks may differ a little.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// The revocations, which may be out of reach.
pub struct Revocations {
    connection: Mutex<Option<MultiplexedConnection>>,
    binding_path: PathBuf,
    access_life: SignedDuration,
    store: Arc<dyn Store>,
    clock: SharedClock,
    check: CheckHandle,
    health: Health,
    wake: Notify,
    /// How many revocations could not be written. One that fails while the cache is being filled may be missing there.
    missed: AtomicU64,
}

/// The cache cannot be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cache cannot be used now")]
pub struct CacheUnavailable;

impl Revocations {
    /// Prepares them. Nothing is connected before [`Revocations::watch`] runs.
    pub fn new(
        config: &CacheConfig,
        access_life: SignedDuration,
        store: Arc<dyn Store>,
        clock: SharedClock,
        health: &Health,
    ) -> Self {
        Self {
            connection: Mutex::new(None),
            binding_path: config.binding_path.clone(),
            access_life,
            store,
            clock,
            check: health.register("cache"),
            health: health.clone(),
            wake: Notify::new(),
            missed: AtomicU64::new(0),
        }
    }

    /// Whether a session was ended.
    ///
    /// # Errors
    /// When that cannot be known now.
    pub async fn is_revoked(&self, session: Uuid) -> Result<bool, CacheUnavailable> {
        let mut connection = self.current()?;
        let keys = [MARKER.to_owned(), key(session)];
        let asked = redis::cmd("MGET").arg(&keys).query_async(&mut connection).await;
        match asked {
            Ok((Some(_), revoked)) => Ok(Option::<String>::is_some(&revoked)),
            Ok((None::<String>, _)) => {
                tracing::warn!("the cache has lost its memory; it is filled again");
                Err(self.lost())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Notes that a session was ended, for as long as its access tokens could still be good. The database must know
    /// already: what cannot be written here now is taken from there later.
    ///
    /// # Errors
    /// When it cannot be written now. Until it is, no token is believed.
    pub async fn revoke(&self, session: Uuid) -> Result<(), CacheUnavailable> {
        let written = self.write(session).await;
        if written.is_err() {
            self.missed.fetch_add(1, Ordering::SeqCst);
        }
        written
    }

    async fn write(&self, session: Uuid) -> Result<(), CacheUnavailable> {
        let mut connection = self.current()?;
        let mut command = redis::cmd("SET");
        command.arg(key(session)).arg("1").arg("PX").arg(milliseconds(self.remembered()));
        command.query_async(&mut connection).await.map_err(|error| self.failed(&error))
    }

    fn current(&self) -> Result<MultiplexedConnection, CacheUnavailable> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        connection.ok_or(CacheUnavailable)
    }

    fn failed(&self, error: &RedisError) -> CacheUnavailable {
        tracing::warn!(code = error.code(), kind = ?error.kind(), "the cache did not answer");
        self.lost()
    }

    /// Nothing is believed until the watcher has connected and filled the cache again.
    fn lost(&self) -> CacheUnavailable {
        self.replace(None);
        self.wake.notify_one();
        CacheUnavailable
    }

    fn replace(&self, connection: Option<MultiplexedConnection>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// How long a revocation has to be remembered.
    fn remembered(&self) -> SignedDuration {
        self.access_life.saturating_add(MARGIN)
    }

    /// What is left of the time that a revocation of this moment has to be remembered.
    fn left(&self, revoked_at: Timestamp, now: Timestamp) -> SignedDuration {
        self.remembered().saturating_sub(now.duration_since(revoked_at))
    }
}

fn key(session: Uuid) -> String {
    format!("portico:auth:revoked:session:{session}")
}

/// At least one: zero is no time to live that the server takes.
fn milliseconds(life: SignedDuration) -> u64 {
    Duration::try_from(life).ok().and_then(|life| u64::try_from(life.as_millis()).ok()).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_never_zero_or_less() {
        assert_eq!(milliseconds(SignedDuration::from_secs(2)), 2_000);
        assert_eq!(milliseconds(SignedDuration::ZERO), 1);
        assert_eq!(milliseconds(SignedDuration::from_secs(-5)), 1);
    }
}
