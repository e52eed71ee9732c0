//! Puts the service together and runs it.

use std::{io, net::SocketAddr, sync::Arc};

use jiff::SignedDuration;
use portico_service_config::AuthServiceConfig;
use portico_service_kit::{
    clock::SharedClock,
    health::Health,
    metrics::Metrics,
    rng::SharedRng,
    server::{self, ServerLimits},
    stack::{self, Limits},
};
use portico_token::{Expected, KeyError, Keys, Signer, Verifier};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    VERSION,
    hashing::Hasher,
    identity::{Identity, Terms},
    metrics::Operations,
    revocations::Revocations,
    routes::{self, AppState, Published},
    signing_keys::FollowedKeys,
    storage::postgres::{Database, PostgresStore},
};

/// By how many seconds the clocks of instances may differ.
const LEEWAY_SECONDS: u32 = 5;

/// What the service takes from its surroundings.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
}

/// Why the service cannot start. Dependencies that are away are no such reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The signing keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// An address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system has no thread left.
    #[error("cannot start the threads for password hashes: {0}")]
    Threads(#[source] io::Error),
}

/// A service that runs.
#[derive(Debug)]
pub struct Running {
    /// Where the API is.
    pub api: SocketAddr,
    /// Where the metrics are.
    pub metrics: SocketAddr,
    /// How its dependencies are.
    pub health: Health,
    tasks: JoinSet<()>,
}

impl Running {
    /// Waits until it has stopped and every request is answered.
    pub async fn finished(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts the service. It listens at once, and is ready when its dependencies are.
///
/// # Errors
/// What cannot get better by waiting.
pub async fn start(
    config: &AuthServiceConfig,
    surroundings: Surroundings,
    stop: CancellationToken,
) -> Result<Running, StartError> {
    let followed = FollowedKeys::load(&config.tokens.signing_keys_path)?;
    let keys = followed.keys();
    let health = Health::default();
    let database = Arc::new(Database::new(&config.database, health.register("database")));
    let store = Arc::new(PostgresStore::new(database.clone()));
    let terms = terms(config);
    let (clock, access_life) = (surroundings.clock.clone(), terms.access_life);
    let revocations = Arc::new(Revocations::new(&config.cache, access_life, store.clone(), clock, &health));
    let operations = Operations::default();
    let metrics = Metrics::new("auth-service", VERSION, |registry| operations.register(registry));
    let hasher = Hasher::start(config.passwords.bcrypt_cost, surroundings.rng.clone()).map_err(StartError::Threads)?;
    let identity = Identity {
        store,
        revocations: revocations.clone(),
        hasher,
        signer: Signer::new(keys.clone()),
        verifier: verifier(keys.clone(), &terms),
        clock: surroundings.clock,
        rng: surroundings.rng,
        terms,
    };
    let published = Published { keys, cache_seconds: config.tokens.key_cache_seconds };
    let state = AppState { identity: Arc::new(identity), health: health.clone(), published, operations };
    let (api_listener, api) = listen(config.server.listen).await?;
    let (metrics_listener, metrics_address) = listen(config.server.metrics_listen).await?;
    let router = stack::wrap(routes::router(state), &metrics, Limits::default());
    let limits = ServerLimits::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(database.watch(stop.clone()));
    tasks.spawn(revocations.watch(stop.clone()));
    tasks.spawn(followed.follow(stop.clone()));
    tasks.spawn(server::serve(api_listener, router, limits, stop.clone()));
    tasks.spawn(server::serve(metrics_listener, metrics.router(), limits, stop));
    tracing::info!(%api, metrics = %metrics_address, version = VERSION, "listening");
    Ok(Running { api, metrics: metrics_address, health, tasks })
}

fn terms(config: &AuthServiceConfig) -> Terms {
    let seconds = |seconds: u64| SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    Terms {
        issuer: config.tokens.issuer.clone(),
        audience: config.tokens.audience.clone(),
        access_life: seconds(config.tokens.access_token_seconds),
        session_life: seconds(config.tokens.refresh_token_seconds),
    }
}

fn verifier(keys: Keys, terms: &Terms) -> Verifier {
    let (issuer, audience) = (terms.issuer.clone(), terms.audience.clone());
    Verifier::new(keys, Expected { issuer, audience, leeway_seconds: LEEWAY_SECONDS })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
