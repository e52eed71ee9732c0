//! The instances that the service has for itself alone, and the grants by which it uses these and others. Their own
//! controllers bring them about.

use std::collections::BTreeSet;

use portico_crds::access_grant::AccessGrantSpec;
use portico_crds::cache_instance::{CacheEngine, CacheInstanceSpec};
use portico_crds::common::{Managed, TypedInstanceRef};
use portico_crds::database_instance::{DatabaseEngine, DatabaseInstanceSpec};
use portico_crds::{AccessGrant, CacheInstance, DatabaseInstance};
use portico_operator_core::Desired;

use super::metadata;
use crate::auth_service::dependency::Role;
use crate::auth_service::validate::ValidAuthService;
use crate::graph::Target;

/// The objects, an instance before its grant. They take over the service's deletion policy, because it is their data
/// that it speaks of. Grants that pods may still use stay, though others are wanted.
pub(super) fn build(service: &ValidAuthService) -> Desired {
    let mut desired = Desired::new();
    let mut grants = BTreeSet::new();
    for dependency in &service.dependencies {
        let Target::Grant { name, instance, .. } = &dependency.resolved.edge.target else { continue };
        if let Some(managed) = &dependency.managed {
            push_instance(&mut desired, service, dependency.role, instance.name.clone(), managed);
        }
        grants.insert(name.clone());
        if dependency.grantable {
            desired.push(grant(service, name, instance));
        }
    }
    for link in service.note.all() {
        if let (Some(name), Some(instance)) = (&link.grant, &link.instance)
            && grants.insert(name.clone())
        {
            desired.push(grant(service, name, instance));
        }
    }
    desired
}

fn push_instance(desired: &mut Desired, service: &ValidAuthService, role: Role, name: String, managed: &Managed) {
    let metadata = metadata(&service.name, name);
    let (storage, deletion_policy) = (managed.storage.clone(), Some(service.deletion_policy));
    match role {
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

/// When its credentials are replaced is left to whoever cares: a schedule that a person writes into the grant stays.
fn grant(service: &ValidAuthService, name: &str, instance: &TypedInstanceRef) -> AccessGrant {
    let spec = AccessGrantSpec {
        instance_ref: instance.clone(),
        space: Some(service.name.space()),
        rotation: None,
        deletion_policy: Some(service.deletion_policy),
    };
    AccessGrant { metadata: metadata(&service.name, name.to_owned()), spec, status: None }
}
