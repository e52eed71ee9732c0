//! From an `AuthService` and what was read to a value that cannot be wrong. Pure; every failure of the pipeline lives
//! here, except those of reading.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use portico_crds::AuthService;
use portico_crds::auth_service::{DEFAULT_KEY_OVERLAP, LogLevel};
use portico_crds::common::durations::{self, InvalidDuration};
use portico_crds::common::labels::ROTATE_ANNOTATION;
use portico_crds::common::names::{InvalidName, ServiceName};
use portico_crds::common::{DeletionPolicy, Managed, ResourceRequirements, reasons};
use portico_operator_core::{ReconcileError, Retry};
use portico_service_config::{
    AuthServiceConfig, CacheConfig, ConfigProblems, DEFAULT_KEY_CACHE_SECONDS, DatabaseConfig, LogConfig,
    LogLevel as ConfigLevel, PasswordsConfig, ServerConfig, TokensConfig,
};

use super::dependency::{InvalidDependency, Role, Wanted};
use super::inputs::Inputs;
use super::key_rotation::Terms;
use super::signing_keys::{InvalidKeys, SigningKeys};
use super::status::is_available;
use crate::Platform;
use crate::graph::link::{self, Link, Note, Resolved};

/// The port of the API and of the health endpoints.
pub(crate) const HTTP_PORT: u16 = 8080;
/// The port of the metrics.
pub(crate) const METRICS_PORT: u16 = 9090;
/// Where the pods find things.
pub(crate) const CONFIG_FOLDER: &str = "/etc/portico/config";
pub(crate) const BINDINGS_FOLDER: &str = "/etc/portico/bindings";
pub(crate) const KEYS_FOLDER: &str = "/etc/portico/signing-keys";
/// The annotation of the Deployment that remembers what its pods have, see [`Note`].
pub(crate) const LINKS_ANNOTATION: &str = "portico.dev/dependencies";

/// The number of pods when the spec says nothing.
const DEFAULT_REPLICAS: i32 = 1;
/// The aim of the autoscaler when the spec says nothing, in percent.
const DEFAULT_CPU_TARGET: i32 = 80;
/// The connections that all pods together may open; a builtin PostgreSQL takes 100.
const CONNECTIONS: u32 = 80;

/// Why a service cannot be brought about before a person changes something.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// The name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A dependency.
    #[error(transparent)]
    Dependency(#[from] InvalidDependency),
    /// A lifetime, or a time of the signing keys.
    #[error("spec.tokens.{field}: {source}")]
    Lifetime {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: InvalidDuration,
    },
    /// `replicas` and `autoscaling`.
    #[error("spec.replicas and spec.autoscaling contradict each other; remove one of them")]
    Replicas,
    /// What the service itself would refuse.
    #[error("the spec leads to a configuration that the service refuses: {0}")]
    Config(ConfigProblems),
    /// The Secret with the signing keys was damaged.
    #[error(transparent)]
    Keys(#[from] InvalidKeys),
}

impl ReconcileError for Invalid {
    fn reason(&self) -> &'static str {
        match self {
            Self::Keys(_) => reasons::SECRET_INVALID,
            _ => reasons::INVALID_SPEC,
        }
    }

    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

/// How many pods there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replicas {
    /// As many as the spec says.
    Fixed(i32),
    /// As many as the autoscaler says.
    Auto { min: i32, max: i32, cpu: i32 },
}

impl Replicas {
    /// The most that there can be.
    pub(crate) fn most(self) -> i32 {
        match self {
            Self::Fixed(replicas) => replicas,
            Self::Auto { max, .. } => max,
        }
    }
}

/// An `AuthService` that can be built.
#[derive(Clone, Debug)]
pub struct ValidAuthService {
    pub(crate) name: ServiceName,
    pub(crate) image: String,
    pub(crate) pull_policy: String,
    pub(crate) operator_namespace: String,
    pub(crate) replicas: Replicas,
    pub(crate) resources: Option<ResourceRequirements>,
    pub(crate) config: AuthServiceConfig,
    pub(crate) url: String,
    pub(crate) dependencies: [Dependency; 2],
    /// What pods have, and what those before them may still use.
    pub(crate) note: Note,
    pub(crate) keys: SigningKeys,
    pub(crate) key_terms: Terms,
    pub(crate) deletion_policy: DeletionPolicy,
    pub(crate) allowed_namespaces: BTreeSet<String>,
}

