//! The election against a real API server: one leader, a fast successor, and a loser that stops first.
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use portico_operator_core::clock::SystemClock;
use portico_operator_core::lease::{Lease, LeaseConfig, LeaseGuard, LeaseLost};
use portico_operator_core::metrics::Metrics;
use portico_test_servers::kubernetes::ApiServer;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::server;

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(30);

async fn candidate(namespace: &str, identity: &str) -> (Lease, LeaseGuard) {
    let metrics = Metrics::default();
    let guard = LeaseGuard::default();
    let config = LeaseConfig {
        duration: Duration::from_secs(3),
        renew: Duration::from_secs(2),
        retry: Duration::from_millis(300),
        ..LeaseConfig::new(namespace, "operator", identity)
    };
    let client = server::client(&metrics, None).await;
    (Lease::new(client, config, Arc::new(SystemClock), metrics, guard.clone()), guard)
}

#[tokio::test]
async fn a_release_lets_the_successor_start_at_once() {
    let namespace = ApiServer::shared().await.namespace("lease-release").await.unwrap();
    let (mut first, first_guard) = candidate(&namespace, "one").await;
    let (mut second, second_guard) = candidate(&namespace, "two").await;
    timeout(SOON, first.acquire()).await.unwrap();
    assert!(first_guard.is_held());

    let takes = async {
        second.acquire().await;
        Instant::now()
    };
    let releases = async {
        // The holder goes on renewing past the duration that it promised.
        let renewed = timeout(Duration::from_secs(4), first.hold()).await;
        assert!(renewed.is_err(), "lost without a reason: {renewed:?}");
        assert!(first_guard.is_held());
        first.release().await.unwrap();
        Instant::now()
    };
    let both = Box::pin(async { tokio::join!(takes, releases) });
    let (begun, ended) = timeout(SOON, both).await.unwrap();
    assert!(second_guard.is_held() && !first_guard.is_held());
    assert!(begun >= ended.checked_sub(Duration::from_millis(500)).unwrap(), "taken while it was held");
    assert!(begun.saturating_duration_since(ended) < Duration::from_secs(2), "{:?}", begun - ended);
}

#[tokio::test]
async fn the_silent_leader_stops_writing_before_another_takes_over() {
    let namespace = ApiServer::shared().await.namespace("lease-silent").await.unwrap();
    let (mut first, first_guard) = candidate(&namespace, "one").await;
    let (mut second, second_guard) = candidate(&namespace, "two").await;
    timeout(SOON, first.acquire()).await.unwrap();
    let since = Instant::now();
    // `first.hold()` never runs: as if the process was frozen or cut off.
    timeout(SOON, second.acquire()).await.unwrap();
    assert!(!first_guard.is_held(), "both may write");
    assert!(second_guard.is_held());
    assert!(since.elapsed() >= Duration::from_secs(2), "taken after {:?}", since.elapsed());
    assert!(matches!(
        timeout(SOON, first.hold()).await.unwrap(),
        LeaseLost::NotRenewed { .. } | LeaseLost::Taken { .. }
    ));
}

#[tokio::test]
async fn a_stolen_lease_ends_the_leader() {
    let namespace = ApiServer::shared().await.namespace("lease-stolen").await.unwrap();
    let (mut first, guard) = candidate(&namespace, "one").await;
    timeout(SOON, first.acquire()).await.unwrap();
    let client = server::client(&Metrics::default(), None).await;
    let leases: Api<LeaseObject> = Api::namespaced(client, &namespace);
    let theft = Patch::Merge(json!({ "spec": { "holderIdentity": "thief" } }));
    leases.patch("operator", &PatchParams::default(), &theft).await.unwrap();
    let lost = timeout(SOON, first.hold()).await.unwrap();
    assert!(matches!(&lost, LeaseLost::Taken { holder, .. } if holder == "thief"), "{lost}");
    assert!(!guard.is_held());
}

#[tokio::test]
async fn an_edit_of_something_else_is_no_loss() {
    let namespace = ApiServer::shared().await.namespace("lease-edit").await.unwrap();
    let (mut first, guard) = candidate(&namespace, "one").await;
    timeout(SOON, first.acquire()).await.unwrap();
    let client = server::client(&Metrics::default(), None).await;
    let leases: Api<LeaseObject> = Api::namespaced(client, &namespace);
    let edit = Patch::Merge(json!({ "metadata": { "annotations": { "note": "hands off" } } }));
    leases.patch("operator", &PatchParams::default(), &edit).await.unwrap();
    assert!(timeout(Duration::from_secs(4), first.hold()).await.is_err());
    assert!(guard.is_held());
}

#[tokio::test]
async fn a_client_without_the_lease_reads_and_does_not_write() {
    let namespace = ApiServer::shared().await.namespace("lease-fence").await.unwrap();
    let (mut first, guard) = candidate(&namespace, "one").await;
    let api: Api<ConfigMap> = Api::namespaced(server::client(&Metrics::default(), Some(guard)).await, &namespace);
    let object: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "a" } })).unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
    let refused = api.create(&PostParams::default(), &object).await.unwrap_err();
    assert!(format!("{refused:?}").contains("NotLeading"), "{refused:?}");
    timeout(SOON, first.acquire()).await.unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}
