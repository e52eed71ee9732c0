//! `AccessGrant`: one consumer's access to an instance.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{BindingRef, DeletionPolicy, Rotation, TypedInstanceRef, conditions, resource, rules};

/// What an `AccessGrant` should be.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "AccessGrant",
    plural = "accessgrants",
    shortname = "grant",
    category = "portico",
    namespaced,
    doc = "One consumer's access to an instance: a database, virtual host, key prefix or bucket of its own with a user \
           that may do everything inside and nothing outside. The consumer reads the binding Secret that is named in \
           status.binding; the operator replaces its credentials without an outage.",
    status = "AccessGrantStatus",
    derive = "PartialEq",
    label("servicebinding.io/provisioned-service", "true"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.instanceRef.kind"),
    printcolumn(name = "Instance", type_ = "string", json_path = ".spec.instanceRef.name"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Rotated", type_ = "date", json_path = ".status.rotatedAt", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = rules::grant_name_length(),
    validation = rules::name_letters()
)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantSpec {
    /// The instance. It cannot be changed.
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("spec.instanceRef cannot be changed; make a new AccessGrant")
    )]
    pub instance_ref: TypedInstanceRef,
    /// Name of the database, virtual host, key prefix or bucket inside the instance; SQL databases have `_` for `-`. It
    /// cannot be changed. Default: the name of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 54), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("spec.space cannot be changed; make a new AccessGrant")
    )]
    pub space: Option<String>,
    /// When the credentials are replaced. Default: only on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub rotation: Option<Rotation>,
    /// What happens to the data inside the instance when this resource is deleted; the user goes in any case.
    /// Default: Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// What the operator reports about an `AccessGrant`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantStatus {
    /// The metadata.generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
    /// Where the engine listens, as `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub endpoint: Option<String>,
    /// The Secret through which the engine is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingRef>,
    /// The user in the binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub username: Option<String>,
    /// When the credentials in the binding were made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "conditions::time_schema")]
    pub rotated_at: Option<String>,
    /// The value of the annotation `portico.dev/rotate` that was last acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub rotation_request: Option<String>,
}

resource::portico_resource!(kind AccessGrant, status AccessGrantStatus);
