//! The connection to PostgreSQL and who looks after it.
//!
//! A background task keeps one connection of its own. It is the first to learn that the database is gone or back, and
//! runs the migrations before anything else may use the database. It follows the binding: when the files change it
//! connects as they say, and only when that worked do requests get connections of that kind; so a replaced password
//! fails no request. While its check fails, requests are refused at once instead of waiting for a connection that will
//! not come.

use std::{
    ops::{Deref, DerefMut},
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use portico_service_config::DatabaseConfig;
use portico_service_kit::{binding::PostgresBinding, files::Follower, health::CheckHandle};
use secrecy::ExposeSecret as _;
use sqlx::{
    Connection as _, PgConnection, PgPool, Postgres,
    migrate::Migrator,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::fault::{self, Fault};
use crate::storage::StoreError;

/// The schema, embedded. A schema that is newer than this program is fine: migrations only add.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_ignore_missing(true);
    migrator
});

/// How long a request may wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long connecting or an answer of the watcher's connection may take, in seconds.
const ANSWER_SECONDS: u64 = 2;
/// How long all migrations may take, waiting for another instance that runs them included, in seconds.
const MIGRATION_SECONDS: u64 = 300;
/// How often the watcher asks while all is well.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it waits after the first failure, doubled after each up to [`INTERVAL`].
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// A database that may be away.
#[derive(Debug)]
pub struct Database {
    current: Mutex<Option<Current>>,
    /// As many as there may be connections at work. They are shared by the pool of today and the one of yesterday, so
    /// that the server never sees more than the configured number.
    permits: Arc<Semaphore>,
    max_connections: u32,
    binding_path: PathBuf,
    check: CheckHandle,
    wake: Notify,
}

/// The binding that is in use, and its connections.
#[derive(Debug)]
struct Current {
    binding: PostgresBinding,
    pool: PgPool,
}

/// A connection for one piece of work.
#[derive(Debug)]
pub(super) struct Lease {
    connection: PoolConnection<Postgres>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// What the background task holds.
#[derive(Default)]
struct Watcher {
    connection: Option<PgConnection>,
    migrated: bool,
    /// The files have changed, and what they say now is not in use yet.
    changed: bool,
    /// Why not; said once.
    refused: Option<Fault>,
}

impl Database {
    /// Prepares it. Nothing is connected before [`Database::watch`] runs.
    pub fn new(config: &DatabaseConfig, check: CheckHandle) -> Self {
        Self {
            current: Mutex::new(None),
            permits: Arc::new(Semaphore::new(usize::try_from(config.max_connections).unwrap_or(1))),
            max_connections: config.max_connections,
            binding_path: config.binding_path.clone(),
            check,
            wake: Notify::new(),
        }
    }

    /// A connection, while the database can be used.
    pub(super) async fn lease(&self) -> Result<Lease, StoreError> {
        if !self.check.is_ok() {
            let reason = self.check.state().and_then(|check| check.reason).unwrap_or("Unreachable");
            return Err(StoreError::Unavailable(reason.to_owned()));
        }
        let leased = timeout(ACQUIRE, self.acquire()).await;
        leased.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|error| self.failed(error))
    }

