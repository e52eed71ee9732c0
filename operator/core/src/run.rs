//! The one runner of all controllers: watches in, bounded reconciles out, and what follows from how each ended.
//!
//! A failed reconcile ends here: its reason goes into the resource's conditions, its retry into the queue, and one
//! line into the log.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use kube::runtime::Controller as KubeController;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::{Client, Resource as _, ResourceExt as _};
use portico_crds::common::PorticoResource;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::context::Context;
use crate::controller::{Controller, Names, Outcome, Referenced};
use crate::error::{Failure, ReconcileError, Retry};
use crate::http::Health;
use crate::metrics::ReconcileResult;
use crate::status;
use crate::watch::{self, Meta, Meter};

/// How the controllers run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// Reconciles of one controller at once.
    pub concurrency: u16,
    /// Changes of one object within this time are one reconcile.
    pub debounce: Duration,
    /// An object that nothing touches is looked at again after about this time, because a watch can miss a change.
    pub resync: Duration,
    /// Longest reconcile.
    pub deadline: Duration,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            concurrency: 4,
            debounce: Duration::from_millis(100),
            resync: Duration::from_hours(6),
            deadline: Duration::from_mins(2),
        }
    }
}

type Start = Box<dyn FnOnce(Context, RunConfig, Health, CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// A controller that is ready to run, whatever its kind.
pub struct Registration {
    name: &'static str,
    start: Start,
}

impl Registration {
    /// Wraps a controller.
    pub fn new<C: Controller>(controller: C) -> Self {
        Self {
            name: C::NAME,
            start: Box::new(|cx, config, health, stop| run(controller, cx, config, health, stop).boxed()),
        }
    }

    /// The controller's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs until `stop` is cancelled and the reconciles that run have ended.
    pub fn run(
        self,
        cx: Context,
        config: RunConfig,
        health: Health,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        (self.start)(cx, config, health, stop)
    }
}

/// A reconcile did not end.
#[derive(Debug, thiserror::Error)]
#[error("the reconcile did not end within {0:?}; trying again")]
struct TimedOut(Duration);

impl ReconcileError for TimedOut {
    fn reason(&self) -> &'static str {
        "TimedOut"
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }
}

/// What all reconciles of one controller share.
struct Shared<C> {
    controller: C,
    cx: Context,
    config: RunConfig,
    backoff: Backoff,
}

async fn run<C: Controller>(controller: C, cx: Context, config: RunConfig, health: Health, stop: CancellationToken) {
    health.expect(C::NAME);
    cx.metrics.controller_started(C::NAME, config.concurrency);
    let owned = controller.owns();
    let cx = Context { applier: cx.applier.with_kinds(owned.iter().map(|kind| kind.0.clone())), ..cx };
    let shared = Arc::new(Shared { controller, cx, config, backoff: Backoff::default() });
    let meter = Meter { controller: C::NAME, metrics: shared.cx.metrics.clone(), clock: Arc::clone(&shared.cx.clock) };
    let client = shared.cx.client.clone();

    let (store, writer) = reflector::store();
    shared.cx.metrics.count(store.clone());
    let forgets = Arc::clone(&shared);
    let resources = watch::resources::<C::Kind, _>(&client, writer, &meter, move |object| forgets.forget(object));
    let queue = Config::default().debounce(shared.config.debounce).concurrency(shared.config.concurrency);
    let mut kube = KubeController::for_stream(resources, store.clone()).with_config(queue);
    for kind in owned {
        kube = kube.owns_stream_with(watch::owned(&client, &kind.0, &meter), kind.0);
    }
    for referenced in shared.controller.references() {
        kube = refer(kube, referenced, &client, &store, &meter);
    }
    for referring in shared.controller.referrers() {
        kube = (referring.attach)(kube, &client, &meter);
    }
    let ready = async move {
        if store.wait_until_ready().await.is_ok() {
            tracing::info!(controller = C::NAME, "running");
            health.ready(C::NAME);
        }
    };
    let reconciles = kube
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(|object, shared| async move { Ok(shared.step(object).await) }, never, shared)
        // What is left to say concerns objects that were deleted while they waited in the queue.
        .for_each(|_| std::future::ready(()));
    // When the reconciles end, the store's writer goes, and with it the wait for the store.
    tokio::join!(reconciles, ready);
}

/// Failures are dealt with in [`Shared::step`], which can also wait; this policy cannot.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is kube's")]
fn never<K, C>(_: Arc<K>, error: &Infallible, _: Arc<Shared<C>>) -> Action {
    match *error {}
}