/// A dependency as the build step needs it.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) role: Role,
    pub(crate) resolved: Resolved,
    /// What the operator is to make, when the instance is the service's own and is not just being deleted.
    pub(crate) managed: Option<Managed>,
    /// Whether the grant can be written: one that is being deleted is made anew when it is gone.
    pub(crate) grantable: bool,
}

impl ValidAuthService {
    /// What pods get of their dependencies; `None` before each was bound once.
    pub(crate) fn links(&self) -> Option<[(Role, &Link); 2]> {
        let [database, cache] = &self.dependencies;
        Some([(database.role, database.resolved.link.as_ref()?), (cache.role, cache.resolved.link.as_ref()?)])
    }
}

/// Judges the resource.
///
/// # Errors
/// [`Invalid`] for everything that waiting cannot mend.
pub fn validate(platform: &Platform, object: &AuthService, inputs: &Inputs) -> Result<ValidAuthService, Invalid> {
    let name = ServiceName::new(&object.name_any())?;
    let namespace = object.namespace().unwrap_or_default();
    let spec = &object.spec;
    let url = format!("http://{name}.{namespace}.svc.{}", platform.cluster_domain);
    let replicas = replicas(object)?;
    let before = inputs.deployment.as_ref().map(note).unwrap_or_default();
    let dependency = |role: Role, index: usize| -> Result<Dependency, Invalid> {
        let previous = before.links.get(index).cloned().flatten();
        Ok(dependency(Wanted::of(object, role)?, inputs, previous))
    };
    let dependencies = [dependency(Role::Database, 0)?, dependency(Role::Cache, 1)?];
    let links = dependencies.iter().map(|one| one.resolved.link.clone()).collect();
    let (config, key_terms) = config(object, &url, replicas)?;
    Ok(ValidAuthService {
        image: spec.image.clone().unwrap_or_else(|| platform.images.auth_service.clone()),
        pull_policy: platform.image_pull_policy.clone(),
        operator_namespace: platform.namespace.clone(),
        replicas,
        resources: spec.resources.clone(),
        config,
        url,
        note: before.follow(links, inputs.deployment.as_ref().is_some_and(is_available)),
        dependencies,
        keys: keys(&name, inputs, &key_terms)?,
        key_terms,
        deletion_policy: spec.deletion_policy.unwrap_or_default(),
        // Its own namespace is let in anyway.
        allowed_namespaces: spec.allowed_namespaces.iter().filter(|other| **other != namespace).cloned().collect(),
        name,
    })
}

fn dependency(wanted: Wanted, inputs: &Inputs, previous: Option<Link>) -> Dependency {
    let Wanted { role, edge, managed } = wanted;
    let observed = inputs.observed(role);
    // Held by its grant, a deleted instance goes on; it can be made anew only when it is gone.
    let deleting = observed.instance.as_ref().is_some_and(|(_, seen)| seen.deleting);
    Dependency {
        role,
        managed: managed.filter(|_| !deleting),
        grantable: !observed.grant.as_ref().is_some_and(|grant| grant.deleting),
        resolved: link::resolve(edge, role.engine(), observed, previous),
    }
}

fn replicas(object: &AuthService) -> Result<Replicas, Invalid> {
    match (object.spec.replicas, &object.spec.autoscaling) {
        (Some(_), Some(_)) => Err(Invalid::Replicas),
        (replicas, None) => Ok(Replicas::Fixed(replicas.unwrap_or(DEFAULT_REPLICAS))),
        (None, Some(auto)) => Ok(Replicas::Auto {
            min: auto.min_replicas.unwrap_or(1),
            max: auto.max_replicas,
            cpu: auto.target_cpu_utilization_percentage.unwrap_or(DEFAULT_CPU_TARGET),
        }),
    }
}

