//! `ObjectStore`: what its spec means to the shared pipeline of instances.

use portico_crds::ObjectStore;
use portico_crds::common::InstanceKindName;
use portico_crds::common::names::EngineName;
use portico_crds::object_store::ObjectStoreEngine;

use crate::instance::{InstanceController, InstanceKind, Request, request};

/// The controller of `ObjectStore`s.
pub type ObjectStoreController = InstanceController<ObjectStore>;

impl InstanceKind for ObjectStore {
    const CONTROLLER: &'static str = "object-store";
    const NAME: InstanceKindName = InstanceKindName::ObjectStore;

    fn engine(&self) -> EngineName {
        match self.spec.engine {
            ObjectStoreEngine::S3 => EngineName::Garage,
        }
    }

    fn request(&self) -> Request<'_> {
        request!(self.spec)
    }
}

#[cfg(test)]
mod tests;
