//! The instances that the service has for itself alone. Their own controllers run them.

use portico_crds::cache_instance::{CacheEngine, CacheInstanceSpec};
use portico_crds::database_instance::{DatabaseEngine, DatabaseInstanceSpec};
use portico_crds::{CacheInstance, DatabaseInstance};
use portico_operator_core::Desired;

use super::metadata;
use crate::auth_service::dependency::{Role, Wanted};
use crate::auth_service::validate::ValidAuthService;

/// The objects. They take over the service's deletion policy, because it is their data that it speaks of.
pub(super) fn build(service: &ValidAuthService) -> Desired {
    let mut desired = Desired::new();
    for dependency in &service.dependencies {
        let Wanted::Managed { name, spec } = &dependency.wanted else { continue };
        let metadata = metadata(&service.name, name.clone());
        let (storage, deletion_policy) = (spec.storage.clone(), Some(service.deletion_policy));
        match dependency.role {
            Role::Database => {
                let spec = DatabaseInstanceSpec::new(DatabaseEngine::PostgreSQL);
                let spec = DatabaseInstanceSpec { storage, deletion_policy, ..spec };
                desired.push(DatabaseInstance { metadata, spec, status: None });
            }
            Role::Cache => {
                let spec = CacheInstanceSpec::new(CacheEngine::Valkey);
                let spec = CacheInstanceSpec { storage, deletion_policy, ..spec };
                desired.push(CacheInstance { metadata, spec, status: None });
            }
        }
    }
    desired
}
