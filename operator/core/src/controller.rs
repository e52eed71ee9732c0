//! What a kind brings so that the machinery can run it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ApiResource;
use kube::runtime::Controller as KubeController;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource, ResourceExt as _};
use portico_crds::common::PorticoResource;

use crate::context::Context;
use crate::error::Failure;
use crate::watch::{self, Meter};

/// The reconciler of one kind.
pub trait Controller: Send + Sync + 'static {
    /// The kind.
    type Kind: PorticoResource;

    /// The name in logs and metrics, such as `auth-service`.
    const NAME: &'static str;

    /// The kinds of the objects that it makes. Each is watched as metadata, and searched for orphans.
    fn owns(&self) -> Vec<OwnedKind>;

    /// Objects of the same namespace that a resource refers to and does not own.
    fn references(&self) -> Vec<Referenced<Self::Kind>> {
        Vec::new()
    }

    /// Brings the cluster to what the resource asks for, and publishes its status. Called again whenever the resource,
    /// an owned or a referenced object changes; never twice at once for one resource. Not called for a resource that
    /// is being deleted. While the resource is paused, `cx` holds an applier that does not write.
    fn reconcile(&self, object: Arc<Self::Kind>, cx: &Context)
    -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Kinds whose resources refer to those of this kind.
    fn referrers(&self) -> Vec<Referring<Self::Kind>> {
        Vec::new()
    }

    /// What is left to do for a resource that is being deleted. Only a kind that sets finalizers has something: it
    /// removes its finalizer ([`crate::finalizer::remove`]) when all is done. Everything else is collected by
    /// Kubernetes, and writing now would make children that are collected again.
    fn delete(&self, _object: Arc<Self::Kind>, _cx: &Context) -> impl Future<Output = Result<Outcome, Failure>> + Send {
        std::future::ready(Ok(Outcome::await_change()))
    }
}

/// How a reconcile ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// When to look again though nothing changed. `None` waits for a change (or for the resync, hours later).
    pub requeue: Option<Duration>,
}

impl Outcome {
    /// Nothing to do before something changes.
    pub const fn await_change() -> Self {
        Self { requeue: None }
    }

    /// Look again after this time, for what cannot be watched.
    pub const fn requeue(after: Duration) -> Self {
        Self { requeue: Some(after) }
    }
}

/// A kind of owned object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedKind(pub(crate) ApiResource);

impl OwnedKind {
    /// The kind `K`.
    pub fn of<K>() -> Self
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Self(ApiResource::erase::<K>(&()))
    }
}

/// Gives the names of the objects that a resource refers to.
pub(crate) type Names<K> = Arc<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// A kind of object that resources refer to by name, in their own namespace.
pub struct Referenced<K> {
    pub(crate) resource: ApiResource,
    pub(crate) names: Names<K>,
}

impl<K> Referenced<K> {
    /// Objects of kind `R`; `names` says which of them a resource refers to.
    pub fn of<R>(names: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Self
    where
        R: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Self { resource: ApiResource::erase::<R>(&()), names: Arc::new(names) }
    }

    /// Secrets; `names` says which of them a resource refers to. Only their metadata is watched.
    pub fn secrets(names: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self::of::<Secret>(names)
    }
}

/// Adds a watch to a controller.
type Attach<K> = Box<dyn FnOnce(KubeController<K>, &Client, &Meter) -> KubeController<K> + Send>;

/// Custom resources that refer to those of a controller: a change of one wakes what it names. The other direction than
/// [`Referenced`].
pub struct Referring<K: PorticoResource> {
    pub(crate) attach: Attach<K>,
}

impl<K: PorticoResource> Referring<K> {
    /// Resources of kind `R`; `names` gives the resources of the controller's kind that one of them names, in its own
    /// namespace.
    pub fn of<R: PorticoResource>(names: impl Fn(&R) -> Vec<String> + Send + Sync + 'static) -> Self {
        let attach = move |controller: KubeController<K>, client: &Client, meter: &Meter| {
            let wakes = move |referrer: R| {
                let namespace = referrer.namespace().unwrap_or_default();
                names(&referrer).into_iter().map(|name| ObjectRef::new(&name).within(&namespace)).collect::<Vec<_>>()
            };
            controller.watches_stream(watch::referring::<R>(client, meter), wakes)
        };
        Self { attach: Box::new(attach) }
    }
}

impl<K> fmt::Debug for Referenced<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Referenced({})", self.resource.kind)
    }
}
