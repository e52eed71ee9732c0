//! `CacheInstance`: what its spec means to the shared pipeline of instances.

use portico_crds::CacheInstance;
use portico_crds::cache_instance::CacheEngine;
use portico_crds::common::names::EngineName;

use crate::instance::{InstanceController, InstanceKind, Request};

/// The controller of `CacheInstance`s.
pub type CacheInstanceController = InstanceController<CacheInstance>;

impl InstanceKind for CacheInstance {
    const CONTROLLER: &'static str = "cache-instance";

    fn engine(&self) -> EngineName {
        match self.spec.engine {
            CacheEngine::Valkey => EngineName::Valkey,
        }
    }

    fn request(&self) -> Request<'_> {
        let spec = &self.spec;
        Request {
            backend: spec.backend,
            image: spec.image.as_deref(),
            storage: spec.storage.as_ref(),
            resources: spec.resources.as_ref(),
            external_secret: spec.external.as_ref().map(|external| external.secret_ref.name.as_str()),
            deletion_policy: spec.deletion_policy,
        }
    }
}

#[cfg(test)]
mod tests;
