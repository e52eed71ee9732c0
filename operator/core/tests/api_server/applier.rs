//! The applier against a real API server: no write without a difference, orphans, conflicts, fields that never change.
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, PostParams};
use kube::{Api, Client, Resource};
use portico_operator_core::metrics::Metrics;
use portico_operator_core::{Applier, ApplyError, Desired, ReconcileError as _, Retry};
use portico_test_servers::kubernetes::ApiServer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::server::{self, writes};

struct Bed {
    client: Client,
    metrics: Metrics,
    namespace: String,
    owner: ConfigMap,
    applier: Applier,
}

impl Bed {
    async fn new(name: &str) -> Self {
        let namespace = ApiServer::shared().await.namespace(name).await.unwrap();
        let metrics = Metrics::default();
        let client = server::client(&metrics, None).await;
        let owner = serde_json::from_value(json!({ "metadata": { "name": "a" } })).unwrap();
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        let owner = api.create(&PostParams::default(), &owner).await.unwrap();
        let kinds = [
            ApiResource::erase::<ConfigMap>(&()),
            ApiResource::erase::<Deployment>(&()),
            ApiResource::erase::<HorizontalPodAutoscaler>(&()),
        ];
        Self { applier: Applier::new(client.clone()).with_kinds(kinds), client, metrics, namespace, owner }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn exists<K>(&self, name: &str) -> bool
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        self.api::<K>().get_opt(name).await.unwrap().is_some()
    }
}

/// A desired object from JSON, with the labels that every object has.
fn object<K>(name: &str, mut value: Value) -> K
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize,
{
    value["metadata"] = json!({ "name": name, "labels": {
        "app.kubernetes.io/managed-by": "portico", "app.kubernetes.io/instance": "a", "portico.dev/kind": "Test" } });
    serde_json::from_value(value).unwrap()
}

fn pod() -> Value {
    json!({
        "metadata": { "labels": { "app": "a" } },
        "spec": {
            "automountServiceAccountToken": false, "enableServiceLinks": false, "hostNetwork": false,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "a", "image": "example.test/a:1", "args": [],
                "env": [{ "name": "EMPTY", "value": "" }, { "name": "NODE",
                    "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
                "ports": [{ "name": "http", "containerPort": 8080 }],
                "resources": { "requests": { "cpu": "1000m", "memory": "1024Mi" }, "limits": { "memory": "2048Mi" } },
                "readinessProbe": { "httpGet": { "path": "/readyz", "port": "http" }, "periodSeconds": 5 },
                "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] } },
                "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }, { "name": "keys", "mountPath": "/keys" }],
            }],
            "volumes": [{ "name": "tmp", "emptyDir": { "sizeLimit": "16Mi" } },
                { "name": "keys", "secret": { "secretName": "a-keys", "defaultMode": 288 } }],
            "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": { "matchLabels": { "app": "a" } } }],
        },
    })
}

fn deployment(replicas: Option<i32>) -> Deployment {
    let mut deployment: Deployment = object(
        "a",
        json!({ "spec": {
        "selector": { "matchLabels": { "app": "a" } }, "template": pod(), "revisionHistoryLimit": 3 } }),
    );
    deployment.spec.as_mut().unwrap().replicas = replicas;
    deployment
}

fn stateful_set(service: &str) -> StatefulSet {
    object(
        "a",
        json!({ "spec": {
        "serviceName": service, "replicas": 1,
        "selector": { "matchLabels": { "app": "a" } }, "template": pod(),
        "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
        "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1024Mi" } } } }],
    } }),
    )
}

fn secret() -> Secret {
    object("a-keys", json!({ "stringData": { "password": "one" }, "type": "Opaque" }))
}

