//! What an `AuthService` needs, as its spec says it. Pure.

use kube::ResourceExt as _;
use portico_crds::AuthService;
use portico_crds::common::names::{EngineName, InvalidName, ServiceName};
use portico_crds::common::{Dependency, DependencySource, InstanceKindName, Managed, TypedInstanceRef};

use crate::graph::{Edge, Needs, Target};

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Holds the users.
    Database,
    /// Holds revoked tokens.
    Cache,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Database, Self::Cache];

    /// The word in `/readyz`, in the spec, in volume names and paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Cache => "cache",
        }
    }

    /// The engine.
    pub const fn engine(self) -> EngineName {
        match self {
            Self::Database => EngineName::PostgreSql,
            Self::Cache => EngineName::Valkey,
        }
    }

    /// The kind of the instances.
    pub const fn kind(self) -> InstanceKindName {
        match self {
            Self::Database => InstanceKindName::DatabaseInstance,
            Self::Cache => InstanceKindName::CacheInstance,
        }
    }
}

/// Why it is not clear where a dependency comes from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDependency {
    /// The resource has no usable name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Not exactly one source.
    #[error("spec.{0}: set exactly one of managed, instanceRef and secretRef")]
    NotOne(&'static str),
}

/// A dependency as the spec wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What for.
    pub role: Role,
    /// Whom.
    pub edge: Edge,
    /// What the operator is to make, when the instance is the service's own.
    pub managed: Option<Managed>,
}

impl Wanted {
    /// What the spec says about a dependency.
    ///
    /// # Errors
    /// [`InvalidDependency`] when it contradicts itself, which the API server refuses.
    pub fn of(object: &AuthService, role: Role) -> Result<Self, InvalidDependency> {
        let name = ServiceName::new(&object.name_any())?;
        let source = match role {
            Role::Database => &object.spec.database,
            Role::Cache => &object.spec.cache,
        };
        let choice = match source.as_ref().map(DependencySource::choice) {
            None => Dependency::Managed(Managed::default()),
            Some(choice) => choice.ok_or(InvalidDependency::NotOne(role.as_str()))?,
        };
        let (target, managed) = match choice {
            Dependency::Managed(managed) => (through_grant(&name, role, None), Some(managed)),
            Dependency::Instance(instance) => (through_grant(&name, role, Some(instance)), None),
            Dependency::Secret(secret) => (Target::Secret(secret), None),
        };
        Ok(Self { role, edge: Edge { role: role.as_str(), target }, managed })
    }
}

fn through_grant(name: &ServiceName, role: Role, declared: Option<String>) -> Target {
    let (grant, own) = match role {
        Role::Database => (name.database_grant(declared.as_deref()), name.database()),
        Role::Cache => (name.cache_grant(declared.as_deref()), name.cache()),
    };
    let managed = declared.is_none();
    let instance = TypedInstanceRef { kind: role.kind(), name: declared.unwrap_or(own) };
    Target::Grant { name: grant, instance, managed }
}

impl Needs for AuthService {
    const ENDS: &'static [InstanceKindName] = &[InstanceKindName::DatabaseInstance, InstanceKindName::CacheInstance];

    fn edges(&self) -> Vec<Edge> {
        Role::ALL.into_iter().filter_map(|role| Some(Wanted::of(self, role).ok()?.edge)).collect()
    }

    /// The signing keys, which may have no owner.
    fn secrets(&self) -> Vec<String> {
        ServiceName::new(&self.name_any()).ok().map(|name| name.signing_keys()).into_iter().collect()
    }
}
