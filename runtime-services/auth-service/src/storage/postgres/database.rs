//! The connection to PostgreSQL and who looks after it.
//!
//! A background task keeps one connection of its own. It is the first to learn that the database is gone or back,
//! runs the migrations before anything else may use the pool, and reads the binding again whenever connecting fails.
//! While its check fails, requests are refused at once instead of waiting for a connection that will not come.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use portico_service_config::DatabaseConfig;
use portico_service_kit::{binding::PostgresBinding, health::CheckHandle};
use secrecy::ExposeSecret as _;
use sqlx::{
    Connection as _, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use tokio::{
    sync::Notify,
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
    pool: PgPool,
    binding_path: PathBuf,
    binding: Mutex<Option<PostgresBinding>>,
    check: CheckHandle,
    wake: Notify,
}

impl Database {
    /// Prepares the pool. Nothing is connected before [`Database::watch`] runs.
    pub fn new(config: &DatabaseConfig, check: CheckHandle) -> Self {
        let pool = PgPoolOptions::new()
            .min_connections(0)
            .max_connections(config.max_connections)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(Duration::from_mins(5))
            .connect_lazy_with(PgConnectOptions::new_without_pgpass());
        Self { pool, binding_path: config.binding_path.clone(), binding: Mutex::new(None), check, wake: Notify::new() }
    }

    /// The pool, while the database can be used.
    pub(super) fn pool(&self) -> Result<&PgPool, StoreError> {
        if self.check.is_ok() {
            return Ok(&self.pool);
        }
        let reason = self.check.state().and_then(|check| check.reason).unwrap_or("Unreachable");
        Err(StoreError::Unavailable(reason.to_owned()))
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
        let mut held = None;
        let mut retry = FIRST_RETRY;
        let mut migrated = false;
        loop {
            let pause = match self.look(&mut held, &mut migrated).await {
                Ok(()) => {
                    self.check.ok();
                    retry = FIRST_RETRY;
                    INTERVAL
                }
                Err(fault) => {
                    held = None;
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
                () = self.wake.notified() => held = None,
            }
        }
    }

    /// One look: the held connection answers, or a new one can be made and the schema is there.
    async fn look(&self, held: &mut Option<PgConnection>, migrated: &mut bool) -> Result<(), Fault> {
        if let Some(connection) = held
            && matches!(within(ANSWER_SECONDS, connection.ping()).await, Ok(Ok(())))
        {
            return Ok(());
        }
        // A connection may end for reasons of its own; only when there can be no new one is the database away.
        *held = None;
        let options = self.read_options()?;
        let connecting = PgConnection::connect_with(&options);
        let connection = within(ANSWER_SECONDS, connecting).await?.map_err(|error| Fault::from(&error))?;
        if !*migrated {
            self.migrate().await?;
            *migrated = true;
        }
        *held = Some(connection);
        Ok(())
    }

    /// The options of the binding as it is now; the pool gets them too when they changed.
    fn read_options(&self) -> Result<PgConnectOptions, Fault> {
        let binding = PostgresBinding::read(&self.binding_path).map_err(|error| Fault::from(&error))?;
        let options = options(&binding)?;
        let mut known = self.binding.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(&binding) {
            self.pool.set_connect_options(options.clone());
            *known = Some(binding);
        }
        Ok(options)
    }

    /// One instance runs the migrations, under an advisory lock; the others wait for it and find nothing to do.
    async fn migrate(&self) -> Result<(), Fault> {
        self.check.fail("Migrating", "the schema is being brought up to date");
        within(MIGRATION_SECONDS, MIGRATOR.run(&self.pool)).await?.map_err(|error| Fault::from(&error))
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
