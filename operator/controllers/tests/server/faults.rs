//! The operator ends between any two writes, or after a write whose answer it never sees. Its successor reaches the
//! same end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use http::{Method, Request, Response};
use kube::Client;
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tower::{BoxError, Layer, Service};

use crate::reconcile::binding;
use crate::world::{World, resource, server};

/// How many operators are killed side by side, each in a namespace of its own.
const AT_ONCE: usize = 8;

/// When the fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The request never leaves.
    Before,
    /// The request arrives, its answer is lost.
    After,
}

/// Lets so many writes pass, then breaks off for good.
#[derive(Clone)]
struct Fault {
    writes: Arc<AtomicUsize>,
    pass: usize,
    moment: Moment,
}

impl<S> Layer<S> for Fault {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty { inner, fault: self.clone() }
    }
}

struct Faulty<S> {
    inner: S,
    fault: Fault,
}

impl<S, B> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Fault { writes, pass, moment } = &self.fault;
        let write = *request.method() != Method::GET;
        let done = if write { writes.fetch_add(1, Ordering::SeqCst) } else { writes.load(Ordering::SeqCst) };
        let broken = || -> Result<Response<B>, BoxError> { Err("the operator was killed".into()) };
        match (done.cmp(pass), moment) {
            (std::cmp::Ordering::Less, _) => self.inner.call(request).map(|answer| answer.map_err(Into::into)).boxed(),
            (std::cmp::Ordering::Equal, _) if !write => {
                self.inner.call(request).map(|answer| answer.map_err(Into::into)).boxed()
            }
            (std::cmp::Ordering::Equal, Moment::After) => {
                let arrives = self.inner.call(request);
                async move {
                    drop(arrives.await);
                    broken()
                }
                .boxed()
            }
            _ => async move { broken() }.boxed(),
        }
    }
}

async fn faulty_client(fault: &Fault) -> Client {
    let kubeconfig = Kubeconfig::read_from(server().await.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    ClientBuilder::try_from(config).unwrap().with_layer(fault).build()
}

/// What must be the same whatever happened on the way: everything but what is drawn, counted or dated.
async fn end_state(world: &World) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (name, object) in world.objects().await {
        let mut data = object.data;
        for key in ["data", "status"] {
            if let Some(Value::Object(entries)) = data.get_mut(key) {
                // Drawn values, and the names of the keys that follow from them.
                let drawn = name.starts_with("Secret/");
                if drawn || key == "status" {
                    let plain = |key: &String| key.split_once(".pem").map_or_else(|| key.clone(), |_| "pem".to_owned());
                    let keys: std::collections::BTreeSet<String> = entries.keys().map(plain).collect();
                    data[key] = json!(keys);
                }
            }
        }
        if let Some(annotations) = data.pointer_mut("/spec/template/metadata/annotations") {
            *annotations = Value::Null;
        }
        if let Some(spec) = data.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        let owners: Vec<_> =
            object.metadata.owner_references.unwrap_or_default().into_iter().map(|one| one.name).collect();
        let text = data.to_string().replace(&world.namespace, "NAMESPACE");
        all.insert(name, json!({"owners": owners, "content": serde_json::from_str::<Value>(&text).unwrap()}));
    }
    all
}

/// The passwords that consumers get are those that the engine has.
async fn assert_consistent(world: &World) {
    let published = world.secret("members-db-postgresql-binding").await;
    assert_eq!(world.login("members-db-postgresql").await, published["password"]);
    let served = world.secret("members-db-postgresql-tls").await;
    assert_eq!(served["ca.crt"].trim_end(), published["ca.crt"].trim_end());
    let keys = world.secret("members-signing-keys").await;
    assert_eq!(keys.keys().filter(|key| key.split_once(".pem").is_some()).count(), 1, "one key");
    assert!(keys.contains_key(&format!("{}.pem", keys["active"])));
}

/// One instance is enough: all are made in the same way.
async fn new_world() -> World {
    let world = World::new("faults").await;
    world.apply(binding("theirs")).await;
    world.apply(resource("AuthService", "members", json!({"cache": {"secretRef": {"name": "theirs"}}}))).await;
    world
}

/// Runs until the operator is killed, then lets a successor finish. Returns whether it was killed at all.
async fn killed_after(pass: usize, moment: Moment, expected: &BTreeMap<String, Value>) -> bool {
    let world = new_world().await;
    let fault = Fault { writes: Arc::default(), pass, moment };
    let victim = world.restarted(faulty_client(&fault).await);
    let mut killed = false;
    for _ in 0..6 {
        killed = victim.pass().await.is_err();
        if killed {
            break;
        }
        world.make_ready().await;
    }
    world.bring_up().await;
    let state = end_state(&world).await;
    assert_eq!(state.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{moment:?} write {pass}");
    for (name, object) in expected {
        assert_eq!(&state[name], object, "{name}, killed {moment:?} write {pass}");
    }
    assert_consistent(&world).await;
    killed
}

/// Killed before its first write, then after each one. Being killed before a write leaves the same state behind as being
/// killed after the one before it.
#[tokio::test]
async fn killed_at_any_write_the_successor_reaches_the_same_end() {
    let world = new_world().await;
    world.bring_up().await;
    let expected = end_state(&world).await;
    assert_consistent(&world).await;
    assert!(killed_after(0, Moment::Before, &expected).await);
    let (mut pass, mut everywhere) = (0, true);
    while everywhere {
        // Each waits for the API server most of the time.
        let some = (pass..pass + AT_ONCE).map(|pass| killed_after(pass, Moment::After, &expected));
        everywhere = join_all(some).await.into_iter().all(|killed| killed);
        pass += AT_ONCE;
    }
    assert!(pass > 20, "only {pass} writes were broken off");
}
