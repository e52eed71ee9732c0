//! What a kind brings so that the machinery can run it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use kube::api::ApiResource;
use portico_crds::common::PorticoResource;

use crate::context::Context;
use crate::error::Failure;

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

impl<K> fmt::Debug for Referenced<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Referenced({})", self.resource.kind)
    }
}
