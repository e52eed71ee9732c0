//! Puts the parts together: endpoints, clients, lease, controllers; and takes them apart again in the right order.
//!
//! Nothing is watched and no controller exists before the lease is held. On a stop the controllers take no new work
//! and finish what runs, and only then the lease is given back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::Config;
use portico_operator_admin::{Engines, Handshake};
use portico_operator_controllers::{HttpProbe, Images, Platform, Reach};
use portico_operator_core::clock::{Clock, SystemClock};
use portico_operator_core::http::{self, Health};
use portico_operator_core::lease::{Lease, LeaseConfig, LeaseGuard};
use portico_operator_core::metrics::Metrics;
use portico_operator_core::rng::{Rng as _, SystemRng};
use portico_operator_core::run::RunConfig;
use portico_operator_core::{Context, client};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::Options;

/// The name of the Lease object.
const LEASE: &str = "portico-operator";
/// How long running reconciles may take after a stop. Kubernetes kills after 30 seconds.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs the operator until it is told to stop or loses its lease.
pub(crate) async fn run(options: Options) -> Result<()> {
    let stop = stop_on_signal()?;
    let identity = identity(&options)?;
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let health = Health::default();
    serve(&options, &health, &metrics, &stop).await?;

    let config = Config::infer().await.context("no access to a cluster: neither a pod's account nor a kubeconfig")?;
    let guard = LeaseGuard::default();
    let election = client::build(config.clone(), metrics.clone(), None).context("cannot make the API client")?;
    let client = client::build(config, metrics.clone(), Some(guard.clone())).context("cannot make the API client")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);

    let lease = LeaseConfig::new(&options.namespace, LEASE, &identity);
    let mut lease = Lease::new(election, lease, Arc::clone(&clock), metrics.clone(), guard);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), identity, "waiting for the lease");
    tokio::select! {
        () = lease.acquire() => {}
        () = stop.cancelled() => return Ok(()),
    }
    let cx = Context::new(client, &identity, clock, Arc::new(SystemRng), metrics);
    let controllers = start(&options, &cx, &health, &stop);
    lead(&mut lease, controllers, &stop).await?;
    lease.release().await.context("the lease could not be given back; a successor has to wait for its end")
}

/// The pod's name, which a restarted container keeps and so takes its own lease back at once; outside a pod a random
/// name.
fn identity(options: &Options) -> Result<String> {
    if let Some(name) = options.pod_name.clone().filter(|name| !name.is_empty()) {
        return Ok(name);
    }
    let mut bytes = [0_u8; 8];
    SystemRng.fill(&mut bytes)?;
    Ok(format!("portico-operator-{:016x}", u64::from_le_bytes(bytes)))
}

/// Starts all controllers.
fn start(options: &Options, cx: &Context, health: &Health, stop: &CancellationToken) -> JoinSet<&'static str> {
    let platform = Platform {
        images: Images { auth_service: options.auth_service_image.clone(), engines: options.engines.by_engine() },
        image_pull_policy: options.image_pull_policy.as_str().to_owned(),
        cluster_domain: options.cluster_domain.clone(),
        namespace: options.namespace.clone(),
    };
    let config = RunConfig { concurrency: options.concurrency, ..RunConfig::default() };
    let mut controllers = JoinSet::new();
    let clock = Arc::clone(&cx.clock);
    let engines = Engines::new(Arc::new(move || clock.now()));
    let reach = Reach {
        probe: Arc::new(HttpProbe::new()),
        administration: Arc::new(engines),
        certificates: Arc::new(Handshake),
    };
    for registration in portico_operator_controllers::registrations(platform, reach) {
        let name = registration.name();
        let running = registration.run(cx.clone(), config.clone(), health.clone(), stop.child_token());
        controllers.spawn(async move {
            running.await;
            name
        });
    }
    controllers
}

/// Leads until a stop. An error means that this process must end at once: dropping the controllers ends them.
async fn lead(lease: &mut Lease, mut controllers: JoinSet<&'static str>, stop: &CancellationToken) -> Result<()> {
    tokio::select! {
        lost = lease.hold() => return Err(lost.into()),
        ended = controllers.join_next() => match ended {
            Some(Ok(name)) if !stop.is_cancelled() => bail!("the controller {name} ended by itself; this is a bug"),
            Some(Err(error)) => return Err(error).context("a controller broke off; this is a bug"),
            _ => {}
        },
        () = stop.cancelled() => {}
    }
    tracing::info!("stopping: finishing the reconciles that run");
    let drained = async { while controllers.join_next().await.is_some() {} };
    tokio::select! {
        lost = lease.hold() => return Err(lost.into()),
        drained = tokio::time::timeout(DRAIN, drained) => {
            if drained.is_err() {
                tracing::warn!("some reconciles did not end in time and are broken off; the successor does them again");
            }
        }
    }
    Ok(())
}

/// Serves the operator's own endpoints from now on, also while it stands by.
async fn serve(options: &Options, health: &Health, metrics: &Metrics, stop: &CancellationToken) -> Result<()> {
    let endpoints = [
        (options.http_address, http::health_router(health.clone())),
        (options.metrics_address, http::metrics_router(metrics.clone())),
    ];
    for (address, router) in endpoints {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(%address, "listening");
        let stop = stop.child_token();
        tokio::spawn(async move {
            if let Err(error) = http::serve(listener, router, stop).await {
                tracing::error!(%address, %error, "an endpoint broke off");
            }
        });
    }
    Ok(())
}

/// Cancelled by SIGTERM (Kubernetes) and SIGINT (a terminal).
fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}
