//! The signing keys of a service, replaced against a real API server by a clock that is moved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::{Client, ResourceExt as _};
use portico_crds::AuthService;
use portico_crds::common::ConditionType;
use portico_operator_controllers::{AuthServiceController, DependencyProbe, FailingCheck, Images, Platform};
use portico_operator_core::clock::ManualClock;
use portico_operator_core::metrics::Metrics;
use portico_operator_core::rng::SystemRng;
use portico_operator_core::{Context, Controller as _, Failure, Outcome, conditions};
use portico_test_servers::kubernetes::ApiServer;
use serde_json::{Value, json};

/// There are no pods.
struct Nobody;

impl DependencyProbe for Nobody {
    fn failing(&self, _: IpAddr) -> BoxFuture<'_, Vec<FailingCheck>> {
        async { Vec::new() }.boxed()
    }
}

struct World {
    client: Client,
    namespace: String,
    clock: Arc<ManualClock>,
    cx: Context,
    controller: AuthServiceController,
}

impl World {
    async fn new(prefix: &str) -> Self {
        let server = ApiServer::shared().await;
        let client = server.client().await.unwrap();
        for definition in portico_crds::all() {
            let api = Api::all(client.clone());
            let name = definition.name_any();
            api.patch(&name, &PatchParams::apply("test"), &Patch::Apply(&definition)).await.unwrap();
            await_condition(api, &name, is_crd_established()).await.unwrap();
        }
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap()));
        let cx = Context::new(client.clone(), "test", clock.clone(), Arc::new(SystemRng), Metrics::default());
        let platform = Platform {
            images: Images { auth_service: "registry.test/auth-service:1".into(), engines: BTreeMap::new() },
            image_pull_policy: "IfNotPresent".into(),
            cluster_domain: "cluster.local".into(),
            namespace: "portico-system".into(),
        };
        let controller = AuthServiceController::new(Arc::new(platform), Arc::new(Nobody));
        Self { namespace: server.namespace(prefix).await.unwrap(), client, clock, cx, controller }
    }

    async fn apply(&self, rotate: Option<&str>, spec: Value) {
        let annotations = rotate.map(|value| json!({"portico.dev/rotate": value}));
        let object = json!({"apiVersion": "portico.dev/v1alpha1", "kind": "AuthService",
            "metadata": {"name": "members", "annotations": annotations}, "spec": spec});
        let params = PatchParams::apply("test").force();
        self.services().patch("members", &params, &Patch::Apply(&object)).await.unwrap();
    }

    fn services(&self) -> Api<AuthService> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn reconcile(&self) -> Result<Outcome, Failure> {
        let object = Arc::new(self.services().get("members").await.unwrap());
        self.controller.reconcile(object, &self.cx).await
    }

    /// Reconciles as often as it asks for at once; how many seconds later it wants to be called again.
    async fn settle(&self) -> Option<u64> {
        for _ in 0..5 {
            let outcome = self.reconcile().await.unwrap_or_else(|failure| panic!("{}", failure.message()));
            if outcome.requeue.is_none_or(|after| after.as_secs() > 0) {
                return outcome.requeue.map(|after| after.as_secs());
            }
        }
        panic!("it never comes to rest");
    }

    fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    async fn secret(&self) -> Secret {
        Api::namespaced(self.client.clone(), &self.namespace).get("members-signing-keys").await.unwrap()
    }

    /// The entries of the Secret, keys by what they are.
    async fn entries(&self) -> BTreeMap<String, String> {
        let data = self.secret().await.data.unwrap();
        let entries = data.into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap()));
        let short = |text: String| text.lines().next().unwrap_or_default().trim_matches('-').to_owned();
        entries.map(|(key, text)| (key, short(text))).collect()
    }

    async fn said(&self) -> String {
        let object = self.services().get("members").await.unwrap();
        let status = object.status.unwrap();
        let condition = conditions::find(&status.conditions, ConditionType::SigningKeysCurrent).unwrap();
        format!("{} {}", condition.status, condition.reason)
    }
}

#[tokio::test]
async fn a_key_is_published_then_signs_then_verifies_and_then_goes() {
    let world = World::new("keys").await;
    world.apply(Some("before"), json!({})).await;
    assert_eq!(world.settle().await, None);
    let first = world.entries().await;
    let old = first["active"].clone();
    assert_eq!(first[&format!("{old}.pem")], "BEGIN PRIVATE KEY");
    assert_eq!((first.len(), world.said().await.as_str()), (4, "True Current"), "{first:?}");

    world.apply(Some("now"), json!({})).await;
    assert_eq!(world.settle().await, Some(600));
    let published = world.entries().await;
    let new = published["next"].clone();
    assert_eq!((&published["active"], world.said().await.as_str()), (&old, "False PublishingSigningKey"));
    assert_eq!(published[&format!("{new}.pem")], "BEGIN PRIVATE KEY");

    world.advance(599);
    assert_eq!(world.settle().await, Some(1));
    assert_eq!(world.entries().await["active"], old);
    world.advance(1);
    // The overlap, a token's life of 15 minutes, a minute for clocks.
    assert_eq!(world.settle().await, Some(600 + 900 + 60));
    let signs = world.entries().await;
    assert_eq!((&signs["active"], world.said().await.as_str()), (&new, "False RetiringSigningKey"));
    assert_eq!(signs[&format!("{old}.pem")], "BEGIN PUBLIC KEY");
    assert!(!signs.contains_key("next") && !signs.contains_key("next-since"));

    world.advance(1_560);
    assert_eq!(world.settle().await, None);
    let after = world.entries().await;
    assert_eq!((after.len(), world.said().await.as_str()), (4, "True Current"), "{after:?}");
    assert!(!after.contains_key(&format!("{old}.pem")), "what a create wrote has to go as well");
}

#[tokio::test]
async fn a_schedule_and_an_idle_operator() {
    let world = World::new("schedule").await;
    let spec = json!({"tokens": {"signingKeyRotation": {"interval": "24h", "overlap": "10s"}}});
    world.apply(None, spec).await;
    world.settle().await;
    let before = world.secret().await;
    world.advance(86_399);
    assert_eq!(world.settle().await, Some(1));
    assert_eq!(world.secret().await.metadata.resource_version, before.metadata.resource_version);
    world.advance(1);
    assert_eq!(world.settle().await, Some(10));
    assert!(world.entries().await.contains_key("next"));
}

#[tokio::test]
async fn a_paused_service_keeps_its_keys() {
    let world = World::new("paused").await;
    world.apply(None, json!({})).await;
    world.settle().await;
    let before = world.entries().await;
    world.apply(Some("now"), json!({})).await;
    let object = Arc::new(world.services().get("members").await.unwrap());
    world.controller.reconcile(object, &world.cx.read_only()).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(world.entries().await, before);
}

#[tokio::test]
async fn who_comes_second_with_a_change_judges_again() {
    let world = World::new("second").await;
    world.apply(None, json!({})).await;
    world.settle().await;
    world.apply(Some("now"), json!({})).await;
    // Two operators that both believe to be the leader: each sees that a key is to be published.
    let (one, two) = tokio::join!(world.reconcile(), world.reconcile());
    let failed = [one.is_err(), two.is_err()].into_iter().filter(|failed| *failed).count();
    assert!(failed <= 1, "one of them wins");
    assert_eq!(world.settle().await, Some(600));
    let entries = world.entries().await;
    let keys = entries.keys().filter_map(|key| key.strip_suffix(".pem")).count();
    assert_eq!(keys, 2, "{entries:?}");
}