/// Watches the objects that resources refer to. Which resources are meant is asked of the store when an object changes,
/// so nothing has to be indexed.
fn refer<K: PorticoResource>(
    controller: KubeController<K>,
    referenced: Referenced<K>,
    client: &Client,
    store: &Store<K>,
    meter: &Meter,
) -> KubeController<K> {
    let Referenced { resource, names } = referenced;
    let store = store.clone();
    let mapper = move |object: Meta| referrers(&store, &names, &object);
    controller.watches_stream_with(watch::referenced(client, &resource, meter), mapper, resource)
}

fn referrers<K: PorticoResource>(store: &Store<K>, names: &Names<K>, object: &Meta) -> Vec<ObjectRef<K>> {
    let (namespace, name) = (object.namespace(), object.name_any());
    store
        .state()
        .into_iter()
        .filter(|resource| resource.namespace() == namespace && names(resource).contains(&name))
        .map(|resource| ObjectRef::from_obj(resource.as_ref()))
        .collect()
}

impl<C: Controller> Shared<C> {
    /// Drops what is remembered of an object that is gone.
    fn forget(&self, object: &C::Kind) {
        let uid = object.uid().unwrap_or_default();
        self.backoff.reset(&uid);
        self.cx.applier.forget(&uid);
    }

    /// One reconcile from beginning to end, and when the next one comes.
    async fn step(&self, seen: Arc<C::Kind>) -> Action {
        let _active = self.cx.metrics.reconcile_started(C::NAME);
        let began = Instant::now();
        let uid = seen.uid().unwrap_or_default();
        let (result, action) = match self.attempt(&seen).await {
            Ok(outcome) => {
                self.backoff.reset(&uid);
                let result =
                    if outcome.requeue.is_some() { ReconcileResult::RequeueAfter } else { ReconcileResult::Success };
                (result, self.after(outcome.requeue))
            }
            Err(failure) => {
                let wait = self.wait(&uid, seen.meta().generation, failure.as_ref());
                tracing::warn!(
                    controller = C::NAME,
                    namespace = seen.namespace(),
                    name = seen.name_any(),
                    reason = failure.reason(),
                    message = failure.message(),
                    retry_seconds = wait.as_secs(),
                    "reconcile failed"
                );
                (ReconcileResult::Error, Action::requeue(wait))
            }
        };
        self.cx.metrics.reconciled(C::NAME, result, began.elapsed(), self.backoff.failing());
        action
    }

    /// Reads the resource, lets the controller work, and writes a failure into its status.
    async fn attempt(&self, seen: &C::Kind) -> Result<Outcome, Failure> {
        // What the queue holds may be older than our own last write; judging it would write things twice.
        let namespace = seen.namespace().unwrap_or_default();
        let Some(object) = self.cx.get::<C::Kind>(&namespace, &seen.name_any()).await? else {
            return Ok(Outcome::await_change());
        };
        let object = Arc::new(object);
        let deadline = self.config.deadline;
        if object.meta().deletion_timestamp.is_some() {
            let delete = self.controller.delete(object, &self.cx);
            return tokio::time::timeout(deadline, delete).await.unwrap_or_else(|_| Err(TimedOut(deadline).into()));
        }
        let cx = if object.paused() { self.cx.read_only() } else { self.cx.clone() };
        let reconcile = self.controller.reconcile(Arc::clone(&object), &cx);
        let result = match tokio::time::timeout(deadline, reconcile).await {
            Ok(result) => result,
            Err(_) => Err(TimedOut(deadline).into()),
        };
        if let Err(failure) = &result
            && let Err(error) = self.report(&cx, object.as_ref(), failure).await
        {
            tracing::warn!(controller = C::NAME, %error, "the failure could not be written into the status");
        }
        result
    }

    /// Writes a failure into the status of the object as it stands now: the controller may have written it before it
    /// failed.
    async fn report(&self, cx: &Context, object: &C::Kind, failure: &Failure) -> Result<(), Failure> {
        let namespace = object.namespace().unwrap_or_default();
        if let Some(object) = cx.get::<C::Kind>(&namespace, &object.name_any()).await? {
            status::publish_failure(cx, &object, failure).await?;
        }
        Ok(())
    }

    fn wait(&self, uid: &str, generation: Option<i64>, failure: &dyn ReconcileError) -> Duration {
        match failure.retry() {
            Retry::Backoff => self.backoff.failed(uid, generation, self.cx.rng.as_ref()),
            Retry::After(wait) => self.cx.rng.jitter(wait),
            Retry::OnChange => self.cx.rng.jitter(self.config.resync),
        }
    }

    fn after(&self, requeue: Option<Duration>) -> Action {
        Action::requeue(self.cx.rng.jitter(requeue.unwrap_or(self.config.resync)))
    }
}
