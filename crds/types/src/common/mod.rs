//! What the kinds share: names, references, quantities, durations, conditions. Plain data, no kind of ours in it.

pub mod conditions;
pub mod durations;
pub mod instance;
pub(crate) mod instance_kind;
pub mod labels;
pub mod names;
pub mod quantities;
pub mod refs;
pub mod resource;
pub(crate) mod rules;
pub mod workload;

pub use conditions::{ConditionType, reasons};
pub use instance::{
    Backend, BindingRef, ExternalBackend, InstanceStatus, IssuerKind, IssuerRef, Rotation, Storage, Tls,
};
pub use refs::{Dependency, DependencySource, InstanceKindName, InstanceRef, Managed, SecretRef, TypedInstanceRef};
pub use resource::{PorticoResource, ResourceStatus};
pub use workload::{Autoscaling, DeletionPolicy, ResourceAmounts, ResourceRequirements};
