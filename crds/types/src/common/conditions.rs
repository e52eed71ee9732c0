//! The conditions of every kind and the reasons they give.
//!
//! kstatus, `kubectl wait`, Argo CD and Flux read `Ready`, `Reconciling` and `Stalled`; people read the rest to learn
//! what the resource waits for.

use schemars::{Schema, SchemaGenerator, json_schema};
use std::fmt;

/// The types of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// Everything that the spec asks for is there and works.
    Ready,
    /// The operator still works on the current spec, or waits for something that will end by itself.
    Reconciling,
    /// Only a person can mend what is wrong; the message says how.
    Stalled,
    /// Everything that this resource needs is there and accepts us.
    DependenciesReady,
    /// The pods run and are ready.
    WorkloadAvailable,
    /// The binding Secret is published (instances).
    BindingReady,
    /// The annotation `portico.dev/paused` stops all writes.
    Paused,
    /// The credentials in the binding are the only ones; False while they are being replaced.
    CredentialsCurrent,
    /// One key signs tokens and no other is published; False while a key is being replaced.
    SigningKeysCurrent,
    /// The engine serves the certificate that it should.
    CertificateValid,
    /// The volume has the size that the spec asks for.
    StorageResized,
    /// The resource was deleted and stays because others still use it; the message names them.
    DeletionBlocked,
    /// The engine is not meant for production.
    DevelopmentOnly,
}

