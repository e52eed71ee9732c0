//! What an `AuthService` depends on: where each dependency comes from, whether it is bound, and what is to be said
//! about it. Pure.

use kube::ResourceExt as _;
use portico_crds::AuthService;
use portico_crds::common::names::{EngineName, InstanceName, InvalidName, ServiceName};
use portico_crds::common::{Backend, ConditionType, ResourceStatus as _};
use portico_crds::common::{Dependency, DependencySource, InstanceKindName, InstanceStatus, Managed, labels, reasons};
use portico_operator_backends::binding::{self, Binding};
use portico_operator_core::conditions;
use serde::{Deserialize, Serialize};

use crate::instance::inputs::Data;
use crate::verdict::Verdict;

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

    /// The kind of the instances.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Database => "DatabaseInstance",
            Self::Cache => "CacheInstance",
        }
    }

    /// The engine.
    pub const fn engine(self) -> EngineName {
        match self {
            Self::Database => EngineName::PostgreSql,
            Self::Cache => EngineName::Valkey,
        }
    }

    /// The label of pods that may reach an instance.
    pub fn consumer_label(self, instance: &str) -> String {
        labels::consumer(self.instance_kind(), instance)
    }

    /// The kind of the instances, as grants name it.
    pub const fn instance_kind(self) -> InstanceKindName {
        match self {
            Self::Database => InstanceKindName::DatabaseInstance,
            Self::Cache => InstanceKindName::CacheInstance,
        }
    }

    const fn not_ready(self) -> &'static str {
        match self {
            Self::Database => reasons::DATABASE_NOT_READY,
            Self::Cache => reasons::CACHE_NOT_READY,
        }
    }
}

/// Where a dependency comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An instance of our own.
    Managed {
        /// Its name.
        name: String,
        /// Its volume.
        spec: Managed,
    },
    /// Somebody's instance.
    Instance(String),
    /// A binding Secret.
    Secret(String),
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

impl Wanted {
    /// What the spec says about a dependency.
    ///
    /// # Errors
    /// [`InvalidDependency`] when it contradicts itself, which the API server refuses.
    pub fn of(object: &AuthService, role: Role) -> Result<Self, InvalidDependency> {
        let name = ServiceName::new(&object.name_any())?;
        let (source, managed) = match role {
            Role::Database => (&object.spec.database, name.database()),
            Role::Cache => (&object.spec.cache, name.cache()),
        };
        let choice = source.as_ref().map(DependencySource::choice);
        match choice.unwrap_or_else(|| Some(Dependency::Managed(Managed::default()))) {
            Some(Dependency::Managed(spec)) => Ok(Self::Managed { name: managed, spec }),
            Some(Dependency::Instance(name)) => Ok(Self::Instance(name)),
            Some(Dependency::Secret(name)) => Ok(Self::Secret(name)),
            None => Err(InvalidDependency::NotOne(role.as_str())),
        }
    }

    /// The instance, when it is one.
    pub fn instance(&self) -> Option<&str> {
        match self {
            Self::Managed { name, .. } | Self::Instance(name) => Some(name),
            Self::Secret(_) => None,
        }
    }

    /// The binding Secret, as it will be called when the instance has published none yet.
    pub fn secret(&self, role: Role) -> String {
        match self {
            Self::Managed { name, .. } | Self::Instance(name) => {
                InstanceName::new(name, role.engine()).map_or_else(|_| name.clone(), |name| name.binding())
            }
            Self::Secret(name) => name.clone(),
        }
    }
}

/// What was read about a dependency.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The status of the instance; the inner `None` is an instance that has none yet.
    pub instance: Option<Option<InstanceStatus>>,
    /// The entries of the binding Secret.
    pub secret: Option<Data>,
}

/// What pods are given of a dependency. Kept on the Deployment without any secret, so that a service that runs keeps
/// what it has while something else is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The binding Secret that is mounted.
    pub secret: String,
    /// The instance, for labels and network policy.
    pub instance: Option<String>,
    /// Whether the engine is not run by Portico.
    pub external: bool,
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The hash of the binding.
    pub digest: String,
}

