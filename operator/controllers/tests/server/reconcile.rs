//! Reconciling against the API server: what is made, what it says, and that nothing is written twice.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, PodTemplateSpec, Secret, Volume};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::ObjectMeta;
use portico_crds::common::ConditionType::{BindingReady, DependenciesReady, Ready, Stalled, WorkloadAvailable};
use portico_crds::{AuthService, CacheInstance, DatabaseInstance};
use portico_operator_controllers::FailingCheck;
use serde_json::{Value, json};

use crate::world::{World, resource, secret};

/// A binding Secret of somebody else's engine.
pub(crate) fn binding(name: &str) -> Value {
    let entries = [("host", "db.example"), ("port", "5432"), ("username", "u"), ("password", "p"), ("database", "d")];
    secret(name, &entries)
}

#[tokio::test]
async fn a_service_becomes_ready_with_all_its_objects() {
    let world = World::new("whole").await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.settle().await;
    let ready = world.condition::<AuthService>("members", Ready).await;
    assert!(ready.starts_with("False DatabaseNotReady: database: DatabaseInstance members-db"), "{ready}");
    world.bring_up().await;
    assert!(world.condition::<DatabaseInstance>("members-db", BindingReady).await.starts_with("True"));
    for (type_, expected) in
        [(Ready, "True Ready"), (Stalled, "False"), (DependenciesReady, "True"), (WorkloadAvailable, "True")]
    {
        let condition = world.condition::<AuthService>("members", type_).await;
        assert!(condition.starts_with(expected), "{type_}: {condition}");
    }
    insta::assert_snapshot!(world.names().await.join("\n"));
    let service: AuthService = world.api().get("members").await.unwrap();
    let status = service.status.unwrap();
    assert_eq!(status.observed_generation, service.metadata.generation);
    assert_eq!(status.url.unwrap(), format!("http://members.{}.svc.cluster.local", world.namespace));
    assert_eq!(status.selector.unwrap(), "app.kubernetes.io/instance=members,app.kubernetes.io/name=auth-service");
    assert_eq!(status.replicas, Some(1));
    assert_eq!(status.signing_keys_secret.unwrap().name, "members-signing-keys");
}

#[tokio::test]
async fn an_idle_operator_writes_nothing_also_after_a_restart() {
    let world = World::new("idle").await;
    world.apply(resource("AuthService", "members", json!({"autoscaling": {"maxReplicas": 3}}))).await;
    world.apply(binding("theirs")).await;
    let external =
        json!({"engine": "PostgreSQL", "backend": "External", "external": {"secretRef": {"name": "theirs"}}});
    world.apply(resource("DatabaseInstance", "outside", external)).await;
    for (kind, engine) in [("BrokerInstance", "RabbitMQ"), ("ObjectStore", "S3"), ("DatabaseInstance", "DynamoDB")] {
        world.apply(resource(kind, "extra", json!({"engine": engine}))).await;
    }
    world.bring_up().await;
    world.make_ready_with_autoscaler("members", 2).await;
    world.settle().await;
    let before = world.versions().await;
    world.pass().await.unwrap();
    assert_eq!(world.versions().await, before);
    world.restarted(world.client.clone()).pass().await.unwrap();
    assert_eq!(world.versions().await, before);
}

impl World {
    /// Plays the autoscaler, then the kubelet.
    async fn make_ready_with_autoscaler(&self, name: &str, replicas: i32) {
        let api = self.api::<Deployment>();
        let scale = kube::api::Patch::Merge(json!({"spec": {"replicas": replicas}}));
        api.patch_scale(name, &kube::api::PatchParams::default(), &scale).await.unwrap();
        self.make_ready().await;
    }
}

