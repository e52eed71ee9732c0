//! Looks after the connection to the cache: makes it, fills the cache, notices when it is gone or empty, follows the
//! binding.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use portico_service_kit::{binding::RedisBinding, files::Follower};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Link, Revocations, connection, connection::Fault, milliseconds};

/// How often it asks while all is well.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it waits after the first failure, doubled after each up to [`INTERVAL`].
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// What the background task remembers.
#[derive(Default)]
struct Watcher {
    /// The files have changed, and what they say now is not in use yet.
    changed: bool,
    /// Why not; said once.
    refused: Option<Fault>,
}

impl Revocations {
    /// Looks after the connection until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.watch_for_ever() => {}
        }
    }

    async fn watch_for_ever(&self) {
        let mut watcher = Watcher::default();
        let mut files = Follower::new(&self.binding_path);
        let mut retry = FIRST_RETRY;
        let mut health = self.health.subscribe();
        loop {
            let pause = match self.look(&mut watcher).await {
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
                () = files.changed() => watcher.changed = true,
                // The database may be back, from which the cache is filled.
                _ = health.changed() => {}
            }
        }
    }

    /// One look: the cache answers, remembers and is that of the binding, or a new connection can be made and the cache
    /// filled. A changed binding that leads nowhere is no reason to give up one that does.
    async fn look(&self, watcher: &mut Watcher) -> Result<(), Fault> {
        let alive = self.answering().await;
        if alive.is_some() && !watcher.changed {
            return Ok(());
        }
        if alive.is_none() {
            // Nothing may be believed of this connection until the cache is filled again.
            self.replace(None);
        }
        match self.follow(alive.as_deref()).await {
            Ok(()) => {
                *watcher = Watcher::default();
                Ok(())
            }
            Err(fault) if alive.is_some() => {
                if watcher.refused.as_ref() != Some(&fault) {
                    let Fault { reason, detail } = &fault;
                    tracing::warn!(reason, detail, "the changed binding cannot be used; the one before still can");
                }
                watcher.refused = Some(fault);
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    /// The binding of the connection, if that answers from a cache that remembers.
    async fn answering(&self) -> Option<Arc<RedisBinding>> {
        let mut link = self.current().ok()?;
        let asked: Result<Option<String>, _> =
            redis::cmd("GET").arg(link.marker()).query_async(&mut link.connection).await;
        matches!(asked, Ok(Some(_))).then_some(link.binding)
    }

    /// Connects as the binding says now, fills the cache, and only then lets the requests follow.
    async fn follow(&self, before: Option<&RedisBinding>) -> Result<(), Fault> {
        let binding = connection::binding(&self.binding_path)?;
        if before == Some(&binding) {
            return Ok(());
        }
        // What is written through the connection before is there as well.
        let same_data = before.is_some_and(|before| before.same_data(&binding));
        let connection = connection::connect(&binding).await?;
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        let mut link = Link { connection, binding: Arc::new(binding), number };
        loop {
            let begun = self.begun.load(Ordering::SeqCst);
            self.fill(&mut link).await?;
            self.replace(Some(link.clone()));
            if same_data || self.begun.load(Ordering::SeqCst) == begun {
                break;
            }
            // A session ended after the database was read and before it could be written to this cache.
            self.replace(None);
        }
        if before.is_some() {
            tracing::info!(username = link.binding.username, "the cache is used as the changed binding says");
        }
        Ok(())
    }

    /// Writes every revocation that still matters, and the marker last.
    async fn fill(&self, link: &mut Link) -> Result<(), Fault> {
        let now = self.clock.now();
        let since = now.checked_sub(self.remembered()).unwrap_or(now);
        let revoked = self.store.revoked_since(since).await.map_err(|error| Fault {
            reason: "WaitingForDatabase",
            detail: format!("revocations are read from the database first, but {error}"),
        })?;
        let mut commands = redis::pipe();
        for (session, at) in revoked {
            let life = milliseconds(self.left(at, now));
            commands.cmd("SET").arg(link.key(session)).arg("1").arg("PX").arg(life).ignore();
        }
        commands.cmd("SET").arg(link.marker()).arg("1").ignore();
        Ok(commands.query_async(&mut link.connection).await?)
    }
}
