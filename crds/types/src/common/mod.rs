//! What the kinds share: names, references, quantities, durations, conditions. Plain data, no kind of ours in it.

pub mod conditions;
pub mod durations;
pub mod instance;
pub mod labels;
pub mod names;
pub mod quantities;
pub mod refs;
pub mod resource;
pub mod workload;

pub use conditions::{ConditionType, reasons};
pub use instance::{Backend, BindingRef, ExternalBackend, InstanceStatus, Storage};
pub use refs::{Dependency, DependencySource, InstanceRef, Managed, SecretRef};
pub use resource::{PorticoResource, ResourceStatus};
pub use workload::{Autoscaling, DeletionPolicy, ResourceAmounts, ResourceRequirements};
