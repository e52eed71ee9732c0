//! Looks after the connection to the cache: makes it, fills the cache, notices when it is gone or empty.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use redis::aio::MultiplexedConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{MARKER, Revocations, connection, connection::Fault, key, milliseconds};

/// How often it asks while all is well.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it waits after the first failure, doubled after each up to [`INTERVAL`].
const FIRST_RETRY: Duration = Duration::from_millis(100);

impl Revocations {
    /// Looks after the connection until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.watch_for_ever() => {}
        }
    }

    async fn watch_for_ever(&self) {
        let mut retry = FIRST_RETRY;
        let mut health = self.health.subscribe();
        loop {
            let pause = match self.look().await {
                Ok(()) => {
                    self.check.ok();
                    retry = FIRST_RETRY;
                    INTERVAL
                }
                Err(fault) => {
                    self.replace(None);
                    self.check.fail(fault.reason, fault.detail);
                    let pause = retry;
                    retry = (retry * 2).min(INTERVAL);
                    pause
                }
            };
            // Its own change is no news.
            health.mark_unchanged();
            tokio::select! {
                () = sleep(pause) => {}
                () = self.wake.notified() => {}
                // The database may be back, from which the cache is filled.
                _ = health.changed() => {}
            }
        }
    }

    /// One look: the cache answers and remembers, or a new connection can be made and the cache filled.
    async fn look(&self) -> Result<(), Fault> {
        if let Ok(mut connection) = self.current() {
            let asked: Result<Option<String>, _> = redis::cmd("GET").arg(MARKER).query_async(&mut connection).await;
            if matches!(asked, Ok(Some(_))) {
                return Ok(());
            }
            // Nothing may be believed of this connection until the cache is filled again.
            self.replace(None);
        }
        let mut connection = connection::connect(&self.binding_path).await?;
        loop {
            let missed = self.missed.load(Ordering::SeqCst);
            self.fill(&mut connection).await?;
            self.replace(Some(connection.clone()));
            if self.missed.load(Ordering::SeqCst) == missed {
                return Ok(());
            }
            // A session ended after the database was read and before there was a connection to write it to.
            self.replace(None);
        }
    }

    /// Writes every revocation that still matters, and the marker last.
    async fn fill(&self, connection: &mut MultiplexedConnection) -> Result<(), Fault> {
        let now = self.clock.now();
        let since = now.checked_sub(self.remembered()).unwrap_or(now);
        let revoked = self.store.revoked_since(since).await.map_err(|error| Fault {
            reason: "WaitingForDatabase",
            detail: format!("revocations are read from the database first, but {error}"),
        })?;
        let mut commands = redis::pipe();
        for (session, at) in revoked {
            commands.cmd("SET").arg(key(session)).arg("1").arg("PX").arg(milliseconds(self.left(at, now))).ignore();
        }
        commands.cmd("SET").arg(MARKER).arg("1").ignore();
        Ok(commands.query_async(connection).await?)
    }
}
