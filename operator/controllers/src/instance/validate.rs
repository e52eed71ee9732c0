//! From a resource and what was read to a plan that cannot be wrong. Pure; every failure of the pipeline lives here.

use kube::ResourceExt as _;
use portico_crds::common::instance::Backend;
use portico_crds::common::names::{InstanceName, InvalidName};
use portico_crds::common::quantities::InvalidQuantity;
use portico_crds::common::{DeletionPolicy, Rotation, labels, reasons};
use portico_operator_backends::binding::Binding;
use portico_operator_backends::builtin::credentials::{Credentials, InvalidCredentials};
use portico_operator_backends::builtin::{self, node::Node, storage::Claim};
use portico_operator_backends::external;
use portico_operator_core::{ReconcileError, Retry};
use std::collections::BTreeMap;

use super::certificate::Certificate;
use super::inputs::{Data, Inputs};
use super::{InstanceKind, Request, backend};
use crate::Platform;
use crate::verdict::Verdict;

/// Why an instance cannot be brought about before a person changes something.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// The name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The size of the volume.
    #[error("spec.storage.size: {0}")]
    Size(#[from] InvalidQuantity),
    /// No backend can run it.
    #[error("{0}")]
    Backend(String),
    /// A setting that is not in the engine's list, or a value that cannot be written into its configuration.
    #[error("spec.parameters: {problem}; allowed are {allowed}")]
    Parameter {
        /// What is wrong.
        problem: String,
        /// The engine's list.
        allowed: String,
    },
    /// The Secret with the generated passwords was damaged.
    #[error("Secret {secret}: {source}")]
    Credentials {
        /// Its name.
        secret: String,
        /// What is wrong.
        source: InvalidCredentials,
    },
}

impl ReconcileError for Invalid {
    fn reason(&self) -> &'static str {
        match self {
            Self::Name(_) | Self::Size(_) | Self::Parameter { .. } => reasons::INVALID_SPEC,
            Self::Backend(_) => reasons::BACKEND_UNAVAILABLE,
            Self::Credentials { .. } => reasons::SECRET_INVALID,
        }
    }

    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

/// An instance that can be built.
#[derive(Clone, Debug)]
pub struct ValidInstance {
    /// Its name.
    pub(crate) name: InstanceName,
    /// Its kind, for labels.
    pub(crate) kind: String,
    /// Who runs it and how.
    pub(crate) plan: Plan,
}

/// Who runs the engine.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// We do.
    Builtin {
        /// The engine.
        node: Box<Node>,
        /// Its certificate.
        certificate: Certificate,
        /// When the credentials of its own binding are replaced.
        rotation: Option<Rotation>,
        /// The value of the annotation that asks for new credentials.
        rotate: Option<String>,
    },
    /// Somebody else does.
    External {
        /// What consumers get: from the user's Secret, or, while that is missing, what they have.
        binding: Option<Binding>,
        /// What is to be said about the user's Secret.
        source: Verdict,
    },
}

/// Judges the resource.
///
/// # Errors
/// [`Invalid`] for everything that waiting cannot mend.
pub fn validate<K: InstanceKind>(
    platform: &Platform,
    object: &K,
    name: InstanceName,
    inputs: &Inputs,
) -> Result<ValidInstance, Invalid> {
    let request = object.request();
    let kind = K::kind(&()).into_owned();
    let plan = match backend::resolve(request.backend) {
        Backend::External => external_plan(&name, request, inputs),
        Backend::Delegated => return Err(Invalid::Backend(backend::unavailable(name.engine()))),
        Backend::Auto | Backend::Builtin => {
            let namespace = object.namespace().unwrap_or_default();
            Plan::Builtin {
                node: Box::new(node(platform, &kind, namespace, &name, request, inputs)?),
                certificate: inputs.certificate.clone(),
                rotation: request.rotation.cloned(),
                rotate: object.annotations().get(labels::ROTATE_ANNOTATION).cloned(),
            }
        }
    };
    Ok(ValidInstance { name, kind, plan })
}

fn node(
    platform: &Platform,
    kind: &str,
    namespace: String,
    name: &InstanceName,
    request: Request<'_>,
    inputs: &Inputs,
) -> Result<Node, Invalid> {
    let image = request.image.unwrap_or_else(|| platform.images.engine(name.engine()));
    Ok(Node {
        name: name.clone(),
        kind: kind.to_owned(),
        namespace,
        operator_namespace: platform.namespace.clone(),
        image: image.to_owned(),
        pull_policy: platform.image_pull_policy.clone(),
        resources: request.resources.cloned(),
        parameters: parameters(name, request)?,
        read_replicas: request.read_replicas.unwrap_or(0),
        claim: Claim::plan(request.storage, inputs.claim.as_ref())?,
        copy_size: inputs.copy_size.clone(),
        credentials: credentials(name, inputs)?,
        retain: request.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain,
    })
}

/// The settings, each of them in the engine's list and on one line.
fn parameters(name: &InstanceName, request: Request<'_>) -> Result<BTreeMap<String, String>, Invalid> {
    let allowed = builtin::engine(name.engine()).parameters();
    let given = request.parameters.cloned().unwrap_or_default();
    let problem = given.iter().find_map(|(key, value)| {
        if !allowed.contains(&key.as_str()) {
            Some(format!("{key} cannot be set"))
        } else if value.is_empty() || value.contains(|c: char| c.is_control() || c == '\'' || c == '"' || c == '#') {
            Some(format!("the value of {key} must be plain text on one line, without quotes and #"))
        } else {
            None
        }
    });
    match problem {
        None => Ok(given),
        Some(problem) if allowed.is_empty() => Err(Invalid::Parameter { problem, allowed: "none".to_owned() }),
        Some(problem) => Err(Invalid::Parameter { problem, allowed: allowed.join(", ") }),
    }
}

fn credentials(name: &InstanceName, inputs: &Inputs) -> Result<Credentials, Invalid> {
    let Some(data) = &inputs.credentials else { return Ok(Credentials::new(inputs.fresh.clone())) };
    Credentials::read(builtin::engine(name.engine()).passwords(), data)
        .map_err(|source| Invalid::Credentials { secret: name.credentials(), source })
}

/// While the user's Secret is missing or unusable, consumers keep the binding that they have.
fn external_plan(name: &InstanceName, request: Request<'_>, inputs: &Inputs) -> Plan {
    let Some(secret) = request.external_secret() else {
        let region = request.external.and_then(|external| external.region.as_deref()).unwrap_or_default();
        let binding = external::workload_identity(name.engine(), region);
        return Plan::External { binding: Some(binding), source: Verdict::good(reasons::HEALTHY) };
    };
    let read = |data: &Data| external::read(name.engine(), data);
    let source = match inputs.external.as_ref().map(read) {
        Some(Ok(binding)) => {
            return Plan::External { binding: Some(binding), source: Verdict::good(reasons::HEALTHY) };
        }
        Some(Err(problem)) => Verdict::bad(reasons::SECRET_INVALID, format!("Secret {secret}: {problem}")),
        None => Verdict::bad(
            reasons::SECRET_NOT_FOUND,
            format!("Secret {secret} (spec.external.secretRef) does not exist in this namespace; create it"),
        ),
    };
    let binding = inputs.published.as_ref().and_then(|data| read(data).ok());
    Plan::External { binding, source }
}
