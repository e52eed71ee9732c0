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
        let (backend, version, image, resources, external) = (None, None, None, None, None);
        match dependency.role {
            Role::Database => {
                let engine = DatabaseEngine::PostgreSQL;
                let spec = DatabaseInstanceSpec {
                    engine,
                    backend,
                    version,
                    image,
                    storage,
                    resources,
                    external,
                    deletion_policy,
                };
                desired.push(DatabaseInstance { metadata, spec, status: None });
            }
            Role::Cache => {
                let engine = CacheEngine::Valkey;
                let spec = CacheInstanceSpec {
                    engine,
                    backend,
                    version,
                    image,
                    storage,
                    resources,
                    external,
                    deletion_policy,
                };
                desired.push(CacheInstance { metadata, spec, status: None });
            }
        }
    }
    desired
}
