//! The API server fixture does what its users rely on.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams, PostParams};
use portico_test_servers::kubernetes::ApiServer;
use serde_json::json;

#[tokio::test]
async fn starts_and_stores_objects() {
    let server = ApiServer::shared().await;
    let namespace = server.namespace("store").await.unwrap();
    let api = Api::<ConfigMap>::namespaced(server.client().await.unwrap(), &namespace);
    let mut map = ConfigMap::default();
    map.metadata.name = Some("a".to_owned());
    api.create(&PostParams::default(), &map).await.unwrap();
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_second_server_is_independent_and_quick() {
    let first = ApiServer::shared().await;
    let begun = Instant::now();
    let second = ApiServer::start().await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "took {took:?}");
    assert_ne!(first.kubeconfig(), second.kubeconfig());
    let folder = second.folder().to_owned();
    drop(second);
    assert!(!folder.exists());
}

#[tokio::test]
async fn rbac_is_enforced() {
    let server = ApiServer::shared().await;
    let namespace = server.namespace("rbac").await.unwrap();
    let stranger = server.client_as("system:serviceaccount:somewhere:stranger", &[]).await.unwrap();
    let error = Api::<ConfigMap>::namespaced(stranger, &namespace).list(&ListParams::default()).await.unwrap_err();
    assert!(error.to_string().contains("stranger"), "{error}");
    let member = server.client_as("somebody", &["system:masters"]).await.unwrap();
    Api::<ConfigMap>::namespaced(member, &namespace).list(&ListParams::default()).await.unwrap();
}

#[tokio::test]
async fn restricted_pod_security_is_enforced() {
    let server = ApiServer::shared().await;
    let namespace = server.namespace("security").await.unwrap();
    let api = Api::<Pod>::namespaced(server.client().await.unwrap(), &namespace);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "a", "image": "a", "securityContext": {"runAsUser": 0}}]},
    }))
    .unwrap();
    let error = api.create(&PostParams::default(), &pod).await.unwrap_err().to_string();
    assert!(error.contains("violates PodSecurity"), "{error}");
}

#[tokio::test]
async fn the_audit_log_shows_who_wrote_what() {
    let server = ApiServer::shared().await;
    let namespace = server.namespace("audited").await.unwrap();
    let log = std::fs::read_to_string(server.audit_log()).unwrap();
    let line = log.lines().find(|line| line.contains(&namespace)).unwrap();
    assert!(line.contains("\"verb\":\"create\"") && line.contains("portico-test-admin"), "{line}");
}