/// The keys that there are, else new ones: what was asked for until now is served by them.
fn keys(name: &ServiceName, inputs: &Inputs, terms: &Terms) -> Result<SigningKeys, Invalid> {
    if let Some(data) = &inputs.signing_keys {
        return Ok(SigningKeys::read(&name.signing_keys(), data)?);
    }
    let mut keys = inputs.fresh.clone();
    keys.request.clone_from(&terms.request);
    Ok(keys)
}

/// What is remembered of the pods of a Deployment; nothing when there is no readable note.
fn note(deployment: &Deployment) -> Note {
    let note = deployment.annotations().get(LINKS_ANNOTATION);
    note.and_then(|note| serde_json::from_str(note).ok()).unwrap_or_default()
}

/// The configuration of the service, checked by the service's own rules, and how its keys are replaced.
fn config(object: &AuthService, url: &str, replicas: Replicas) -> Result<(AuthServiceConfig, Terms), Invalid> {
    let spec = &object.spec;
    let (tokens, terms) = tokens(object, url)?;
    let folder = |role: Role| format!("{BINDINGS_FOLDER}/{}", role.as_str()).into();
    let bcrypt_cost = spec.passwords.as_ref().and_then(|passwords| passwords.bcrypt_cost);
    let config = AuthServiceConfig {
        server: ServerConfig::default(),
        log: LogConfig { level: level(spec.log_level.unwrap_or_default()) },
        database: DatabaseConfig { binding_path: folder(Role::Database), max_connections: connections(replicas) },
        cache: CacheConfig { binding_path: folder(Role::Cache) },
        tokens,
        passwords: PasswordsConfig {
            bcrypt_cost: bcrypt_cost
                .and_then(|cost| u32::try_from(cost).ok())
                .unwrap_or_else(|| PasswordsConfig::default().bcrypt_cost),
        },
    };
    config.validate().map_err(Invalid::Config)?;
    Ok((config, terms))
}

/// The connections of each pod: a share of what the database takes, with one pod more during a rollout.
fn connections(replicas: Replicas) -> u32 {
    let pods = u32::try_from(replicas.most()).unwrap_or(0) + 1;
    (CONNECTIONS / pods).clamp(2, 10)
}

fn tokens(object: &AuthService, url: &str) -> Result<(TokensConfig, Terms), Invalid> {
    let time = |field, text: &str| durations::parse(text).map_err(|source| Invalid::Lifetime { field, source });
    let tokens = object.spec.tokens.clone().unwrap_or_default();
    let rotation = tokens.signing_key_rotation.unwrap_or_default();
    let token_life = time("accessTokenLifetime", tokens.access_token_lifetime.as_deref().unwrap_or("15m"))?;
    let session = time("refreshTokenLifetime", tokens.refresh_token_lifetime.as_deref().unwrap_or("168h"))?;
    let overlap = rotation.overlap.as_deref().unwrap_or(DEFAULT_KEY_OVERLAP);
    let overlap = time("signingKeyRotation.overlap", overlap)?;
    let interval = rotation.interval.map(|text| time("signingKeyRotation.interval", &text)).transpose()?;
    let config = TokensConfig {
        issuer: tokens.issuer.unwrap_or_else(|| url.to_owned()),
        audience: tokens.audience.unwrap_or_else(|| "portico".to_owned()),
        access_token_seconds: token_life.as_secs(),
        refresh_token_seconds: session.as_secs(),
        signing_keys_path: KEYS_FOLDER.into(),
        // The other half is for a new key to arrive in all pods.
        key_cache_seconds: (overlap.as_secs() / 2).clamp(1, DEFAULT_KEY_CACHE_SECONDS),
    };
    let request = object.annotations().get(ROTATE_ANNOTATION).map_or("", |value| value.trim()).to_owned();
    Ok((config, Terms { request, interval, overlap, token_life }))
}

fn level(level: LogLevel) -> ConfigLevel {
    match level {
        LogLevel::Error => ConfigLevel::Error,
        LogLevel::Warn => ConfigLevel::Warn,
        LogLevel::Info => ConfigLevel::Info,
        LogLevel::Debug => ConfigLevel::Debug,
        LogLevel::Trace => ConfigLevel::Trace,
    }
}