#[tokio::test]
async fn an_autoscaler_is_not_fought() {
    let world = World::new("scaled").await;
    world.apply(resource("AuthService", "members", json!({"replicas": 4}))).await;
    world.bring_up().await;
    world.apply(resource("AuthService", "members", json!({"autoscaling": {"maxReplicas": 6}}))).await;
    world.settle().await;
    let replicas = async || world.api::<Deployment>().get("members").await.unwrap().spec.unwrap().replicas;
    assert_eq!(replicas().await, Some(4), "handing over must not let the service shrink");
    world.make_ready_with_autoscaler("members", 5).await;
    world.settle().await;
    assert_eq!(replicas().await, Some(5));
    assert!(world.names().await.contains(&"HorizontalPodAutoscaler/members".to_owned()));
    world.apply(resource("AuthService", "members", json!({"replicas": 1}))).await;
    world.settle().await;
    let names = world.names().await;
    assert!(
        !names.iter().any(|name| name.starts_with("HorizontalPod") || name.starts_with("PodDisruption")),
        "{names:?}"
    );
}

#[tokio::test]
async fn every_pod_template_holds_to_pod_security_restricted() {
    let world = World::new("security").await;
    for (kind, name, text) in [
        ("AuthService", "members", "{}"),
        (
            "AuthService",
            "staff",
            r#"{"autoscaling": {"maxReplicas": 2}, "resources": {"requests": {"memory": "768Mi"}}}"#,
        ),
        ("DatabaseInstance", "ledger", r#"{"engine": "PostgreSQL", "resources": {"limits": {"memory": "64Mi"}}}"#),
        ("CacheInstance", "ledger", r#"{"engine": "Valkey", "deletionPolicy": "Delete", "readReplicas": 1}"#),
        ("DatabaseInstance", "books", r#"{"engine": "MariaDB", "readReplicas": 1}"#),
        ("DatabaseInstance", "local", r#"{"engine": "DynamoDB"}"#),
        ("BrokerInstance", "ledger", r#"{"engine": "RabbitMQ"}"#),
        ("ObjectStore", "ledger", r#"{"engine": "S3"}"#),
    ] {
        world.apply(resource(kind, name, serde_json::from_str(text).unwrap())).await;
    }
    world.bring_up().await;
    let deployments = world.api::<Deployment>().list(&ListParams::default()).await.unwrap().items;
    let sets = world.api::<StatefulSet>().list(&ListParams::default()).await.unwrap().items;
    let templates: Vec<PodTemplateSpec> = deployments
        .into_iter()
        .map(|one| one.spec.unwrap().template)
        .chain(sets.into_iter().map(|one| one.spec.unwrap().template))
        .collect();
    assert_eq!(templates.len(), 14);
    for template in templates {
        let metadata = ObjectMeta { name: Some("dry-run".into()), ..template.metadata.unwrap() };
        let mut spec = template.spec.unwrap();
        // The volumes of copies come from a template of their set.
        let volumes = spec.volumes.get_or_insert_default();
        if volumes.iter().all(|volume| volume.name != "data") {
            let data = EmptyDirVolumeSource::default();
            volumes.push(Volume { name: "data".into(), empty_dir: Some(data), ..Volume::default() });
        }
        let pod = Pod { metadata, spec: Some(spec), status: None };
        let params = PostParams { dry_run: true, field_manager: None };
        world.api::<Pod>().create(&params, &pod).await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_secret_is_waited_for_by_name_and_never_made() {
    let world = World::new("missing").await;
    let spec = json!({"database": {"secretRef": {"name": "theirs"}}});
    world.apply(resource("AuthService", "members", spec)).await;
    world.settle().await;
    let condition = world.condition::<AuthService>("members", DependenciesReady).await;
    assert!(condition.starts_with("False SecretNotFound") && condition.contains("Secret theirs"), "{condition}");
    let workload = world.condition::<AuthService>("members", WorkloadAvailable).await;
    assert!(workload.starts_with("False WaitingForDependencies"), "{workload}");
    let names = world.names().await;
    assert!(
        !names.contains(&"Deployment/members".to_owned()) && !names.contains(&"Secret/theirs".to_owned()),
        "{names:?}"
    );

    world.apply(secret("theirs", &[("host", "h"), ("port", "1"), ("username", "u"), ("password", "p")])).await;
    world.settle().await;
    let condition = world.condition::<AuthService>("members", DependenciesReady).await;
    assert!(condition.starts_with("False SecretInvalid") && condition.contains("\"database\""), "{condition}");
    world.apply(binding("theirs")).await;
    world.bring_up().await;
    assert!(world.names().await.contains(&"Deployment/members".to_owned()));
}

#[tokio::test]
async fn a_service_that_runs_keeps_running_when_its_secret_goes() {
    let world = World::new("keeps").await;
    world.apply(binding("theirs")).await;
    world.apply(resource("AuthService", "members", json!({"database": {"secretRef": {"name": "theirs"}}}))).await;
    world.bring_up().await;
    let before = world.api::<Deployment>().get("members").await.unwrap().metadata.resource_version;
    world.api::<Secret>().delete("theirs", &DeleteParams::default()).await.unwrap();
    world.settle().await;
    assert_eq!(world.api::<Deployment>().get("members").await.unwrap().metadata.resource_version, before);
    let condition = world.condition::<AuthService>("members", DependenciesReady).await;
    assert!(condition.starts_with("False SecretNotFound"), "{condition}");
}

#[tokio::test]
async fn what_unready_pods_say_stands_in_the_condition() {
    let world = World::new("said").await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    world.bring_up().await;
    let deployment: Deployment = world.api().get("members").await.unwrap();
    let template = deployment.spec.unwrap().template;
    let metadata = ObjectMeta { name: Some("members-x".into()), ..template.metadata.unwrap() };
    let pod = Pod { metadata, spec: template.spec, status: None };
    world.api::<Pod>().create(&PostParams::default(), &pod).await.unwrap();
    world.set_status::<Pod>("members-x", json!({"podIP": "10.9.9.9", "podIPs": [{"ip": "10.9.9.9"}]})).await;
    world.set_status::<Deployment>("members", json!({"readyReplicas": 0, "availableReplicas": 0})).await;
    let check = FailingCheck {
        name: "database".into(),
        reason: "PasswordRefused".into(),
        detail: "user app was refused".into(),
    };
    world.said.0.lock().unwrap().push(check);
    world.settle().await;
    let condition = world.condition::<AuthService>("members", DependenciesReady).await;
    assert_eq!(condition, "False PasswordRefused: database: user app was refused");
    world.said.0.lock().unwrap().clear();
    world.make_ready().await;
    world.settle().await;
    assert!(world.condition::<AuthService>("members", Ready).await.starts_with("True"));
}

#[tokio::test]
async fn an_external_instance_publishes_one_shape() {
    let world = World::new("external").await;
    let external = json!({"engine": "Valkey", "backend": "External", "external": {"secretRef": {"name": "theirs"}}});
    world.apply(resource("CacheInstance", "outside", external)).await;
    world.settle().await;
    let waiting = world.condition::<CacheInstance>("outside", Ready).await;
    assert!(waiting.starts_with("False SecretNotFound") && waiting.contains("Secret theirs"), "{waiting}");
    world
        .apply(secret("theirs", &[("host", "c.example"), ("port", "6380"), ("username", "u"), ("password", "p w")]))
        .await;
    world.settle().await;
    assert!(world.condition::<CacheInstance>("outside", Ready).await.starts_with("True"));
    let published = world.secret("outside-valkey-binding").await;
    assert_eq!(published["uri"], "redis://u:p%20w@c.example:6380");
    assert_eq!((published["type"].as_str(), published["provider"].as_str()), ("redis", "external"));
    let instance: CacheInstance = world.api().get("outside").await.unwrap();
    assert_eq!(instance.status.unwrap().endpoint.unwrap(), "c.example:6380");
}
