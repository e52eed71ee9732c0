//! What is said about a grant. Pure.

use jiff::Timestamp;
use portico_crds::AccessGrant;
use portico_crds::access_grant::AccessGrantStatus;
use portico_crds::common::names::GrantName;
use portico_crds::common::{BindingRef, ConditionType, reasons};
use portico_operator_core::conditions;

use super::logins::Logins;
use crate::verdict::{self, Verdict};

/// What a reconcile found out.
#[derive(Clone, Debug)]
pub(crate) struct Findings<'a> {
    /// Whether the instance can be used.
    pub(crate) dependencies: Verdict,
    /// Where the engine listens, once it is known.
    pub(crate) endpoint: Option<String>,
    /// Whether the binding is published.
    pub(crate) published: bool,
    /// The logins, where the operator makes them.
    pub(crate) logins: Option<&'a Logins>,
    /// What is said about their replacement.
    pub(crate) rotation: Verdict,
}

/// The status.
pub(crate) fn status(
    object: &AccessGrant,
    name: &GrantName,
    findings: &Findings<'_>,
    now: Timestamp,
) -> AccessGrantStatus {
    let generation = object.metadata.generation;
    let mut status = object.status.clone().unwrap_or_default();
    let binding = if findings.published {
        Verdict::good(reasons::BINDING_PUBLISHED)
    } else if findings.dependencies.good {
        Verdict::bad(reasons::BINDING_NOT_FOUND, format!("Secret {} is not published yet", name.binding()))
    } else {
        findings.dependencies.clone()
    };
    if findings.published {
        status.binding = Some(BindingRef { name: name.binding() });
    }
    status.endpoint = findings.endpoint.clone().or(status.endpoint);
    if let Some(logins) = findings.logins.filter(|logins| logins.published()) {
        status.username = Some(logins.credential.username.clone());
        status.rotated_at = Some(logins.since.to_string());
        status.rotation_request = (!logins.request.is_empty()).then(|| logins.request.clone());
    }
    let all = &mut status.conditions;
    let summary = verdict::summary(&[&findings.dependencies, &binding], "the instance can be used");
    conditions::summarise(all, &summary, generation, now);
    findings.dependencies.set(all, ConditionType::DependenciesReady, generation, now);
    binding.set(all, ConditionType::BindingReady, generation, now);
    findings.rotation.set(all, ConditionType::CredentialsCurrent, generation, now);
    status
}
