//! From an `AuthService` and what was read to a value that cannot be wrong. Pure; every failure of the pipeline lives
//! here, except those of reading.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use portico_crds::AuthService;
use portico_crds::auth_service::{LogLevel, Tokens};
use portico_crds::common::durations::{self, InvalidDuration};
use portico_crds::common::names::{InvalidName, ServiceName};
use portico_crds::common::{DeletionPolicy, ResourceRequirements, reasons};
use portico_operator_core::{ReconcileError, Retry};
use portico_service_config::{
    AuthServiceConfig, CacheConfig, ConfigProblems, DatabaseConfig, LogConfig, LogLevel as ConfigLevel,
    PasswordsConfig, ServerConfig, TokensConfig,
};

use super::dependency::{self, InvalidDependency, Link, Resolved, Role, Wanted};
use super::inputs::Inputs;
use super::signing_keys::{InvalidKeys, SigningKeys};
use crate::Platform;

/// The port of the API and of the health endpoints.
pub(crate) const HTTP_PORT: u16 = 8080;
/// The port of the metrics.
pub(crate) const METRICS_PORT: u16 = 9090;
/// Where the pods find things.
pub(crate) const CONFIG_FOLDER: &str = "/etc/portico/config";
pub(crate) const BINDINGS_FOLDER: &str = "/etc/portico/bindings";
pub(crate) const KEYS_FOLDER: &str = "/etc/portico/signing-keys";
/// The annotation of the Deployment that remembers what its pods have, see [`Link`].
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
    /// A lifetime.
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
    pub(crate) dependencies: [Resolved; 2],
    pub(crate) keys: SigningKeys,
    pub(crate) deletion_policy: DeletionPolicy,
    pub(crate) allowed_namespaces: BTreeSet<String>,
}

impl ValidAuthService {
    /// What pods get of their dependencies; `None` before each was bound once.
    pub(crate) fn links(&self) -> Option<[(Role, &Link); 2]> {
        let [database, cache] = &self.dependencies;
        Some([(database.role, database.link.as_ref()?), (cache.role, cache.link.as_ref()?)])
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
    let previous = inputs.deployment.as_ref().map(links).unwrap_or_default();
    let [database, cache] = previous;
    let resolved = |role, previous| -> Result<Resolved, Invalid> {
        Ok(dependency::resolve(role, Wanted::of(object, role)?, inputs.observed(role), previous))
    };
    Ok(ValidAuthService {
        image: spec.image.clone().unwrap_or_else(|| platform.images.auth_service.clone()),
        pull_policy: platform.image_pull_policy.clone(),
        operator_namespace: platform.namespace.clone(),
        replicas,
        resources: spec.resources.clone(),
        config: config(object, &url, replicas)?,
        url,
        dependencies: [resolved(Role::Database, database)?, resolved(Role::Cache, cache)?],
        keys: keys(&name, inputs)?,
        deletion_policy: spec.deletion_policy.unwrap_or_default(),
        // Its own namespace is let in anyway.
        allowed_namespaces: spec.allowed_namespaces.iter().filter(|other| **other != namespace).cloned().collect(),
        name,
    })
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

fn keys(name: &ServiceName, inputs: &Inputs) -> Result<SigningKeys, Invalid> {
    let secret = name.signing_keys();
    match (&inputs.signing_keys, &inputs.fresh_keys) {
        (Some(data), _) => Ok(SigningKeys::read(&secret, data)?),
        (None, Some(fresh)) => Ok(fresh.clone()),
        (None, None) => Err(InvalidKeys { secret, key: "active".to_owned(), problem: "is missing or empty" }.into()),
    }
}

/// What the pods of a Deployment have; nothing when there is no readable note.
fn links(deployment: &Deployment) -> [Option<Link>; 2] {
    let note = deployment.annotations().get(LINKS_ANNOTATION);
    note.and_then(|note| serde_json::from_str(note).ok()).unwrap_or_default()
}

/// The configuration of the service, checked by the service's own rules.
fn config(object: &AuthService, url: &str, replicas: Replicas) -> Result<AuthServiceConfig, Invalid> {
    let spec = &object.spec;
    let folder = |role: Role| format!("{BINDINGS_FOLDER}/{}", role.as_str()).into();
    let bcrypt_cost = spec.passwords.as_ref().and_then(|passwords| passwords.bcrypt_cost);
    let config = AuthServiceConfig {
        server: ServerConfig::default(),
        log: LogConfig { level: level(spec.log_level.unwrap_or_default()) },
        database: DatabaseConfig { binding_path: folder(Role::Database), max_connections: connections(replicas) },
        cache: CacheConfig { binding_path: folder(Role::Cache) },
        tokens: tokens(&spec.tokens.clone().unwrap_or_default(), url)?,
        passwords: PasswordsConfig {
            bcrypt_cost: bcrypt_cost
                .and_then(|cost| u32::try_from(cost).ok())
                .unwrap_or_else(|| PasswordsConfig::default().bcrypt_cost),
        },
    };
    config.validate().map_err(Invalid::Config)?;
    Ok(config)
}

/// The connections of each pod: a share of what the database takes, with one pod more during a rollout.
fn connections(replicas: Replicas) -> u32 {
    let pods = u32::try_from(replicas.most()).unwrap_or(0) + 1;
    (CONNECTIONS / pods).clamp(2, 10)
}

fn tokens(tokens: &Tokens, url: &str) -> Result<TokensConfig, Invalid> {
    let seconds = |field, text: Option<&str>, default| {
        let text = text.unwrap_or(default);
        durations::parse(text).map(|time| time.as_secs()).map_err(|source| Invalid::Lifetime { field, source })
    };
    Ok(TokensConfig {
        issuer: tokens.issuer.clone().unwrap_or_else(|| url.to_owned()),
        audience: tokens.audience.clone().unwrap_or_else(|| "portico".to_owned()),
        access_token_seconds: seconds("accessTokenLifetime", tokens.access_token_lifetime.as_deref(), "15m")?,
        refresh_token_seconds: seconds("refreshTokenLifetime", tokens.refresh_token_lifetime.as_deref(), "168h")?,
        signing_keys_path: KEYS_FOLDER.into(),
    })
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