/// One object of each kind that the controllers make, with values that the API server writes differently.
fn everything(secret_exists: bool) -> Desired {
    let mut desired = Desired::new();
    desired.push(object::<ServiceAccount>("a", json!({ "automountServiceAccountToken": false })));
    desired.push(object::<ConfigMap>("a-config", json!({ "data": { "config.yaml": "", "more": "x" } })));
    desired.push_generated(secret(), secret_exists, false);
    desired.push(deployment(None));
    desired.push(stateful_set("a"));
    desired.push(object::<Service>(
        "a",
        json!({ "spec": { "selector": { "app": "a" },
        "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] } }),
    ));
    desired.push(object::<HorizontalPodAutoscaler>(
        "a",
        json!({ "spec": {
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "a" },
        "minReplicas": 2, "maxReplicas": 4, "metrics": [{ "type": "Resource", "resource": { "name": "cpu",
            "target": { "type": "Utilization", "averageUtilization": 80 } } }] } }),
    ));
    desired.push(object::<PodDisruptionBudget>(
        "a",
        json!({ "spec": { "maxUnavailable": 1,
        "selector": { "matchLabels": { "app": "a" } } } }),
    ));
    desired.push(object::<NetworkPolicy>(
        "a",
        json!({ "spec": { "podSelector": { "matchLabels": { "app": "a" } },
        "policyTypes": ["Ingress", "Egress"], "egress": [],
        "ingress": [{ "from": [{ "podSelector": {} }], "ports": [{ "port": "http" }] }] } }),
    ));
    desired
}

#[tokio::test]
async fn a_second_apply_of_every_kind_writes_nothing() {
    let bed = Bed::new("apply-twice").await;
    bed.applier.apply(&bed.owner, everything(false)).await.unwrap();
    let before = writes(&bed.metrics);
    let applied = bed.applier.apply(&bed.owner, everything(true)).await.unwrap();
    assert_eq!(writes(&bed.metrics), before, "the API server's defaults were taken for a difference");
    assert_eq!(applied.get::<Deployment>("a").unwrap().spec.unwrap().replicas, Some(1));
    let data = applied.get::<Secret>("a-keys").unwrap().data.unwrap();
    assert_eq!(data["password"].0, b"one", "the generated data was lost by the apply of the metadata");
}

#[tokio::test]
async fn drift_in_a_field_of_ours_is_corrected_once() {
    let bed = Bed::new("drift").await;
    bed.applier.apply(&bed.owner, everything(false)).await.unwrap();
    let policies = bed.api::<NetworkPolicy>();
    let mut policy = policies.get("a").await.unwrap();
    policy.spec.as_mut().unwrap().egress = Some(vec![serde_json::from_value(json!({})).unwrap()]);
    policies.replace("a", &PostParams::default(), &policy).await.unwrap();

    let before = writes(&bed.metrics);
    bed.applier.apply(&bed.owner, everything(true)).await.unwrap();
    assert_eq!(writes(&bed.metrics), before + 1);
    assert!(policies.get("a").await.unwrap().spec.unwrap().egress.unwrap_or_default().is_empty(), "the hole is open");
    bed.applier.apply(&bed.owner, everything(true)).await.unwrap();
    assert_eq!(writes(&bed.metrics), before + 1);
}

#[tokio::test]
async fn what_is_no_longer_asked_for_goes() {
    let bed = Bed::new("orphans").await;
    bed.applier.apply(&bed.owner, everything(false)).await.unwrap();
    let mut less = Desired::new();
    less.push(deployment(Some(2)));
    bed.applier.apply(&bed.owner, less).await.unwrap();
    assert!(!bed.exists::<HorizontalPodAutoscaler>("a").await);
    assert!(!bed.exists::<ConfigMap>("a-config").await);
    assert!(bed.exists::<Deployment>("a").await);
    assert!(bed.exists::<ConfigMap>("a").await, "the owner itself");
}

#[tokio::test]
async fn a_field_that_is_no_longer_rendered_is_removed() {
    let bed = Bed::new("removed").await;
    let config = |data: Value| {
        let mut desired = Desired::new();
        desired.push(object::<ConfigMap>("a-config", json!({ "data": data })));
        desired
    };
    bed.applier.apply(&bed.owner, config(json!({ "one": "1", "two": "2" }))).await.unwrap();
    bed.applier.apply(&bed.owner, config(json!({ "one": "1" }))).await.unwrap();
    let data = bed.api::<ConfigMap>().get("a-config").await.unwrap().data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["one"]);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_a_conflict() {
    let bed = Bed::new("conflict").await;
    let theirs: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "a-config" } })).unwrap();
    bed.api().create(&PostParams::default(), &theirs).await.unwrap();
    let before = writes(&bed.metrics);
    let mut desired = Desired::new();
    desired.push(object::<ConfigMap>("a-config", json!({ "data": { "a": "b" } })));
    let error = bed.applier.apply(&bed.owner, desired).await.unwrap_err();
    assert!(matches!(error, ApplyError::NameConflict { .. }), "{error}");
    assert!(error.stalled());
    assert_eq!(writes(&bed.metrics), before);
}

#[tokio::test]
async fn a_field_that_never_changes_and_a_bad_one_are_told_apart() {
    let bed = Bed::new("immutable").await;
    let apply = async |set: StatefulSet| {
        let mut desired = Desired::new();
        desired.push(set);
        bed.applier.apply(&bed.owner, desired).await
    };
    apply(stateful_set("a")).await.unwrap();
    let error = apply(stateful_set("another")).await.unwrap_err();
    assert!(matches!(error, ApplyError::Immutable { .. }), "{error}");
    assert!(error.to_string().contains("kubectl delete statefulsets a"), "{error}");

    let mut bad = stateful_set("a");
    bad.spec.as_mut().unwrap().replicas = Some(-1);
    let error = apply(bad).await.unwrap_err();
    assert!(matches!(error, ApplyError::Invalid { .. }), "{error}");
    assert_eq!(error.retry(), Retry::OnChange);
}

#[tokio::test]
async fn replicas_stay_when_an_autoscaler_takes_over() {
    let bed = Bed::new("handover").await;
    for replicas in [Some(3), None, None] {
        let mut desired = Desired::new();
        desired.push(deployment(replicas));
        let applied = bed.applier.apply(&bed.owner, desired).await.unwrap();
        assert_eq!(applied.get::<Deployment>("a").unwrap().spec.unwrap().replicas, Some(3));
    }
}

#[tokio::test]
async fn a_secret_turns_from_owned_to_retained() {
    let bed = Bed::new("retain").await;
    for (exists, retained) in [(false, false), (true, true)] {
        let mut desired = Desired::new();
        desired.push_generated(secret(), exists, retained);
        bed.applier.apply(&bed.owner, desired).await.unwrap();
        let owners = bed.api::<Secret>().get("a-keys").await.unwrap().metadata.owner_references.unwrap_or_default();
        assert_eq!(owners.is_empty(), retained);
    }
}
