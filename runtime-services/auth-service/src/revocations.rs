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
    binding::RedisBinding,
    clock::SharedClock,
    health::{CheckHandle, Health},
};
use redis::{RedisError, aio::MultiplexedConnection};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::storage::Store;

/// A key that is there as long as the cache remembers what it was told.
const MARKER: &str = "portico:auth:filled";
/// The keys of revoked sessions begin so, after the prefix of the binding.
const REVOKED: &str = "portico:auth:revoked:session:";

/// Longer than access tokens live, so that clocks may differ a little.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// The revocations, which may be out of reach.
pub struct Revocations {
    link: Mutex<Option<Link>>,
    binding_path: PathBuf,
    access_life: SignedDuration,
    store: Arc<dyn Store>,
    clock: SharedClock,
    check: CheckHandle,
    health: Health,
    wake: Notify,
    /// How many revocations have begun to be written. One of them may miss a cache that is being filled just then.
    begun: AtomicU64,
    /// How many links there have been.
    made: AtomicU64,
}

/// A connection to a cache that is believed.
#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    binding: Arc<RedisBinding>,
    /// Tells it from those before and after.
    number: u64,
}

impl Link {
    fn key(&self, session: Uuid) -> String {
        revoked_key(&self.binding.prefix, session)
    }

    fn marker(&self) -> String {
        marker_key(&self.binding.prefix)
    }
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
            link: Mutex::new(None),
            binding_path: config.binding_path.clone(),
            access_life,
            store,
            clock,
            check: health.register("cache"),
            health: health.clone(),
            wake: Notify::new(),
            begun: AtomicU64::new(0),
            made: AtomicU64::new(0),
        }
    }

    /// Whether a session was ended.
    ///
    /// # Errors
    /// When that cannot be known now.
    pub async fn is_revoked(&self, session: Uuid) -> Result<bool, CacheUnavailable> {
        let mut link = self.current()?;
        let keys = [link.marker(), link.key(session)];
        let asked = redis::cmd("MGET").arg(&keys).query_async(&mut link.connection).await;
        match asked {
            Ok((Some(_), revoked)) => Ok(Option::<String>::is_some(&revoked)),
            Ok((None::<String>, _)) => {
                tracing::warn!("the cache has lost its memory; it is filled again");
                Err(self.lost(&link))
            }
            Err(error) => Err(self.failed(&link, &error)),
        }
    }

    /// Notes that a session was ended, for as long as its access tokens could still be good. The database must know
    /// already: what cannot be written here now is taken from there later.
    ///
    /// # Errors
    /// When it cannot be written now. Until it is, no token is believed.
    pub async fn revoke(&self, session: Uuid) -> Result<(), CacheUnavailable> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut link = self.current()?;
        let mut command = redis::cmd("SET");
        command.arg(link.key(session)).arg("1").arg("PX").arg(milliseconds(self.remembered()));
        let written = command.query_async(&mut link.connection).await;
        written.map_err(|error| self.failed(&link, &error))
    }

    fn current(&self) -> Result<Link, CacheUnavailable> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(CacheUnavailable)
    }

    fn failed(&self, link: &Link, error: &RedisError) -> CacheUnavailable {
        tracing::warn!(code = error.code(), kind = ?error.kind(), "the cache did not answer");
        self.lost(link)
    }

    /// Nothing is believed until the watcher has connected and filled the cache again; unless it has done so already.
    fn lost(&self, link: &Link) -> CacheUnavailable {
        let mut current = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.number == link.number) {
            *current = None;
        }
        self.wake.notify_one();
        CacheUnavailable
    }

    fn replace(&self, link: Option<Link>) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
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

fn marker_key(prefix: &str) -> String {
    format!("{prefix}{MARKER}")
}

fn revoked_key(prefix: &str, session: Uuid) -> String {
    format!("{prefix}{REVOKED}{session}")
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

    #[test]
    fn every_key_is_under_the_prefix() {
        for key in [marker_key("shop:"), revoked_key("shop:", Uuid::nil())] {
            assert!(key.starts_with("shop:portico:auth:"), "{key}");
        }
    }
}
