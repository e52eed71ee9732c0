//! The operator's own metrics. Names follow controller-runtime where it has one, so that its dashboards and alerts
//! work. Labels come from closed sets only: controllers, kinds, verbs, codes; never names of objects or texts of errors.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::Store;
use portico_crds::common::PorticoResource;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::census::Census;

/// Upper bounds of the reconcile time buckets, in seconds.
const SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

type Timed<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: String,
    method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabels {
    controller: &'static str,
    kind: String,
}

/// How a reconcile ended, as controller-runtime names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileResult {
    /// Done until something changes.
    Success,
    /// Done, and looks again after a time.
    RequeueAfter,
    /// Failed.
    Error,
}

impl ReconcileResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::RequeueAfter => "requeue_after",
            Self::Error => "error",
        }
    }
}

#[derive(Debug)]
struct Families {
    registry: Mutex<Registry>,
    census: Census,
    reconciles: Family<ReconcileLabels, Counter>,
    errors: Family<ControllerLabels, Counter>,
    seconds: Timed<ControllerLabels>,
    active: Family<ControllerLabels, Gauge>,
    concurrency: Family<ControllerLabels, Gauge>,
    failing: Family<ControllerLabels, Gauge>,
    requests: Family<RequestLabels, Counter>,
    leader: Family<LeaseLabels, Gauge>,
    watch_errors: Family<WatchLabels, Counter>,
    watch_events: Family<WatchLabels, Counter>,
    watch_last: Family<WatchLabels, Gauge>,
}

/// The metrics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new("unknown")
    }
}

impl Metrics {
    /// All metrics at zero; `version` goes into `portico_build_info`.
    pub fn new(version: &str) -> Self {
        let families = Families {
            registry: Mutex::default(),
            census: Census::default(),
            reconciles: Family::default(),
            errors: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            active: Family::default(),
            concurrency: Family::default(),
            failing: Family::default(),
            requests: Family::default(),
            leader: Family::default(),
            watch_errors: Family::default(),
            watch_events: Family::default(),
            watch_last: Family::default(),
        };
        let mut registry = Registry::default();
        families.register(&mut registry, version);
        *families.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        Self(Arc::new(families))
    }

    /// Everything in the text format of `OpenMetrics`.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.0.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(out)
    }

    /// Counts the resources of a kind from now on.
    pub(crate) fn count<K: PorticoResource>(&self, store: Store<K>) {
        self.0.census.add(store);
    }

    pub(crate) fn controller_started(&self, controller: &'static str, concurrency: u16) {
        let labels = ControllerLabels { controller };
        self.0.concurrency.get_or_create(&labels).set(i64::from(concurrency));
        // Known from the start, so that a rate over them begins at zero.
        drop(self.0.errors.get_or_create_owned(&labels));
        drop(self.0.active.get_or_create_owned(&labels));
    }

    /// Counts a reconcile as running until the guard is dropped.
    pub(crate) fn reconcile_started(&self, controller: &'static str) -> ActiveGuard {
        let gauge = self.0.active.get_or_create_owned(&ControllerLabels { controller });
        gauge.inc();
        ActiveGuard(gauge)
    }

    pub(crate) fn reconciled(&self, controller: &'static str, result: ReconcileResult, took: Duration, failing: usize) {
        let labels = ControllerLabels { controller };
        self.0.reconciles.get_or_create(&ReconcileLabels { controller, result: result.as_str() }).inc();
        if result == ReconcileResult::Error {
            self.0.errors.get_or_create(&labels).inc();
        }
        self.0.seconds.get_or_create(&labels).observe(took.as_secs_f64());
        self.0.failing.get_or_create(&labels).set(i64::try_from(failing).unwrap_or(i64::MAX));
    }

    pub(crate) fn request(&self, method: &str, code: Option<u16>) {
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        self.0.requests.get_or_create(&RequestLabels { code, method: method.to_owned() }).inc();
    }

    pub(crate) fn leader(&self, lease: &str, leads: bool) {
        self.0.leader.get_or_create(&LeaseLabels { name: lease.to_owned() }).set(i64::from(leads));
    }

    pub(crate) fn watch_error(&self, controller: &'static str, kind: &str) {
        self.0.watch_errors.get_or_create(&WatchLabels { controller, kind: kind.to_owned() }).inc();
    }

    pub(crate) fn watch_event(&self, controller: &'static str, kind: &str, now: jiff::Timestamp) {
        let labels = WatchLabels { controller, kind: kind.to_owned() };
        self.0.watch_events.get_or_create(&labels).inc();
        self.0.watch_last.get_or_create(&labels).set(now.as_second());
    }
}

impl Families {
    fn register(&self, registry: &mut Registry, version: &str) {
        let build = Info::new([("version".to_owned(), version.to_owned())]);
        registry.register("portico_build", "The version of this operator", build);
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles by controller and result",
            self.reconciles.clone(),
        );
        registry.register("controller_runtime_reconcile_errors", "Failed reconciles", self.errors.clone());
        registry.register("controller_runtime_reconcile_time_seconds", "Time of a reconcile", self.seconds.clone());
        registry.register("controller_runtime_active_workers", "Reconciles that run now", self.active.clone());
        registry.register(
            "controller_runtime_max_concurrent_reconciles",
            "Reconciles that may run at once",
            self.concurrency.clone(),
        );
        registry.register("portico_failing_objects", "Objects whose last reconcile failed", self.failing.clone());
        registry.register("rest_client_requests", "Requests to the API server", self.requests.clone());
        registry.register("leader_election_master_status", "1 while this process leads", self.leader.clone());
        registry.register("portico_watch_errors", "Errors of watches", self.watch_errors.clone());
        registry.register("portico_watch_events", "Events of watches", self.watch_events.clone());
        registry.register(
            "portico_watch_last_event_timestamp_seconds",
            "Unix time of the last event of a watch",
            self.watch_last.clone(),
        );
        registry.register_collector(Box::new(self.census.clone()));
    }
}

/// Counts one reconcile as running.
pub(crate) struct ActiveGuard(Gauge);

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_controller_runtime() {
        let metrics = Metrics::new("1.2.3");
        metrics.controller_started("auth-service", 4);
        let guard = metrics.reconcile_started("auth-service");
        metrics.reconciled("auth-service", ReconcileResult::Error, Duration::from_millis(20), 1);
        metrics.request("PATCH", Some(200));
        metrics.request("GET", None);
        metrics.leader("portico-operator", true);
        let text = metrics.encode().unwrap();
        for line in [
            r#"portico_build_info{version="1.2.3"} 1"#,
            r#"controller_runtime_reconcile_total{controller="auth-service",result="error"} 1"#,
            r#"controller_runtime_reconcile_errors_total{controller="auth-service"} 1"#,
            r#"controller_runtime_reconcile_time_seconds_bucket{le="0.025",controller="auth-service"} 1"#,
            r#"controller_runtime_active_workers{controller="auth-service"} 1"#,
            r#"controller_runtime_max_concurrent_reconciles{controller="auth-service"} 4"#,
            r#"rest_client_requests_total{code="200",method="PATCH"} 1"#,
            r#"rest_client_requests_total{code="<error>",method="GET"} 1"#,
            r#"leader_election_master_status{name="portico-operator"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
        }
        drop(guard);
        assert!(metrics.encode().unwrap().contains(r#"active_workers{controller="auth-service"} 0"#));
    }
}
