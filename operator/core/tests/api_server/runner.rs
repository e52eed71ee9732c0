//! The runner against a real API server, with a small controller: conditions from the first second, failures into the
//! status, drift, pause, and silence when there is nothing to do.
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::wait::{await_condition, conditions as kube_conditions};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use portico_crds::CacheInstance;
use portico_crds::common::{ConditionType, PorticoResource as _, ResourceStatus as _};
use portico_operator_core::clock::{Clock as _, SystemClock};
use portico_operator_core::conditions::{self, Summary};
use portico_operator_core::http::Health;
use portico_operator_core::metrics::Metrics;
use portico_operator_core::rng::SystemRng;
use portico_operator_core::run::{Registration, RunConfig};
use portico_operator_core::{
    Context, Controller, Desired, Failure, Outcome, OwnedKind, ReconcileError, Referenced, Retry, status,
};
use portico_test_servers::kubernetes::ApiServer;
use serde_json::json;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::server::{self, writes};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
#[error("the Secret {0} does not exist; make it")]
struct Missing(String);

impl ReconcileError for Missing {
    fn reason(&self) -> &'static str {
        "SecretNotFound"
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

/// Makes a `ConfigMap` for each resource of its namespace, once the Secret that it refers to is there.
struct Small {
    namespace: String,
    ended: watch::Sender<u64>,
}

fn secret_of(object: &CacheInstance) -> Vec<String> {
    object.spec.external.iter().filter_map(|external| Some(external.secret_ref.as_ref()?.name.clone())).collect()
}

impl Controller for Small {
    type Kind = CacheInstance;
    const NAME: &'static str = "small";

    fn owns(&self) -> Vec<OwnedKind> {
        vec![OwnedKind::of::<ConfigMap>()]
    }

    fn references(&self) -> Vec<Referenced<CacheInstance>> {
        vec![Referenced::secrets(secret_of)]
    }

    async fn reconcile(&self, object: Arc<CacheInstance>, cx: &Context) -> Result<Outcome, Failure> {
        let namespace = object.namespace().unwrap();
        if namespace != self.namespace {
            return Ok(Outcome::await_change());
        }
        let result = self.work(&object, cx, &namespace).await;
        self.ended.send_modify(|count| *count += 1);
        result
    }
}

impl Small {
    async fn work(&self, object: &CacheInstance, cx: &Context, namespace: &str) -> Result<Outcome, Failure> {
        for name in secret_of(object) {
            cx.get::<Secret>(namespace, &name).await?.ok_or(Missing(name))?;
        }
        let mut desired = Desired::new();
        desired.push(ConfigMap {
            metadata: ObjectMeta {
                name: Some(object.name_any()),
                labels: Some([("app.kubernetes.io/instance".to_owned(), object.name_any())].into()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        });
        cx.applier.apply(object, desired).await?;
        let mut status = object.status().cloned().unwrap_or_default();
        let ready = Summary::Ready { message: "All there.".to_owned() };
        conditions::summarise(status.conditions_mut(), &ready, object.meta().generation, cx.clock.now());
        status::publish(cx, object, status).await?;
        Ok(Outcome::await_change())
    }
}

/// A running controller on a namespace of its own.
struct Bed {
    plain: Client,
    metrics: Metrics,
    namespace: String,
    ended: watch::Receiver<u64>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

async fn install_crds(client: &Client) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED
        .get_or_init(|| async {
            let api: Api<CustomResourceDefinition> = Api::all(client.clone());
            for definition in portico_crds::all() {
                let name = definition.name_any();
                let params = PatchParams::apply("test").force();
                api.patch(&name, &params, &Patch::Apply(&definition)).await.unwrap();
                let established = await_condition(api.clone(), &name, kube_conditions::is_crd_established());
                timeout(SOON, established).await.unwrap().unwrap();
            }
        })
        .await;
}

impl Bed {
    async fn new(name: &str) -> Self {
        let namespace = ApiServer::shared().await.namespace(name).await.unwrap();
        let plain = ApiServer::shared().await.client().await.unwrap();
        install_crds(&plain).await;
        let metrics = Metrics::default();
        let client = server::client(&metrics, None).await;
        let cx = Context::new(client, "pod-1", Arc::new(SystemClock), Arc::new(SystemRng), metrics.clone());
        let (ended, receiver) = watch::channel(0);
        let small = Small { namespace: namespace.clone(), ended };
        let stop = CancellationToken::new();
        let run = Registration::new(small).run(cx, RunConfig::default(), Health::default(), stop.clone());
        Self { plain, metrics, namespace, ended: receiver, stop, running: tokio::spawn(run) }
    }

    fn instances(&self) -> Api<CacheInstance> {
        Api::namespaced(self.plain.clone(), &self.namespace)
    }

    async fn create(&self, secret: &str) -> CacheInstance {
        let instance = json!({
            "apiVersion": "portico.dev/v1alpha1", "kind": "CacheInstance", "metadata": { "name": "a" },
            "spec": { "engine": "Valkey", "backend": "External", "external": { "secretRef": { "name": secret } } },
        });
        self.instances().create(&PostParams::default(), &serde_json::from_value(instance).unwrap()).await.unwrap()
    }

    async fn create_secret(&self, name: &str) {
        let secret: Secret = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        Api::namespaced(self.plain.clone(), &self.namespace).create(&PostParams::default(), &secret).await.unwrap();
    }

    /// Waits until the resource is as `wanted`.
    async fn until(&self, what: &str, wanted: impl Fn(&CacheInstance) -> bool) -> CacheInstance {
        let condition = |object: Option<&CacheInstance>| object.is_some_and(&wanted);
        match timeout(SOON, await_condition(self.instances(), "a", condition)).await {
            Ok(found) => found.unwrap().unwrap(),
            Err(late) => panic!("not {what}, {late}: {:?}", self.instances().get("a").await),
        }
    }

    async fn until_ready(&self) -> CacheInstance {
        self.until("ready", |object| conditions::is_true(object.conditions(), ConditionType::Ready)).await
    }

    /// Waits for the next reconcile to end.
    async fn next_reconcile(&mut self) {
        timeout(SOON, self.ended.changed()).await.expect("no reconcile came").unwrap();
    }

    /// Touches the Secret and waits until nothing more is reconciled because of it.
    async fn provoke_reconcile(&mut self, secret: &str) {
        self.ended.mark_unchanged();
        let api: Api<Secret> = Api::namespaced(self.plain.clone(), &self.namespace);
        let touch =
            Patch::Merge(json!({ "metadata": { "annotations": { "touched": SystemClock.now().to_string() } } }));
        api.patch(secret, &PatchParams::default(), &touch).await.unwrap();
        self.next_reconcile().await;
    }

    async fn end(self) {
        self.stop.cancel();
        timeout(SOON, self.running).await.expect("the controller does not stop").unwrap();
    }
}

#[tokio::test]
async fn a_failure_is_told_in_the_status_and_mends_itself_when_the_cause_goes() {
    let bed = Bed::new("run-failure").await;
    bed.create("later").await;
    let failed = bed.until("stalled", |object| conditions::is_true(object.conditions(), ConditionType::Stalled)).await;
    let ready = conditions::find(failed.conditions(), ConditionType::Ready).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "SecretNotFound"));
    assert_eq!(ready.message, "the Secret later does not exist; make it");
    assert_eq!(failed.status().unwrap().observed_generation(), failed.meta().generation);