impl ConditionType {
    /// As it is written in `status.conditions[].type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::DependenciesReady => "DependenciesReady",
            Self::WorkloadAvailable => "WorkloadAvailable",
            Self::BindingReady => "BindingReady",
            Self::Paused => "Paused",
            Self::CredentialsCurrent => "CredentialsCurrent",
            Self::SigningKeysCurrent => "SigningKeysCurrent",
            Self::CertificateValid => "CertificateValid",
            Self::StorageResized => "StorageResized",
            Self::DeletionBlocked => "DeletionBlocked",
            Self::DevelopmentOnly => "DevelopmentOnly",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reasons in CamelCase, one for each cause. The troubleshooting table of the documentation lists them all.
pub mod reasons {
    /// All is as the spec says.
    pub const READY: &str = "Ready";
    /// Not judged yet.
    pub const UNKNOWN: &str = "Unknown";
    /// Objects are being made or changed.
    pub const PROGRESSING: &str = "Progressing";
    /// Nothing left to do for the current spec.
    pub const RECONCILED: &str = "Reconciled";
    /// Nothing is wrong.
    pub const HEALTHY: &str = "Healthy";
    /// Something that this resource needs is not there or refuses us.
    pub const DEPENDENCIES_NOT_READY: &str = "DependenciesNotReady";
    /// A referenced Secret does not exist.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// A referenced Secret lacks a key or holds a value that cannot be used.
    pub const SECRET_INVALID: &str = "SecretInvalid";
    /// A referenced instance does not exist.
    pub const INSTANCE_NOT_FOUND: &str = "InstanceNotFound";
    /// The database instance exists but is not ready.
    pub const DATABASE_NOT_READY: &str = "DatabaseNotReady";
    /// The cache instance exists but is not ready.
    pub const CACHE_NOT_READY: &str = "CacheNotReady";
    /// An instance has not published its binding yet.
    pub const BINDING_NOT_FOUND: &str = "BindingNotFound";
    /// The binding Secret is published.
    pub const BINDING_PUBLISHED: &str = "BindingPublished";
    /// An object of the wanted name belongs to somebody else.
    pub const NAME_CONFLICT: &str = "NameConflict";
    /// The spec contradicts itself in a way that the API server did not catch.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The API server refused an object.
    pub const APPLY_FAILED: &str = "ApplyFailed";
    /// Pods are starting or being replaced.
    pub const ROLLING_OUT: &str = "RollingOut";
    /// A pod cannot start; the message says why.
    pub const POD_FAILING: &str = "PodFailing";
    /// The workload is not made yet because something it needs is missing.
    pub const WAITING: &str = "WaitingForDependencies";
    /// The pods are up and ready.
    pub const AVAILABLE: &str = "Available";
    /// Zero replicas were asked for.
    pub const SCALED_TO_ZERO: &str = "ScaledToZero";
    /// Somebody else runs the engine.
    pub const EXTERNAL: &str = "External";
    /// No backend can run it as the spec asks.
    pub const BACKEND_UNAVAILABLE: &str = "BackendUnavailable";
    /// The broker instance exists but is not ready.
    pub const BROKER_NOT_READY: &str = "BrokerNotReady";
    /// The object store exists but is not ready.
    pub const OBJECT_STORE_NOT_READY: &str = "ObjectStoreNotReady";
    /// The grant exists but is not ready.
    pub const GRANT_NOT_READY: &str = "GrantNotReady";
    /// Another grant has the same space in the same instance.
    pub const SPACE_TAKEN: &str = "SpaceTaken";
    /// The engine, as it is run, cannot give users to consumers.
    pub const GRANTS_NOT_SUPPORTED: &str = "GrantsNotSupported";
    /// One credential, and it is the one in the binding.
    pub const CURRENT: &str = "Current";
    /// A new credential is being made beside the one in use.
    pub const PREPARING_CREDENTIAL: &str = "PreparingCredential";
    /// The new credential is published; the old one stays until its users have moved.
    pub const MOVING_CONSUMERS: &str = "MovingConsumers";
    /// The old credential is being taken away.
    pub const REVOKING_CREDENTIAL: &str = "RevokingCredential";
    /// A new key is published and does not sign yet, so that all who verify tokens learn of it first.
    pub const PUBLISHING_KEY: &str = "PublishingSigningKey";
    /// The new key signs; the old one stays published until the last token signed by it has expired.
    pub const RETIRING_KEY: &str = "RetiringSigningKey";
    /// The engine serves the certificate in its Secret.
    pub const CERTIFICATE_SERVED: &str = "CertificateServed";
    /// The engine does not serve the renewed certificate yet.
    pub const CERTIFICATE_PENDING: &str = "CertificatePending";
    /// The engine has no TLS.
    pub const NO_TLS: &str = "NoTls";
    /// cert-manager has not issued the certificate.
    pub const ISSUER_NOT_READY: &str = "IssuerNotReady";
    /// The storage class cannot make volumes larger.
    pub const EXPANSION_NOT_SUPPORTED: &str = "ExpansionNotSupported";
    /// The volume is being made larger.
    pub const RESIZING: &str = "Resizing";
    /// The volume is as large as asked.
    pub const RESIZED: &str = "Resized";
    /// Others use it.
    pub const IN_USE: &str = "InUse";
    /// Nobody uses it.
    pub const NOT_IN_USE: &str = "NotInUse";
    /// DynamoDB Local.
    pub const DEVELOPMENT_ENGINE: &str = "DevelopmentEngine";
    /// The annotation `portico.dev/paused` is `"true"`.
    pub const PAUSED: &str = "Paused";
    /// No pause was asked for.
    pub const NOT_PAUSED: &str = "NotPaused";
}

/// The schema of a time in a status.
pub(crate) fn time_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "description": "A time (RFC 3339)." })
}

/// The schema of `status.conditions`: a list that is merged by `type`.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "description": "Conditions, one of each type: Ready, Reconciling, Stalled, DependenciesReady, \
            WorkloadAvailable, BindingReady, Paused, CredentialsCurrent, SigningKeysCurrent, CertificateValid, StorageResized, \
            DeletionBlocked, DevelopmentOnly.",
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": { "type": "string", "maxLength": 316, "description": "What is judged." },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"], "description": "The judgement." },
                "reason": {
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    "description": "The cause in one CamelCase word, stable enough for programs.",
                },
                "message": { "type": "string", "maxLength": 32768, "description": "The cause in words for people." },
                "lastTransitionTime": {
                    "type": "string", "format": "date-time",
                    "description": "When the judgement last changed (RFC 3339).",
                },
                "observedGeneration": {
                    "type": "integer", "format": "int64", "minimum": 0,
                    "description": "The metadata.generation that was judged.",
                },
            },
        },
    })
}
