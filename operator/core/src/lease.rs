//! Leader election by a `Lease`: at most one process writes at a time.
//!
//! Three times keep that true. A holder renews every few seconds; when it could not renew for [`LeaseConfig::renew`]
//! it stops writing ([`LeaseGuard`]) and ends; only after [`LeaseConfig::duration`] without any renewal may another
//! take over. Each writes down the time for people, but judges by its own monotonic clock and by whether the object
//! still changes, so clocks that differ do no harm. Every write carries the resource version that was read, so of two
//! that take it at once one gets a conflict.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::error::{ApiError, Target};
use crate::metrics::Metrics;

/// Names and times of a lease.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Namespace of the Lease object.
    pub namespace: String,
    /// Name of the Lease object.
    pub name: String,
    /// Who we are; the pod's name. Two processes must never share it.
    pub identity: String,
    /// Without a renewal for this long, another may take over.
    pub duration: Duration,
    /// Without a renewal for this long, the holder stops. Shorter than `duration` by what a write may take.
    pub renew: Duration,
    /// Between two tries, to take it or to renew it after a failure.
    pub retry: Duration,
}

impl LeaseConfig {
    /// The times that Kubernetes' own components use: 15, 10 and 2 seconds.
    pub fn new(namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            duration: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// Says whether the lease is held, from any thread and without asking anybody.
#[derive(Clone, Debug, Default)]
pub struct LeaseGuard(Arc<Mutex<Option<Held>>>);

#[derive(Clone, Copy, Debug)]
struct Held {
    /// No write begins after this.
    last_write: Instant,
    /// No write may still run after this.
    end: Instant,
}

impl LeaseGuard {
    /// The time until which a write that begins now must have ended; `None` when no write may begin.
    pub fn time_left(&self) -> Option<Duration> {
        let held = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let now = Instant::now();
        (now < held.last_write).then(|| held.end.saturating_duration_since(now))
    }

    /// Whether writing is allowed now.
    pub fn is_held(&self) -> bool {
        self.time_left().is_some()
    }

    /// The lease was renewed by a request that began at `since`.
    pub(crate) fn hold(&self, since: Instant, renew: Duration, duration: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Held { last_write: since + renew, end: since + duration });
    }

    fn lose(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn last_write(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|held| held.last_write)
    }
}

/// The lease is lost; the process must end.
#[derive(Debug, thiserror::Error)]
pub enum LeaseLost {
    /// Somebody else holds it.
    #[error("the lease {lease} was taken by {holder}; this process ends so that only one writes")]
    Taken {
        /// The lease.
        lease: Target,
        /// The new holder.
        holder: String,
    },
    /// It could not be renewed in time.
    #[error("the lease {lease} could not be renewed in time ({cause}); this process ends so that only one writes")]
    NotRenewed {
        /// The lease.
        lease: Target,
        /// The last error.
        cause: String,
    },
}

/// One attempt to write the lease.
enum Attempt {
    Held,
    /// Somebody else was faster, or holds it.
    Refused,
}

/// Takes part in the election.
#[derive(Debug)]
pub struct Lease {
    api: Api<LeaseObject>,
    config: LeaseConfig,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    guard: LeaseGuard,
    /// The object as we wrote it last, while we hold it.
    held: Option<LeaseObject>,
}

impl Lease {
    /// Takes part with this client, which must be one that needs no lease itself.
    pub fn new(
        client: Client,
        config: LeaseConfig,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        guard: LeaseGuard,
    ) -> Self {
        metrics.leader(&config.name, false);
        Self { api: Api::namespaced(client, &config.namespace), config, clock, metrics, guard, held: None }
    }

    fn target(&self) -> Target {
        Target::new("Lease", &self.config.namespace, &self.config.name)
    }

    /// Waits until the lease is ours. A release by its holder is seen at once, the silence of a dead one after
    /// [`LeaseConfig::duration`].
    pub async fn acquire(&mut self) {
        let by_name = watcher::Config::default().fields(&format!("metadata.name={}", self.config.name));
        let watch = watcher(self.api.clone(), by_name).default_backoff().touched_objects();
        let mut changes = watch.inspect_err(|error| tracing::warn!(%error, "watching the lease failed")).boxed();
        // What was seen last, and since when it stands still.
        let mut seen: Option<(Option<String>, Instant)> = None;
        loop {
            match self.try_acquire(&mut seen).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot take part in the election"),
            }
            let wait = seen.as_ref().map_or(self.config.retry, |(_, since)| {
                (*since + self.config.duration).saturating_duration_since(Instant::now()).max(self.config.retry)
            });
            // A change wakes us early; an error of the watch must not.
            let woken = async { while !matches!(changes.next().await, Some(Ok(_))) {} };
            let _ = tokio::time::timeout(wait, woken).await;
        }
    }

