//! `DatabaseInstance`: what its spec means to the shared pipeline of instances.

use portico_crds::DatabaseInstance;
use portico_crds::common::names::EngineName;
use portico_crds::database_instance::DatabaseEngine;

use crate::instance::{InstanceController, InstanceKind, Request};

/// The controller of `DatabaseInstance`s.
pub type DatabaseInstanceController = InstanceController<DatabaseInstance>;

impl InstanceKind for DatabaseInstance {
    const CONTROLLER: &'static str = "database-instance";

    fn engine(&self) -> EngineName {
        match self.spec.engine {
            DatabaseEngine::PostgreSQL => EngineName::PostgreSql,
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
