//! Labels and annotations that other people and tools may rely on.

use std::collections::BTreeMap;

use super::refs::InstanceKindName;

/// Set to `"true"` on a resource, the operator writes none of its objects but keeps its status fresh.
pub const PAUSED_ANNOTATION: &str = "portico.dev/paused";
/// A new value of this annotation on an instance or a grant asks for new credentials, on an `AuthService` for a new
/// signing key.
pub const ROTATE_ANNOTATION: &str = "portico.dev/rotate";
/// A new value of this annotation on an instance asks for a new certificate.
pub const ROTATE_CERTIFICATE_ANNOTATION: &str = "portico.dev/rotate-certificate";
/// Set to `"true"` on an instance that is being deleted, its consumers no longer hold it.
pub const FORCE_DELETION_ANNOTATION: &str = "portico.dev/force-deletion";
/// Keeps a deleted instance while others use it.
pub const IN_USE_FINALIZER: &str = "portico.dev/in-use";
/// Keeps a deleted grant until its user is gone from the instance.
pub const ACCESS_FINALIZER: &str = "portico.dev/access";
/// The kind of the custom resource that an object belongs to.
pub const KIND_LABEL: &str = "portico.dev/kind";
/// The value of `app.kubernetes.io/managed-by` on every object that the operator makes.
pub const MANAGED_BY: &str = "portico";
/// The label of `app.kubernetes.io/managed-by`.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The label of the program that an object belongs to.
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
/// The label of the custom resource's name.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// On a namespace, `"true"` lets its pods read the metrics ports.
pub const MONITORING_LABEL: &str = "portico.dev/monitoring";
/// Value of the label [`consumer`].
pub const CONSUMER: &str = "consumer";

/// What the labels of one custom resource's objects say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The program: `auth-service`, `postgresql`, `valkey`.
    pub program: &'a str,
    /// The name of the custom resource.
    pub instance: &'a str,
    /// Its part in the platform: `service`, `database`, `cache`.
    pub component: &'a str,
    /// The kind of the custom resource.
    pub kind: &'a str,
}

impl Identity<'_> {
    /// The labels of every object.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        labels.extend(
            [
                ("app.kubernetes.io/component", self.component),
                ("app.kubernetes.io/part-of", "portico"),
                (MANAGED_BY_LABEL, MANAGED_BY),
                (KIND_LABEL, self.kind),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        labels
    }

    /// The labels that select the pods. Selectors cannot be changed later, so they hold the least that is unique.
    pub fn selector(&self) -> BTreeMap<String, String> {
        [(NAME_LABEL, self.program), (INSTANCE_LABEL, self.instance)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }
}

/// The label key of pods that may reach the instance `name` of their namespace; the value is [`CONSUMER`].
pub fn consumer(kind: InstanceKindName, name: &str) -> String {
    let prefix = match kind {
        InstanceKindName::DatabaseInstance => "database",
        InstanceKindName::CacheInstance => "cache",
        InstanceKindName::BrokerInstance => "broker",
        InstanceKindName::ObjectStore => "object-store",
    };
    format!("{prefix}.portico.dev/{name}")
}
