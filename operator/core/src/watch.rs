//! Watches, each with its own back-off.
//!
//! kube's `Controller` merges all its watches and backs off as a whole when one of them errs, so one kind that cannot
//! be read would stop all the others. Here an error is logged, counted and taken out before the controller sees it;
//! the watch that erred waits by itself. Children and referenced objects are watched as metadata only, and nothing is
//! kept of them.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, future};
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{Predicate as _, PredicateConfig, WatchStreamExt as _, predicates, reflector};
use kube::{Api, Client, Resource, ResourceExt as _};
use portico_crds::common::PorticoResource;
use portico_crds::common::labels::{MANAGED_BY, MANAGED_BY_LABEL};
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::metrics::Metrics;

/// Metadata of an object of a kind known at run time.
pub(crate) type Meta = PartialObjectMeta<DynamicObject>;

/// Counts what a controller's watches see.
#[derive(Clone)]
pub(crate) struct Meter {
    pub(crate) controller: &'static str,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Objects that the operator made, of one kind, whenever one changes or goes.
pub(crate) fn owned(
    client: &Client,
    kind: &ApiResource,
    meter: &Meter,
) -> impl Stream<Item = watcher::Result<Meta>> + Send + use<> {
    let ours = watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
    metadata(client, kind, ours, meter)
}

/// All objects of one kind, whenever one changes or goes.
pub(crate) fn referenced(
    client: &Client,
    kind: &ApiResource,
    meter: &Meter,
) -> impl Stream<Item = watcher::Result<Meta>> + Send + use<> {
    metadata(client, kind, watcher::Config::default(), meter)
}

fn metadata(
    client: &Client,
    kind: &ApiResource,
    config: watcher::Config,
    meter: &Meter,
) -> impl Stream<Item = watcher::Result<Meta>> + Send + use<> {
    let api: Api<Meta> = Api::all_with(client.clone(), kind);
    steady(api, config, kind.kind.clone(), meter.clone()).touched_objects()
}

/// The resources of one kind, kept in a store without what no reconcile reads; passes on those whose spec, labels or
/// annotations changed. `gone` hears of each that was deleted.
pub(crate) fn resources<K, F>(
    client: &Client,
    writer: reflector::store::Writer<K>,
    meter: &Meter,
    gone: F,
) -> impl Stream<Item = watcher::Result<K>> + Send + use<K, F>
where
    K: PorticoResource,
    F: Fn(&K) + Send + 'static,
{
    // An object that no longer parses must not end the watch of its kind.
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let kind = K::kind(&()).into_owned();
    steady(api, watcher::Config::default(), kind, meter.clone())
        .filter_map(|event| future::ready(event.map(readable).transpose()))
        .inspect(move |event| {
            if let Ok(Event::Delete(object)) = event {
                gone(object);
            }
        })
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::labels).combine(predicates::annotations),
            PredicateConfig::default(),
        )
}

/// Resources of another kind that name ours. Nothing is kept of them.
pub(crate) fn referring<R: PorticoResource>(
    client: &Client,
    meter: &Meter,
) -> impl Stream<Item = watcher::Result<R>> + Send + use<R> {
    let api: Api<DeserializeGuard<R>> = Api::all(client.clone());
    let kind = R::kind(&()).into_owned();
    steady(api, watcher::Config::default(), kind, meter.clone())
        .filter_map(|event| future::ready(event.map(readable).transpose()))
        .touched_objects()
}

/// A watch that backs off by itself and never errs.
fn steady<K>(
    api: Api<K>,
    config: watcher::Config,
    kind: String,
    meter: Meter,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource<DynamicType: Clone + Debug + Eq + Hash> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, config).default_backoff().filter(move |event| {
        match event {
            Ok(_) => meter.metrics.watch_event(meter.controller, &kind, meter.clock.now()),
            Err(error) => {
                tracing::warn!(controller = meter.controller, kind, %error, "watch failed, trying again");
                meter.metrics.watch_error(meter.controller, &kind);
            }
        }
        future::ready(event.is_ok())
    })
}

/// The event with the object itself; `None` for an object that does not parse.
fn readable<K: PorticoResource>(event: Event<DeserializeGuard<K>>) -> Option<Event<K>> {
    let parsed = |guarded: DeserializeGuard<K>| match guarded.0 {
        Ok(object) => Some(object),
        Err(invalid) => {
            let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name);
            tracing::error!(kind = %K::kind(&()), namespace, name, error = invalid.error,
                "an object does not match its kind any more and is left alone; correct or delete it");
            None
        }
    };
    Some(match event {
        Event::Apply(object) => Event::Apply(parsed(object)?),
        Event::Delete(object) => Event::Delete(parsed(object)?),
        Event::InitApply(object) => Event::InitApply(parsed(object)?),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}