    async fn try_acquire(&mut self, seen: &mut Option<(Option<String>, Instant)>) -> Result<bool, ApiError> {
        let live = self.read().await?;
        if let Some(live) = &live {
            let version = live.metadata.resource_version.clone();
            if seen.as_ref().is_none_or(|(before, _)| *before != version) {
                *seen = Some((version, Instant::now()));
            }
            let still = seen.as_ref().map_or(Duration::ZERO, |(_, since)| since.elapsed());
            if !self.may_take(live, still) {
                return Ok(false);
            }
        }
        match self.write(live, true).await? {
            Attempt::Held => {
                tracing::info!(lease = %self.target(), identity = self.config.identity, "leading");
                self.metrics.leader(&self.config.name, true);
                Ok(true)
            }
            Attempt::Refused => Ok(false),
        }
    }

    /// Free, ours from before a restart, or silent for longer than its holder promised.
    fn may_take(&self, live: &LeaseObject, still: Duration) -> bool {
        let spec = live.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let promised = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let promised = promised.map_or(self.config.duration, Duration::from_secs);
        holder.is_empty() || holder == self.config.identity || still >= promised
    }

    /// Renews until the lease is lost. While this runs, [`LeaseGuard`] allows writing.
    pub async fn hold(&mut self) -> LeaseLost {
        let mut cause = String::from("no answer");
        // Half of the time that may pass without a renewal, so that one failure leaves room for several more tries.
        let calm = self.config.renew / 2;
        let mut pause = calm;
        loop {
            tokio::time::sleep(pause).await;
            let limit = self.guard.last_write().unwrap_or_else(Instant::now);
            let lost = match tokio::time::timeout_at(limit, self.renew()).await {
                Ok(Ok(None)) => {
                    pause = calm;
                    continue;
                }
                Ok(Ok(Some(holder))) => Some(LeaseLost::Taken { lease: self.target(), holder }),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "lease not renewed");
                    cause = error.to_string();
                    pause = self.config.retry;
                    None
                }
                Err(_) => Some(LeaseLost::NotRenewed { lease: self.target(), cause: cause.clone() }),
            };
            if let Some(lost) = lost {
                self.guard.lose();
                self.metrics.leader(&self.config.name, false);
                self.held = None;
                return lost;
            }
        }
    }

    /// Renews once. `Some` names the new holder when the lease is no longer ours.
    async fn renew(&mut self) -> Result<Option<String>, ApiError> {
        loop {
            let held = self.held.clone();
            if let Attempt::Held = self.write(held, false).await? {
                return Ok(None);
            }
            let live = self.read().await?;
            let holder = live.as_ref().and_then(|live| live.spec.as_ref()?.holder_identity.clone()).unwrap_or_default();
            if holder != self.config.identity {
                return Ok(Some(if holder.is_empty() { "nobody".to_owned() } else { holder }));
            }
            // Somebody edited something else of the object; once more from what stands there now.
            self.held = live;
        }
    }

    /// Gives the lease back, so that a successor starts at once. Call it when nothing writes any more.
    pub async fn release(mut self) -> Result<(), ApiError> {
        self.guard.lose();
        self.metrics.leader(&self.config.name, false);
        let Some(mut held) = self.held.take() else { return Ok(()) };
        if let Some(spec) = &mut held.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        match self.api.replace(&self.config.name, &PostParams::default(), &held).await {
            Ok(_) => Ok(()),
            // Taken by another already.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(ApiError::new("release", self.target(), error)),
        }
    }

    async fn read(&self) -> Result<Option<LeaseObject>, ApiError> {
        self.api.get_opt(&self.config.name).await.map_err(|error| ApiError::new("get", self.target(), error))
    }

    /// Writes the lease over `live`, as read, or makes it. `take` starts a new term.
    async fn write(&mut self, live: Option<LeaseObject>, take: bool) -> Result<Attempt, ApiError> {
        let since = Instant::now();
        let next = self.next(live.as_ref(), take);
        let params = PostParams::default();
        let answer = if live.is_some() {
            self.api.replace(&self.config.name, &params, &next).await
        } else {
            self.api.create(&params, &next).await
        };
        match answer {
            Ok(written) => {
                self.guard.hold(since, self.config.renew, self.config.duration);
                self.held = Some(written);
                Ok(Attempt::Held)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Attempt::Refused),
            Err(error) => Err(ApiError::new("renew", self.target(), error)),
        }
    }

    fn next(&self, live: Option<&LeaseObject>, take: bool) -> LeaseObject {
        let now = MicroTime(self.clock.now());
        let before = live.and_then(|live| live.spec.clone()).unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or_default();
        let seconds = i32::try_from(self.config.duration.as_secs()).unwrap_or(i32::MAX);
        LeaseObject {
            metadata: live.map_or_else(
                || ObjectMeta { name: Some(self.config.name.clone()), ..ObjectMeta::default() },
                |live| ObjectMeta { managed_fields: None, ..live.metadata.clone() },
            ),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.config.identity.clone()),
                lease_duration_seconds: Some(seconds),
                acquire_time: if take { Some(now.clone()) } else { before.acquire_time },
                renew_time: Some(now),
                lease_transitions: Some(if take && live.is_some() { transitions + 1 } else { transitions }),
                ..LeaseSpec::default()
            }),
        }
    }
}
