//! How a resource names what it needs. References never leave the namespace.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::instance::Storage;

/// Names a Secret of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret. It has to be in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}

/// Names an instance of the same namespace; which kind follows from the field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceRef {
    /// Name of the instance. It has to be in the same namespace.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}

/// Names an instance of any kind of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypedInstanceRef {
    /// Kind of the instance.
    pub kind: InstanceKindName,
    /// Name of the instance. It has to be in the same namespace.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}

/// The instance kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum InstanceKindName {
    /// A database.
    DatabaseInstance,
    /// A cache.
    CacheInstance,
    /// A message broker.
    BrokerInstance,
    /// An object store.
    ObjectStore,
}

impl InstanceKindName {
    /// As it is written in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DatabaseInstance => "DatabaseInstance",
            Self::CacheInstance => "CacheInstance",
            Self::BrokerInstance => "BrokerInstance",
            Self::ObjectStore => "ObjectStore",
        }
    }
}

/// An instance that the operator makes for this resource alone and that goes when the resource goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Managed {
    /// Where the data lies. Default: 1Gi of the cluster's default storage class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
}

/// Where a dependency comes from: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.managed), has(self.instanceRef), has(self.secretRef)].exists_one(given, given)")
        .message("set exactly one of managed, instanceRef and secretRef")
)]
pub struct DependencySource {
    /// The operator makes an instance of its own for this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
    /// An instance that somebody declared in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ref: Option<InstanceRef>,
    /// A binding Secret (servicebinding.io) of this namespace, for something that Portico does not run. Keys: `host`,
    /// `port`, `username`, `password`; a database also needs `database`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// A [`DependencySource`] that cannot be contradictory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// Made by the operator.
    Managed(Managed),
    /// Declared by somebody in the namespace; the name of the instance.
    Instance(String),
    /// Not run by Portico; the name of the binding Secret.
    Secret(String),
}

impl DependencySource {
    /// The one choice that was made, or `None` when it is not exactly one (which the API server refuses).
    pub fn choice(&self) -> Option<Dependency> {
        match (&self.managed, &self.instance_ref, &self.secret_ref) {
            (Some(managed), None, None) => Some(Dependency::Managed(managed.clone())),
            (None, Some(instance), None) => Some(Dependency::Instance(instance.name.clone())),
            (None, None, Some(secret)) => Some(Dependency::Secret(secret.name.clone())),
            _ => None,
        }
    }
}
