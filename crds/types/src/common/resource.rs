//! How generic code reads and writes the status that every kind has.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::NamespaceResourceScope;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

use super::labels::PAUSED_ANNOTATION;

/// The part of a status that every kind has.
pub trait ResourceStatus: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    /// The generation of the spec that this status describes.
    fn observed_generation(&self) -> Option<i64>;
    /// Says which generation of the spec this status describes.
    fn set_observed_generation(&mut self, generation: Option<i64>);
    /// The conditions, one of each type at most.
    fn conditions(&self) -> &[Condition];
    /// The conditions, to be changed.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
}

/// A kind of the group `portico.dev`.
pub trait PorticoResource:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The status of this kind.
    type Status: ResourceStatus + 'static;

    /// The status as it was last read; `None` before the operator has written it.
    fn status(&self) -> Option<&Self::Status>;

    /// The status to be changed; begins empty.
    fn status_mut(&mut self) -> &mut Self::Status;

    /// The conditions as they were last read.
    fn conditions(&self) -> &[Condition] {
        self.status().map_or(&[], ResourceStatus::conditions)
    }

    /// Whether the annotation `portico.dev/paused: "true"` asks the operator to write nothing.
    fn paused(&self) -> bool {
        self.meta().annotations.as_ref().and_then(|all| all.get(PAUSED_ANNOTATION)).is_some_and(|value| value == "true")
    }
}

/// Implements [`ResourceStatus`] and [`PorticoResource`] for a kind whose status has `observed_generation` and
/// `conditions`.
macro_rules! portico_resource {
    (kind $kind:ty, status $status:ty) => {
        $crate::common::resource::portico_resource!(status $status);
        $crate::common::resource::portico_resource!(kind $kind => $status);
    };
    (status $status:ty) => {
        impl $crate::common::ResourceStatus for $status {
            fn observed_generation(&self) -> Option<i64> {
                self.observed_generation
            }
            fn set_observed_generation(&mut self, generation: Option<i64>) {
                self.observed_generation = generation;
            }
            fn conditions(&self) -> &[::k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
                &self.conditions
            }
            fn conditions_mut(&mut self) -> &mut Vec<::k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
                &mut self.conditions
            }
        }
    };
    (kind $kind:ty => $status:ty) => {
        impl $crate::common::PorticoResource for $kind {
            type Status = $status;
            fn status(&self) -> Option<&$status> {
                self.status.as_ref()
            }
            fn status_mut(&mut self) -> &mut $status {
                self.status.get_or_insert_default()
            }
        }
    };
}
pub(crate) use portico_resource;