    let events: Api<Event> = Api::namespaced(bed.plain.clone(), &bed.namespace);
    let warned = |event: &Event| event.reason.as_deref() == Some("SecretNotFound");
    let mut events = watcher(events, watcher::Config::default()).applied_objects().boxed();
    let found = async { while !events.try_next().await.unwrap().as_ref().is_some_and(warned) {} };
    timeout(SOON, found).await.expect("no event tells of the failure");

    bed.create_secret("later").await;
    let ready = bed.until_ready().await;
    assert!(!conditions::is_true(ready.conditions(), ConditionType::Stalled));
    bed.end().await;
}

#[tokio::test]
async fn a_deleted_child_comes_back_and_an_idle_reconcile_writes_nothing() {
    let mut bed = Bed::new("run-idle").await;
    bed.create_secret("there").await;
    bed.create("there").await;
    bed.until_ready().await;
    let children: Api<ConfigMap> = Api::namespaced(bed.plain.clone(), &bed.namespace);
    let first = children.get("a").await.unwrap();
    children.delete("a", &DeleteParams::default()).await.unwrap();
    let uid = first.uid();
    let back = |object: Option<&ConfigMap>| object.is_some_and(|object| object.uid() != uid);
    timeout(SOON, await_condition(children, "a", back)).await.expect("the child stays away").unwrap();

    // The write of the child provokes one more reconcile itself.
    bed.provoke_reconcile("there").await;
    bed.provoke_reconcile("there").await;
    let before = writes(&bed.metrics);
    bed.provoke_reconcile("there").await;
    assert_eq!(writes(&bed.metrics), before, "something is written though nothing changed");
    bed.end().await;
}

#[tokio::test]
async fn paused_writes_nothing_but_its_status() {
    let mut bed = Bed::new("run-paused").await;
    bed.create_secret("there").await;
    bed.create("there").await;
    bed.until_ready().await;
    let pause = |value: serde_json::Value| {
        Patch::Merge(json!({ "metadata": { "annotations": { "portico.dev/paused": value } } }))
    };
    bed.instances().patch("a", &PatchParams::default(), &pause(json!("true"))).await.unwrap();
    bed.until("paused", |object| conditions::is_true(object.conditions(), ConditionType::Paused)).await;

    let children: Api<ConfigMap> = Api::namespaced(bed.plain.clone(), &bed.namespace);
    children.delete("a", &DeleteParams::default()).await.unwrap();
    bed.provoke_reconcile("there").await;
    assert!(children.get_opt("a").await.unwrap().is_none(), "written though paused");

    bed.instances().patch("a", &PatchParams::default(), &pause(json!(null))).await.unwrap();
    bed.until("running", |object| !conditions::is_true(object.conditions(), ConditionType::Paused)).await;
    let there = |object: Option<&ConfigMap>| object.is_some();
    timeout(SOON, await_condition(children, "a", there)).await.expect("not made after the pause").unwrap();
    bed.end().await;
}
