//! What the instance kinds share: who runs the engine, where its data lies, what is published.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::refs::SecretRef;
use super::rules;

/// Who runs the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Backend {
    /// An operator that is in the cluster already where Portico knows how to ask it, otherwise Builtin.
    #[default]
    Auto,
    /// Portico, as one pod with one volume. For laptops, tests and small sites.
    Builtin,
    /// An operator that is in the cluster already.
    Delegated,
    /// Somebody else; Portico only publishes the binding.
    External,
}

impl Backend {
    /// As it is written in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::Builtin => "Builtin",
            Self::Delegated => "Delegated",
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

/// Who signs the engine's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// An issuer of cert-manager. While cert-manager is not installed the instance waits. Default: Portico's own CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,
}

/// Names an issuer of cert-manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// Name of the issuer.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whether it is of the same namespace (Issuer) or of the whole cluster. Default: Issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<IssuerKind>,
}

/// The kinds of issuers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IssuerKind {
    /// Of the same namespace.
    #[default]
    Issuer,
    /// Of the whole cluster.
    ClusterIssuer,
}

impl IssuerKind {
    /// As cert-manager writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "Issuer",
            Self::ClusterIssuer => "ClusterIssuer",
        }
    }
}

/// When credentials are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// How old a credential may become, in whole hours, minutes and seconds: from 1h to 8760h. Default: it is replaced
    /// only when the annotation `portico.dev/rotate` gets a new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::duration("rotation.interval", "1h", "8760h", "720h"))]
    pub interval: Option<String>,
    /// How long the old credential stays valid at least beside the new one, from 10s to 24h. It has to be longer than a
    /// mounted Secret takes to arrive in a pod, about two minutes. It also stays as long as connections use it.
    /// Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::duration("rotation.overlap", "10s", "24h", "5m"))]
    pub overlap: Option<String>,
}

/// How long an old credential stays beside the new one when the spec says nothing, in seconds.
pub const DEFAULT_OVERLAP_SECONDS: u64 = 300;

/// The schema of `spec.parameters`: bounded names and values of one writer.
pub(crate) fn parameters_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 256, "description": "The value, as the engine takes it." },
        "x-kubernetes-map-type": "atomic",
    })
}

/// How an engine that Portico does not run is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.secretRef) || has(self.region)")
        .message("external needs secretRef, or region (DynamoDB with the pod's workload identity)")
)]
pub struct ExternalBackend {
    /// The Secret with the keys `host`, `port`, `username` and `password` (a database also `database`, a broker
    /// `virtual-host`, an object store and DynamoDB `access-key-id`, `secret-access-key` and `region` with an optional
    /// `endpoint`, and `bucket`; optional for all: `ca.crt`, `sslmode`, and `admin-username` with `admin-password` for
    /// making users of consumers). While it is missing the instance waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Region of AWS, for DynamoDB without a Secret: consumers then use the identity of their service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z0-9-]+$"))]
    pub region: Option<String>,
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
    /// Who runs the engine: Builtin, Delegated or External.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub backend: Option<String>,
    /// Where the engine listens, as `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub endpoint: Option<String>,
    /// Where copies for reading listen, as `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub read_endpoint: Option<String>,
    /// The Secret through which the engine is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingRef>,
}

super::resource::portico_resource!(status InstanceStatus);
