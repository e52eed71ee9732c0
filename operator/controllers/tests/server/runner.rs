//! The controllers as they run: by watches, with the access rights of the chart and no more.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleRef, Subject};
use kube::api::{Api, DeleteParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::wait::{Condition, await_condition};
use kube::{Client, ResourceExt as _};
use portico_crds::common::{ConditionType, PorticoResource};
use portico_crds::{AuthService, DatabaseInstance};
use portico_operator_controllers::{rbac_rules, registrations};
use portico_operator_core::clock::SystemClock;
use portico_operator_core::http::Health;
use portico_operator_core::metrics::Metrics;
use portico_operator_core::rng::SystemRng;
use portico_operator_core::run::RunConfig;
use portico_operator_core::{Context, conditions};
use portico_test_servers::kubernetes::ApiServer;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::engines::reach;
use crate::reconcile::binding;
use crate::world::{World, own_server, platform, resource};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_mins(1);

/// The operator as it runs. Ends when it is dropped.
struct Operator {
    stop: CancellationToken,
    _controllers: JoinSet<()>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts the operator with exactly the rights of the chart's `ClusterRole`.
async fn start(server: &ApiServer, world: &World) -> Operator {
    let client = restricted_client(server).await;
    let cx = Context::new(client, "test", Arc::new(SystemClock), Arc::new(SystemRng), Metrics::default());
    let stop = CancellationToken::new();
    let mut controllers = JoinSet::new();
    for registration in registrations(platform(), reach(&world.said, &world.engines)) {
        let config = RunConfig::default();
        controllers.spawn(registration.run(cx.clone(), config, Health::default(), stop.clone()));
    }
    Operator { stop, _controllers: controllers }
}

async fn restricted_client(server: &ApiServer) -> Client {
    let (name, user) = ("operator".to_owned(), "system:serviceaccount:portico-system:operator".to_owned());
    let admin = server.client().await.unwrap();
    let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
    let role = ClusterRole { metadata: metadata.clone(), rules: Some(rbac_rules()), aggregation_rule: None };
    let binding = ClusterRoleBinding {
        metadata,
        role_ref: RoleRef { api_group: "rbac.authorization.k8s.io".into(), kind: "ClusterRole".into(), name },
        subjects: Some(vec![Subject { kind: "User".into(), name: user.clone(), ..Subject::default() }]),
    };
    Api::all(admin.clone()).create(&PostParams::default(), &role).await.unwrap();
    Api::all(admin).create(&PostParams::default(), &binding).await.unwrap();
    server.client_as(&user, &[]).await.unwrap()
}

/// Waits for an object to be as asked, by a watch.
async fn eventually<K>(world: &World, name: &str, what: &str, holds: impl Condition<K>)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Send
        + serde::de::DeserializeOwned
        + 'static,
{
    let waited = tokio::time::timeout(SOON, await_condition(world.api::<K>(), name, holds)).await;
    if waited.is_err() {
        let found = world.api::<K>().get_opt(name).await;
        panic!("{} {name} never {what}: {found:#?}", K::kind(&()));
    }
}

fn exists<K>() -> impl Condition<K> {
    |object: Option<&K>| object.is_some()
}

fn condition<K: PorticoResource>(
    type_: ConditionType,
    status: &'static str,
    reason: &'static str,
) -> impl Condition<K> {
    move |object: Option<&K>| {
        let found = object.and_then(|object| conditions::find(object.conditions(), type_));
        found.is_some_and(|found| found.status == status && (reason.is_empty() || found.reason == reason))
    }
}

#[tokio::test]
async fn the_rights_of_the_chart_are_enough_for_all_that_is_done() {
    let server = own_server().await;
    let world = World::on(&server, "rights").await;
    let _operator = start(&server, &world).await;
    let spec = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 3}});
    world.apply(resource("AuthService", "members", spec)).await;
    for name in ["members-db-postgresql", "members-cache-valkey"] {
        eventually::<StatefulSet>(&world, name, "made", exists()).await;
    }
    world.make_ready().await;
    eventually::<Deployment>(&world, "members", "made", exists()).await;
    world.make_ready().await;
    eventually::<AuthService>(&world, "members", "ready", condition(ConditionType::Ready, "True", "")).await;
    // Removing an orphan needs rights of its own.
    world.apply(resource("AuthService", "members", json!({"replicas": 1}))).await;
    let gone = |budget: Option<&k8s_openapi::api::policy::v1::PodDisruptionBudget>| budget.is_none();
    eventually(&world, "members", "removed", gone).await;
}

#[tokio::test]
async fn a_deleted_child_comes_back_by_itself() {
    let server = own_server().await;
    let world = World::on(&server, "watched").await;
    let _operator = start(&server, &world).await;
    world.apply(resource("AuthService", "members", json!({}))).await;
    eventually::<ConfigMap>(&world, "members-config", "made", exists()).await;
    let before = world.api::<ConfigMap>().get("members-config").await.unwrap().uid();
    world.api::<ConfigMap>().delete("members-config", &DeleteParams::default()).await.unwrap();
    let another = move |config: Option<&ConfigMap>| config.is_some_and(|config| config.uid() != before);
    eventually(&world, "members-config", "came back", another).await;
    // Retained Secrets have no owner and are watched by name.
    eventually::<Secret>(&world, "members-signing-keys", "made", exists()).await;
    let before = world.api::<Secret>().get("members-signing-keys").await.unwrap().uid();
    world.api::<Secret>().delete("members-signing-keys", &DeleteParams::default()).await.unwrap();
    let another = move |secret: Option<&Secret>| secret.is_some_and(|secret| secret.uid() != before);
    eventually(&world, "members-signing-keys", "came back", another).await;
}

#[tokio::test]
async fn a_secret_that_appears_is_noticed() {
    let server = own_server().await;
    let world = World::on(&server, "appears").await;
    let _operator = start(&server, &world).await;
    let external =
        json!({"engine": "PostgreSQL", "backend": "External", "external": {"secretRef": {"name": "theirs"}}});
    world.apply(resource("DatabaseInstance", "outside", external)).await;
    let spec = json!({"database": {"instanceRef": {"name": "outside"}}, "cache": {"secretRef": {"name": "theirs"}}});
    world.apply(resource("AuthService", "members", spec)).await;
    let waits = condition(ConditionType::Ready, "False", "SecretNotFound");
    eventually::<DatabaseInstance>(&world, "outside", "said which Secret is missing", waits).await;
    world.apply(binding("theirs")).await;
    let ready = condition(ConditionType::Ready, "True", "");
    eventually::<DatabaseInstance>(&world, "outside", "ready", ready).await;
    eventually::<Deployment>(&world, "members", "made", exists()).await;
}

#[tokio::test]
async fn an_object_of_somebody_else_is_never_taken_over() {
    let server = own_server().await;
    let world = World::on(&server, "conflict").await;
    let _operator = start(&server, &world).await;
    let mut theirs = ServiceAccount::default();
    theirs.metadata.name = Some("members".into());
    let theirs = world.api().create(&PostParams::default(), &theirs).await.unwrap();
    world.apply(resource("AuthService", "members", json!({}))).await;
    let stalled = condition(ConditionType::Stalled, "True", "NameConflict");
    eventually::<AuthService>(&world, "members", "stalled", stalled).await;
    let message = world.condition::<AuthService>("members", ConditionType::Stalled).await;
    assert!(message.contains("ServiceAccount") && message.contains("members"), "{message}");
    let now: ServiceAccount = world.api().get("members").await.unwrap();
    assert_eq!(now.resource_version(), theirs.resource_version());
}
