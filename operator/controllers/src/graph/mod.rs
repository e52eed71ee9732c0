//! Who needs what, described once: each kind says its edges, and from them follow the watches, what is waited for, the
//! labels and network policies that open the way, and who keeps an instance from being deleted.
//!
//! Every use of an instance goes through an `AccessGrant`, also that of an instance which the operator made for one
//! service alone. So the grants of a namespace are all uses of its instances.

pub mod consumers;
mod grant;
pub mod link;
pub mod network;
pub mod observe;
#[cfg(test)]
mod tests;
pub mod verdict;

use portico_crds::common::names::GrantName;
use portico_crds::common::{InstanceKindName, PorticoResource, TypedInstanceRef};
use portico_crds::{BrokerInstance, CacheInstance, DatabaseInstance, ObjectStore};
use portico_operator_core::Referenced;

/// One resource needs another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// What for, in one word.
    pub role: &'static str,
    /// Whom.
    pub target: Target,
}

/// What is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An instance, used through a grant.
    Grant {
        /// The grant.
        name: String,
        /// The instance that it opens.
        instance: TypedInstanceRef,
        /// Whether the operator makes the instance, too.
        managed: bool,
    },
    /// An instance itself; only a grant needs it so.
    Instance(TypedInstanceRef),
    /// A binding Secret of something that Portico does not run.
    Secret(String),
}

impl Edge {
    /// The instance at the end, if it is one.
    pub fn instance(&self) -> Option<&TypedInstanceRef> {
        match &self.target {
            Target::Grant { instance, .. } | Target::Instance(instance) => Some(instance),
            Target::Secret(_) => None,
        }
    }

    /// The grant, if it goes through one.
    pub fn grant(&self) -> Option<&str> {
        match &self.target {
            Target::Grant { name, .. } => Some(name),
            Target::Instance(_) | Target::Secret(_) => None,
        }
    }

    /// The binding Secret that is mounted.
    pub fn secret(&self) -> Option<String> {
        match &self.target {
            Target::Grant { name, .. } => GrantName::new(name).ok().map(|name| name.binding()),
            Target::Secret(name) => Some(name.clone()),
            Target::Instance(_) => None,
        }
    }
}

/// A kind whose resources need others.
pub trait Needs: PorticoResource {
    /// The kinds of instances that its edges can end at.
    const ENDS: &'static [InstanceKindName];

    /// What a resource needs, as its spec says; nothing for a spec that contradicts itself.
    fn edges(&self) -> Vec<Edge>;

    /// Other Secrets that it has to do with, by name.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What has to be watched for resources of a kind: the Secrets and the instances at the ends of their edges. Grants are
/// not among them, because who uses one owns it.
pub fn references<K: Needs>() -> Vec<Referenced<K>> {
    let secrets = Referenced::secrets(|object: &K| {
        object.edges().iter().filter_map(Edge::secret).chain(object.secrets()).collect()
    });
    std::iter::once(secrets).chain(K::ENDS.iter().map(|kind| instances(*kind))).collect()
}

fn instances<K: Needs>(kind: InstanceKindName) -> Referenced<K> {
    let names = move |object: &K| {
        let edges = object.edges();
        let instances = edges.iter().filter_map(Edge::instance).filter(|instance| instance.kind == kind);
        instances.map(|instance| instance.name.clone()).collect()
    };
    match kind {
        InstanceKindName::DatabaseInstance => Referenced::of::<DatabaseInstance>(names),
        InstanceKindName::CacheInstance => Referenced::of::<CacheInstance>(names),
        InstanceKindName::BrokerInstance => Referenced::of::<BrokerInstance>(names),
        InstanceKindName::ObjectStore => Referenced::of::<ObjectStore>(names),
    }
}