    async fn acquire(&self) -> Result<Lease, sqlx::Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        loop {
            let pool = self.with_current(|current| current.map(|current| current.pool.clone()));
            match pool.ok_or(sqlx::Error::PoolClosed)?.acquire().await {
                // It was replaced after we looked. Nothing was done yet, so nobody notices.
                Err(sqlx::Error::PoolClosed) => {}
                done => return Ok(Lease { connection: done?, _permit: permit }),
            }
        }
    }

    /// Turns an error into what the caller is told, and has the watcher look at once when the database may be gone.
    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        let told = fault::for_caller(error);
        if matches!(told, StoreError::Unavailable(_)) {
            self.wake.notify_one();
        }
        told
    }

    /// Looks after the connection until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.watch_for_ever() => {}
        }
        // Requests that are still being answered keep their connections until they are done.
    }

    async fn watch_for_ever(&self) {
        let mut watcher = Watcher::default();
        let mut files = Follower::new(&self.binding_path);
        let mut retry = FIRST_RETRY;
        loop {
            let pause = match self.look(&mut watcher).await {
                Ok(()) => {
                    self.check.ok();
                    retry = FIRST_RETRY;
                    INTERVAL
                }
                Err(fault) => {
                    watcher.connection = None;
                    self.check.fail(fault.reason, fault.detail);
                    let pause = retry;
                    retry = (retry * 2).min(INTERVAL);
                    pause
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                // A request met an error. The held connection may not notice (a changed password does not end it),
                // so a new one is made.
                () = self.wake.notified() => watcher.connection = None,
                () = files.changed() => watcher.changed = true,
            }
        }
    }

    /// One look: the held connection answers and is that of the binding, or a new one can be made and the schema is
    /// there. A changed binding that leads nowhere is no reason to give up one that does.
    async fn look(&self, watcher: &mut Watcher) -> Result<(), Fault> {
        let alive = match &mut watcher.connection {
            Some(connection) => matches!(within(ANSWER_SECONDS, connection.ping()).await, Ok(Ok(()))),
            None => false,
        };
        if alive && !watcher.changed {
            return Ok(());
        }
        // A connection may end for reasons of its own; only when there can be no new one is the database away.
        match self.follow(watcher, alive).await {
            Ok(()) => {
                (watcher.changed, watcher.refused) = (false, None);
                Ok(())
            }
            Err(fault) if alive => {
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

    /// Connects as the binding says now, and lets the requests follow.
    async fn follow(&self, watcher: &mut Watcher, alive: bool) -> Result<(), Fault> {
        let binding = PostgresBinding::read(&self.binding_path).map_err(|error| Fault::from(&error))?;
        let known = self.with_current(|current| current.is_some_and(|current| current.binding == binding));
        if alive && known {
            return Ok(());
        }
        let options = options(&binding)?;
        let connecting = PgConnection::connect_with(&options);
        let connection = within(ANSWER_SECONDS, connecting).await?.map_err(|error| Fault::from(&error))?;
        if !known || !watcher.migrated {
            let pool = self.pool(options);
            if !watcher.migrated {
                self.migrate(&pool).await?;
                watcher.migrated = true;
            }
            self.install(Current { binding, pool });
        }
        if let Some(before) = watcher.connection.replace(connection) {
            tokio::spawn(before.close());
        }
        Ok(())
    }

    fn pool(&self, options: PgConnectOptions) -> PgPool {
        PgPoolOptions::new()
            .min_connections(0)
            .max_connections(self.max_connections)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(Duration::from_mins(5))
            .connect_lazy_with(options)
    }

    /// From now on requests get connections of this binding. Those of the one before are closed as they come back.
    fn install(&self, next: Current) {
        let username = next.binding.username.clone();
        let before = self.current.lock().unwrap_or_else(PoisonError::into_inner).replace(next);
        if let Some(before) = before {
            tracing::info!(username, "new connections follow the changed binding");
            tokio::spawn(async move {
                before.pool.close().await;
                tracing::info!(username = before.binding.username, "no connection of the binding before is left");
            });
        }
    }

    fn with_current<T>(&self, look: impl FnOnce(Option<&Current>) -> T) -> T {
        look(self.current.lock().unwrap_or_else(PoisonError::into_inner).as_ref())
    }

    /// One instance runs the migrations, under an advisory lock; the others wait for it and find nothing to do.
    async fn migrate(&self, pool: &PgPool) -> Result<(), Fault> {
        self.check.fail("Migrating", "the schema is being brought up to date");
        within(MIGRATION_SECONDS, MIGRATOR.run(pool)).await?.map_err(|error| Fault::from(&error))
    }
}

async fn within<F: Future>(seconds: u64, work: F) -> Result<F::Output, Fault> {
    timeout(Duration::from_secs(seconds), work).await.map_err(|_| Fault::timeout(seconds))
}

fn options(binding: &PostgresBinding) -> Result<PgConnectOptions, Fault> {
    let default = if binding.ca_certificate.is_some() { "verify-full" } else { "prefer" };
    let mode = binding.sslmode.as_deref().unwrap_or(default);
    let mode: PgSslMode =
        mode.parse().map_err(|_| Fault::new("Misconfigured", "the key \"sslmode\" of the binding is unknown"))?;
    let options = PgConnectOptions::new_without_pgpass()
        .host(&binding.host)
        .port(binding.port)
        .username(&binding.username)
        .password(binding.password.expose_secret())
        .database(&binding.database)
        .application_name("auth-service")
        .ssl_mode(mode);
    Ok(match &binding.ca_certificate {
        Some(pem) => options.ssl_root_cert_from_pem(pem.clone().into_bytes()),
        None => options,
    })
}
