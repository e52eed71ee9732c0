//! The pipeline of every instance kind: an engine that runs here or somewhere else, published as a binding.

mod authority;
pub(crate) mod backend;
pub mod build;
pub mod certificate;
pub mod deletion;
mod growth;
pub mod inputs;
mod serving;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod validate;
pub(crate) mod view;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use portico_crds::AccessGrant;
use portico_crds::common::names::{EngineName, InstanceName};
use portico_crds::common::{
    Backend, DeletionPolicy, ExternalBackend, InstanceKindName, InstanceStatus, PorticoResource, ResourceRequirements,
    Rotation, Storage, Tls, labels,
};
use portico_operator_backends::certificates::AUTHORITY;
use portico_operator_core::error::Failure;
use portico_operator_core::{
    Context, Controller, Outcome, OwnedKind, Referenced, Referring, finalizer, status as core_status,
};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::{Platform, Reach, graph};

/// How often an instance that is not available is looked at: no watch tells why a pod does not start.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What is due later than this is seen by the look at everything that comes in between.
const FAR: Duration = Duration::from_hours(5);

/// A kind whose resources become one engine each.
pub trait InstanceKind: PorticoResource<Status = InstanceStatus> {
    /// The controller's name in logs and metrics.
    const CONTROLLER: &'static str;

    /// The kind, as grants name it.
    const NAME: InstanceKindName;

    /// The engine that a resource of this kind has.
    fn engine(&self) -> EngineName;

    /// What the spec asks for, in words that all instance kinds share.
    fn request(&self) -> Request<'_>;
}

/// What the spec of an instance asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who runs the engine.
    pub backend: Option<Backend>,
    /// The version.
    pub version: Option<&'a str>,
    /// The image.
    pub image: Option<&'a str>,
    /// The volume.
    pub storage: Option<&'a Storage>,
    /// The resources.
    pub resources: Option<&'a ResourceRequirements>,
    /// Settings of the engine.
    pub parameters: Option<&'a BTreeMap<String, String>>,
    /// Copies for reading.
    pub read_replicas: Option<i32>,
    /// Who signs the certificate.
    pub tls: Option<&'a Tls>,
    /// When the credentials of the instance's own binding are replaced.
    pub rotation: Option<&'a Rotation>,
    /// How an engine is reached that somebody else runs.
    pub external: Option<&'a ExternalBackend>,
    /// What happens to the data.
    pub deletion_policy: Option<DeletionPolicy>,
}

impl<'a> Request<'a> {
    /// The Secret of an engine that somebody else runs.
    pub fn external_secret(&self) -> Option<&'a str> {
        self.external.and_then(|external| external.secret_ref.as_ref()).map(|secret| secret.name.as_str())
    }
}

/// The [`Request`] in a spec; every instance kind has the same fields.
macro_rules! request {
    ($spec:expr) => {
        $crate::instance::Request {
            backend: $spec.backend,
            version: $spec.version.as_deref(),
            image: $spec.image.as_deref(),
            storage: $spec.storage.as_ref(),
            resources: $spec.resources.as_ref(),
            parameters: $spec.parameters.as_ref(),
            read_replicas: $spec.read_replicas,
            tls: $spec.tls.as_ref(),
            rotation: $spec.rotation.as_ref(),
            external: $spec.external.as_ref(),
            deletion_policy: $spec.deletion_policy,
        }
    };
}
pub(crate) use request;

/// The controller of an instance kind.
pub struct InstanceController<K> {
    platform: Arc<Platform>,
    reach: Reach,
    kind: PhantomData<fn() -> K>,
}

impl<K> InstanceController<K> {
    /// A controller of resources of kind `K` that reaches their engines through `reach`.
    pub fn new(platform: Arc<Platform>, reach: Reach) -> Self {
        Self { platform, reach, kind: PhantomData }
    }
}

impl<K: InstanceKind> Controller for InstanceController<K> {
    type Kind = K;
    const NAME: &'static str = K::CONTROLLER;

