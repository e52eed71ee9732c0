//! `CacheInstance`: what its spec means to the shared pipeline of instances.

use portico_crds::CacheInstance;
use portico_crds::cache_instance::CacheEngine;
use portico_crds::common::InstanceKindName;
use portico_crds::common::names::EngineName;

use crate::instance::{InstanceController, InstanceKind, Request, request};

/// The controller of `CacheInstance`s.
pub type CacheInstanceController = InstanceController<CacheInstance>;

impl InstanceKind for CacheInstance {
    const CONTROLLER: &'static str = "cache-instance";
    const NAME: InstanceKindName = InstanceKindName::CacheInstance;

    fn engine(&self) -> EngineName {
        match self.spec.engine {
            CacheEngine::Valkey => EngineName::Valkey,
        }
    }

    fn request(&self) -> Request<'_> {
        request!(self.spec)
    }
}

#[cfg(test)]
mod tests;