/// A dependency as the build step needs it.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) role: Role,
    pub(crate) wanted: Wanted,
    /// What pods get: what is wanted when it is bound, else what they have; `None` when there is nothing yet.
    pub(crate) link: Option<Link>,
    pub(crate) verdict: Verdict,
}

/// Judges a dependency. `previous` is what running pods have.
pub(crate) fn resolve(role: Role, wanted: Wanted, observed: &Observed, previous: Option<Link>) -> Resolved {
    let secret = secret_name(role, &wanted, observed);
    let read = observed.secret.as_ref().map(|data| (Binding::read(role.engine(), data), data));
    let (current, binding_verdict) = match read {
        Some((Ok(binding), data)) => {
            let link = link(&wanted, observed, secret, &binding, binding::data_digest(data));
            (Some(link), Verdict::good(reasons::HEALTHY))
        }
        Some((Err(problem), _)) => {
            (None, Verdict::bad(reasons::SECRET_INVALID, format!("{}: Secret {secret}: {problem}", role.as_str())))
        }
        None => (None, missing(role, &wanted, &secret)),
    };
    let verdict = instance_verdict(role, &wanted, observed).unwrap_or(binding_verdict);
    Resolved { role, wanted, link: current.or(previous), verdict }
}

fn secret_name(role: Role, wanted: &Wanted, observed: &Observed) -> String {
    let published = observed.instance.as_ref().and_then(|status| status.as_ref()?.binding.as_ref());
    published.map_or_else(|| wanted.secret(role), |binding| binding.name.clone())
}

fn link(wanted: &Wanted, observed: &Observed, secret: String, binding: &Binding, digest: String) -> Link {
    let backend = observed.instance.as_ref().and_then(|status| status.as_ref()?.backend.clone());
    Link {
        secret,
        instance: wanted.instance().map(str::to_owned),
        external: wanted.instance().is_none() || backend.as_deref() == Some(Backend::External.as_str()),
        host: binding.host.clone(),
        port: binding.port,
        digest,
    }
}

fn missing(role: Role, wanted: &Wanted, secret: &str) -> Verdict {
    let word = role.as_str();
    match wanted {
        Wanted::Secret(_) => {
            let text =
                format!("{word}: Secret {secret} (spec.{word}.secretRef) does not exist in this namespace; create it");
            Verdict::bad(reasons::SECRET_NOT_FOUND, text)
        }
        Wanted::Managed { name, .. } | Wanted::Instance(name) => {
            let text = format!("{word}: {} {name} has not published its binding {secret} yet", role.kind());
            Verdict::bad(reasons::BINDING_NOT_FOUND, text)
        }
    }
}

/// What is wrong with the instance itself, if it is one and something is.
fn instance_verdict(role: Role, wanted: &Wanted, observed: &Observed) -> Option<Verdict> {
    let name = wanted.instance()?;
    let (word, kind) = (role.as_str(), role.kind());
    let Some(status) = &observed.instance else {
        return Some(match wanted {
            Wanted::Managed { .. } => Verdict::bad(role.not_ready(), format!("{word}: {kind} {name} is being made")),
            _ => Verdict::bad(
                reasons::INSTANCE_NOT_FOUND,
                format!("{word}: {kind} {name} (spec.{word}.instanceRef) does not exist in this namespace; create it"),
            ),
        });
    };
    let conditions = status.as_ref().map_or(&[][..], |status| status.conditions());
    match conditions::find(conditions, ConditionType::Ready) {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => {
            let text = format!("{word}: {kind} {name} is not ready: {} ({})", ready.message, ready.reason);
            Some(Verdict::bad(role.not_ready(), text))
        }
        None => Some(Verdict::bad(role.not_ready(), format!("{word}: {kind} {name} has not been looked at yet"))),
    }
}
