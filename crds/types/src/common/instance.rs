//! What the instance kinds share: who runs the engine, where its data lies, what is published.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refs::SecretRef;

/// Who runs the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Backend {
    /// The operator, as one pod with one volume. For laptops, tests and small sites.
    #[default]
    Builtin,
    /// Somebody else; the operator only publishes the binding.
    External,
}

impl Backend {
    /// As it is written in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Builtin => "Builtin",
            Self::External => "External",
        }
    }
}

/// Where the data of a builtin engine lies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of the volume in bytes, as a Kubernetes quantity such as `10Gi`. It can grow, never shrink. Default: 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))")
            .message("storage.size must be a quantity of bytes above 0, such as 10Gi")
    )]
    pub size: Option<String>,
    /// Name of the StorageClass. It cannot be changed. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub storage_class_name: Option<String>,
}

/// The size of a volume when the spec names none.
pub const DEFAULT_STORAGE_SIZE: &str = "1Gi";

/// How an engine that Portico does not run is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalBackend {
    /// The Secret with the keys `host`, `port`, `username` and `password` (a database also needs `database`; optional:
    /// `ca.crt`, `sslmode`). While it is missing the instance waits.
    pub secret_ref: SecretRef,
}

/// Names the binding Secret (servicebinding.io, Provisioned Service).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BindingRef {
    /// Name of the Secret in the same namespace.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// What the operator reports about an instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// The metadata.generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::conditions::schema")]
    pub conditions: Vec<Condition>,
    /// Who runs the engine: Builtin or External.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub backend: Option<String>,
    /// Where the engine listens, as `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub endpoint: Option<String>,
    /// The Secret through which the engine is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingRef>,
}

super::resource::portico_resource!(status InstanceStatus);