    fn owns(&self) -> Vec<OwnedKind> {
        vec![
            OwnedKind::of::<ServiceAccount>(),
            OwnedKind::of::<Secret>(),
            OwnedKind::of::<ConfigMap>(),
            OwnedKind::of::<NetworkPolicy>(),
            OwnedKind::of::<Service>(),
            OwnedKind::of::<PersistentVolumeClaim>(),
            OwnedKind::of::<StatefulSet>(),
            OwnedKind::of::<AccessGrant>(),
        ]
    }

    /// Retained objects have no owner, so they are found by name, as what the user refers to is.
    fn references(&self) -> Vec<Referenced<K>> {
        let name = |object: &K| InstanceName::new(&object.name_any(), object.engine()).ok();
        vec![
            Referenced::secrets(move |object: &K| {
                let external = object.request().external_secret().map(str::to_owned);
                let names = name(object).into_iter().flat_map(|name| [name.credentials(), name.tls()]);
                external.into_iter().chain(names).chain([AUTHORITY.to_owned()]).collect()
            }),
            Referenced::of::<PersistentVolumeClaim>(move |object: &K| {
                name(object).map(|name| name.claim()).into_iter().collect()
            }),
        ]
    }

    /// Whoever uses an instance keeps it from being deleted.
    fn referrers(&self) -> Vec<Referring<K>> {
        vec![Referring::of::<AccessGrant>(|grant| {
            let ends = graph::consumers::ends(grant).into_iter().filter(|instance| instance.kind == K::NAME);
            ends.map(|instance| instance.name).collect()
        })]
    }

    async fn reconcile(&self, object: Arc<K>, cx: &Context) -> Result<Outcome, Failure> {
        let name = InstanceName::new(&object.name_any(), object.engine()).map_err(validate::Invalid::from)?;
        let inputs = Box::pin(inputs::fetch(cx, object.as_ref(), &name)).await?;
        // Before the status is written: its version is the one that was read.
        if !inputs.consumers.is_empty() {
            finalizer::ensure(cx, object.as_ref(), labels::IN_USE_FINALIZER).await?;
        } else if object.meta().deletion_timestamp.is_none() {
            finalizer::remove(cx, object.as_ref(), labels::IN_USE_FINALIZER).await?;
        }
        let valid = validate::validate(&self.platform, object.as_ref(), name, &inputs)?;
        let (applied, refusal) = growth::apply(cx, object.as_ref(), &valid).await?;
        let serving = serving::look(&self.reach, cx, object.as_ref(), &valid, &applied).await;
        let storage = growth::verdict(&valid, &applied, refusal.as_ref());
        let certificate = serving.verdict;
        let found = status::Found { inputs: &inputs, applied: &applied, certificate, storage };
        let now = cx.clock.now();
        let (status, waits) = status::status(object.as_ref(), &valid, &found, now);
        core_status::publish(cx, object.as_ref(), status).await?;
        let due = inputs.certificate.due(now).filter(|due| *due < FAR);
        let waits = waits.then_some(LOOK_AGAIN);
        let refused = refusal.map(|_| growth::TRY_AGAIN);
        Ok(Outcome { requeue: [waits, serving.again, refused, due].into_iter().flatten().min() })
    }

    /// An instance in use goes on as if nothing had been asked, and says who uses it.
    async fn delete(&self, object: Arc<K>, cx: &Context) -> Result<Outcome, Failure> {
        let held = object.finalizers().iter().any(|finalizer| finalizer == labels::IN_USE_FINALIZER);
        if !held {
            return Ok(Outcome::await_change());
        }
        let consumers = deletion::consumers(cx, object.as_ref()).await?;
        if consumers.is_empty() || deletion::forced(object.as_ref()) {
            finalizer::remove(cx, object.as_ref(), labels::IN_USE_FINALIZER).await?;
            return Ok(Outcome::await_change());
        }
        Box::pin(self.reconcile(object, cx)).await
    }
}
