//! `AuthService`: registration, login and tokens.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{
    Autoscaling, DeletionPolicy, DependencySource, ResourceRequirements, SecretRef, conditions, resource, rules,
};

/// What an `AuthService` should be. Every field may be left out.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "portico.dev",
    version = "v1alpha1",
    kind = "AuthService",
    plural = "authservices",
    shortname = "auths",
    category = "portico",
    namespaced,
    doc = "Registers users, logs them in and issues the tokens that every other service verifies. \
           `spec: {}` is enough: the operator then makes a database and a cache for it.",
    status = "AuthServiceStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 32")
        .message("metadata.name of an AuthService may have at most 32 characters; choose a shorter one"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be lower-case letters, digits and hyphens, a letter first and no hyphen last"),
    validation = Rule::new("!self.metadata.name.matches('-(postgresql|mariadb|dynamodb|valkey|rabbitmq|garage)$')")
        .message("metadata.name must not end in a hyphen and an engine's name: instances have such; choose another one")
)]
#[x_kube(
    validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))")
        .message("spec.replicas and spec.autoscaling contradict each other; remove one of them"),
    validation = Rule::new(concat!(
        "!has(self.database) || !has(oldSelf.database) || !has(self.database.managed) || ",
        "!has(oldSelf.database.managed) || !has(oldSelf.database.managed.storage) || ",
        "!has(oldSelf.database.managed.storage.size) || !isQuantity(oldSelf.database.managed.storage.size) || (",
        "has(self.database.managed.storage) && has(self.database.managed.storage.size) && ",
        "isQuantity(self.database.managed.storage.size) && quantity(self.database.managed.storage.size)",
        ".compareTo(quantity(oldSelf.database.managed.storage.size)) >= 0)"
    )).message("spec.database.managed.storage.size cannot shrink; keep it or choose a larger one"),
    validation = Rule::new(concat!(
        "!has(self.cache) || !has(oldSelf.cache) || !has(self.cache.managed) || ",
        "!has(oldSelf.cache.managed) || !has(oldSelf.cache.managed.storage) || ",
        "!has(oldSelf.cache.managed.storage.size) || !isQuantity(oldSelf.cache.managed.storage.size) || (",
        "has(self.cache.managed.storage) && has(self.cache.managed.storage.size) && ",
        "isQuantity(self.cache.managed.storage.size) && quantity(self.cache.managed.storage.size)",
        ".compareTo(quantity(oldSelf.cache.managed.storage.size)) >= 0)"
    )).message("spec.cache.managed.storage.size cannot shrink; keep it or choose a larger one")
)]
#[serde(rename_all = "camelCase")]
pub struct AuthServiceSpec {
    /// Number of pods. Contradicts `autoscaling`. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,
    /// Lets the number of pods follow the load. Contradicts `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub autoscaling: Option<Autoscaling>,
    /// Image of the service. Default: the one that the operator was installed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub image: Option<String>,
    /// Computing resources of each pod. Default: requests of 50m CPU and 64Mi memory, a limit of 512Mi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub resources: Option<ResourceRequirements>,
    /// The PostgreSQL database that holds the users. Default: managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub database: Option<DependencySource>,
    /// The Valkey cache that holds revoked tokens. Default: managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub cache: Option<DependencySource>,
    /// The tokens that are issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub tokens: Option<Tokens>,
    /// How passwords are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub passwords: Option<Passwords>,
    /// The least important messages that are logged. Default: info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
    /// Namespaces besides its own whose pods may call the service. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_namespaces: Vec<String>,
    /// What happens to the managed instances' data and the signing keys when the resource is deleted. Default: Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// The tokens that are issued.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(concat!(
        "duration(has(self.refreshTokenLifetime) ? self.refreshTokenLifetime : '168h') > ",
        "duration(has(self.accessTokenLifetime) ? self.accessTokenLifetime : '15m')"
    )).message("tokens.refreshTokenLifetime must be longer than tokens.accessTokenLifetime")
)]
pub struct Tokens {
    /// Who issues the tokens (claim `iss`), an http or https URL without query. Tokens issued under another issuer are
    /// no longer accepted after a change. Default: the URL of the service inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("isURL(self) && self.matches('^https?://[^?#]+$')")
            .message("tokens.issuer must be an http or https URL without query, such as https://auth.example.org")
    )]
    pub issuer: Option<String>,
    /// Whom the tokens are for (claim `aud`). Default: portico.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub audience: Option<String>,
    /// How long an access token is valid, in whole hours, minutes and seconds: from 1m to 24h. Default: 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new(
            "self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1m') && duration(self) <= duration('24h')"
        ).message("tokens.accessTokenLifetime must be a duration from 1m to 24h, such as 15m")
    )]
    pub access_token_lifetime: Option<String>,
    /// How long a refresh token is valid, in whole hours, minutes and seconds: from 1h to 8760h. Default: 168h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new(
            "self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1h') && duration(self) <= duration('8760h')"
        ).message("tokens.refreshTokenLifetime must be a duration from 1h to 8760h, such as 168h")
    )]
    pub refresh_token_lifetime: Option<String>,
    /// When the key that signs tokens is replaced. Default: only on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key_rotation: Option<SigningKeyRotation>,
}

/// When the key that signs tokens is replaced.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningKeyRotation {
    /// How old the key may become, in whole hours, minutes and seconds: from 24h to 8760h. Default: it is replaced only
    /// when the annotation `portico.dev/rotate` gets a new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::duration("tokens.signingKeyRotation.interval", "24h", "8760h", "2160h"))]
    pub interval: Option<String>,
    /// How long a new key is published before it signs, from 10s to 24h: time for it to arrive in all pods (about two
    /// minutes) and for others to ask for the published keys again, which they are told to do in half of this time, at
    /// most 5m. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::duration("tokens.signingKeyRotation.overlap", "10s", "24h", "10m"))]
    pub overlap: Option<String>,
}

/// How long a new signing key is published before it signs when the spec says nothing.
pub const DEFAULT_KEY_OVERLAP: &str = "10m";

/// How passwords are stored.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Passwords {
    /// The bcrypt cost: each step doubles the work of a login. Existing hashes keep theirs until the next login.
    /// Default: 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 15))]
    pub bcrypt_cost: Option<i32>,
}

/// How important a message has to be to be logged.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what a person has to look at.
    Error,
    /// And what may become a problem.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And how it happens.
    Debug,
    /// And every step.
    Trace,
}

/// What the operator reports about an `AuthService`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthServiceStatus {
    /// The metadata.generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
    /// Number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// The label selector of the pods, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// Where the service is reached inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub url: Option<String>,
    /// The Secret with the keys that sign tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_keys_secret: Option<SecretRef>,
}

resource::portico_resource!(kind AuthService, status AuthServiceStatus);
