//! The pipeline of every instance kind: an engine that runs here or somewhere else, published as a binding.

pub mod build;
pub mod inputs;
pub mod status;
pub mod validate;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use portico_crds::common::names::{EngineName, InstanceName};
use portico_crds::common::{Backend, DeletionPolicy, InstanceStatus, PorticoResource, ResourceRequirements, Storage};
use portico_operator_core::error::Failure;
use portico_operator_core::{Context, Controller, Outcome, OwnedKind, Referenced, status as core_status};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::Platform;

/// How often an instance that is not available is looked at: no watch tells why a pod does not start.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A kind whose resources become one engine each.
pub trait InstanceKind: PorticoResource<Status = InstanceStatus> {
    /// The controller's name in logs and metrics.
    const CONTROLLER: &'static str;

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
    /// The image.
    pub image: Option<&'a str>,
    /// The volume.
    pub storage: Option<&'a Storage>,
    /// The resources.
    pub resources: Option<&'a ResourceRequirements>,
    /// The Secret of an engine that somebody else runs.
    pub external_secret: Option<&'a str>,
    /// What happens to the data.
    pub deletion_policy: Option<DeletionPolicy>,
}

/// The controller of an instance kind.
#[derive(Debug)]
pub struct InstanceController<K> {
    platform: Arc<Platform>,
    kind: PhantomData<fn() -> K>,
}

impl<K> InstanceController<K> {
    /// A controller of resources of kind `K`.
    pub fn new(platform: Arc<Platform>) -> Self {
        Self { platform, kind: PhantomData }
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
        ]
    }

    /// Retained objects have no owner, so they are found by name, as what the user refers to is.
    fn references(&self) -> Vec<Referenced<K>> {
        let name = |object: &K| InstanceName::new(&object.name_any(), object.engine()).ok();
        vec![
            Referenced::secrets(move |object: &K| {
                let external = object.request().external_secret.map(str::to_owned);
                external.into_iter().chain(name(object).map(|name| name.credentials())).collect()
            }),
            Referenced::of::<PersistentVolumeClaim>(move |object: &K| {
                name(object).map(|name| name.claim()).into_iter().collect()
            }),
        ]
    }

    async fn reconcile(&self, object: Arc<K>, cx: &Context) -> Result<Outcome, Failure> {
        let name = InstanceName::new(&object.name_any(), object.engine()).map_err(validate::Invalid::from)?;
        let inputs = inputs::fetch(cx, object.as_ref(), &name).await?;
        let valid = validate::validate(&self.platform, object.as_ref(), name, &inputs)?;
        let desired = build::build(&valid);
        let applied = cx.applier.apply(object.as_ref(), desired).await?;
        let (status, waits) = status::status(object.as_ref(), &valid, &inputs, &applied, cx.clock.now());
        core_status::publish(cx, object.as_ref(), status).await?;
        Ok(if waits { Outcome::requeue(LOOK_AGAIN) } else { Outcome::await_change() })
    }
}
