//! `CacheInstance`: an in-memory store.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{
    Backend, DeletionPolicy, ExternalBackend, InstanceStatus, ResourceRequirements, Storage, resource,
};

/// What a `CacheInstance` should be.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "CacheInstance",
    plural = "cacheinstances",
    shortname = "cachei",
    category = "portico",
    namespaced,
    doc = "A cache server with one user. Consumers read the binding Secret that is named in status.binding.",
    status = "InstanceStatus",
    derive = "PartialEq",
    label("servicebinding.io/provisioned-service", "true"),
    printcolumn(name = "Engine", type_ = "string", json_path = ".spec.engine"),
    printcolumn(name = "Backend", type_ = "string", json_path = ".status.backend"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("metadata.name of a CacheInstance may have at most 40 characters; choose a shorter one"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be lower-case letters, digits and hyphens, a letter first and no hyphen last")
)]
#[x_kube(
    validation = Rule::new("(has(self.backend) && self.backend == 'External') == has(self.external)")
        .message("spec.external belongs to spec.backend External: set both or neither"),
    validation = Rule::new(concat!(
        "!(has(self.backend) && self.backend == 'External') || ",
        "!(has(self.storage) || has(self.resources) || has(self.image) || has(self.version))"
    )).message(concat!(
        "spec.storage, spec.resources, spec.image and spec.version describe what Portico runs; ",
        "remove them with spec.backend External"
    )),
    validation = Rule::new(
        "(has(self.backend) ? self.backend : 'Builtin') == (has(oldSelf.backend) ? oldSelf.backend : 'Builtin')"
    ).message("spec.backend cannot be changed; make a new instance"),
    validation = Rule::new("!has(self.version) || self.version == '8.1' || has(self.image)")
        .message("spec.version other than 8.1 needs spec.image: the operator has no image of it"),
    validation = Rule::new(concat!(
        "(has(self.storage) && has(self.storage.storageClassName)) == ",
        "(has(oldSelf.storage) && has(oldSelf.storage.storageClassName)) && ",
        "(!has(self.storage) || !has(self.storage.storageClassName) || ",
        "self.storage.storageClassName == oldSelf.storage.storageClassName)"
    )).message("spec.storage.storageClassName cannot be changed; make a new instance"),
    validation = Rule::new(concat!(
        "(has(self.storage) && has(self.storage.size) && !isQuantity(self.storage.size)) || ",
        "(has(oldSelf.storage) && has(oldSelf.storage.size) && !isQuantity(oldSelf.storage.size)) || ",
        "quantity(has(self.storage) && has(self.storage.size) ? self.storage.size : '1Gi').compareTo(",
        "quantity(has(oldSelf.storage) && has(oldSelf.storage.size) ? oldSelf.storage.size : '1Gi')) >= 0"
    )).message("spec.storage.size cannot shrink; keep it or choose a larger one")
)]
#[serde(rename_all = "camelCase")]
pub struct CacheInstanceSpec {
    /// The engine. It cannot be changed.
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("spec.engine cannot be changed; make a new instance")
    )]
    pub engine: CacheEngine,
    /// Who runs the engine. It cannot be changed. Default: Builtin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// Version of the engine. Default: 8.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]+(\.[0-9]+)*$"))]
    pub version: Option<String>,
    /// Image with the programs of the engine. Default: the one that the operator was installed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub image: Option<String>,
    /// Where the data lies. Default: 1Gi of the cluster's default storage class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub storage: Option<Storage>,
    /// Computing resources of the pod. Default: requests of 50m CPU and 64Mi memory, a limit of 256Mi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub resources: Option<ResourceRequirements>,
    /// How the engine is reached when somebody else runs it (`backend: External`). The Secret needs the keys
    /// `host`, `port`, `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub external: Option<ExternalBackend>,
    /// What happens to the data when the resource is deleted. Default: Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// The engines of a `CacheInstance`.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheEngine {
    /// Valkey.
    Valkey,
}

/// The version that runs when the spec names none.
pub const DEFAULT_VERSION: &str = "8.1";

resource::portico_resource!(kind CacheInstance => InstanceStatus);
