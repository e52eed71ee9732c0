//! `DatabaseInstance`: what its spec means to the shared pipeline of instances.

use portico_crds::DatabaseInstance;
use portico_crds::common::InstanceKindName;
use portico_crds::common::names::EngineName;
use portico_crds::database_instance::DatabaseEngine;

use crate::instance::{InstanceController, InstanceKind, Request, request};

/// The controller of `DatabaseInstance`s.
pub type DatabaseInstanceController = InstanceController<DatabaseInstance>;

impl InstanceKind for DatabaseInstance {
    const CONTROLLER: &'static str = "database-instance";
    const NAME: InstanceKindName = InstanceKindName::DatabaseInstance;

    fn engine(&self) -> EngineName {
        match self.spec.engine {
            DatabaseEngine::PostgreSQL => EngineName::PostgreSql,
            DatabaseEngine::MariaDB => EngineName::MariaDb,
            DatabaseEngine::DynamoDB => EngineName::DynamoDb,
        }
    }

    fn request(&self) -> Request<'_> {
        request!(self.spec)
    }
}

#[cfg(test)]
mod tests;
