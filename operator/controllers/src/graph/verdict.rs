//! What is waited for at an edge: the first thing on the way that is not there, by its name and in its own words. Pure.

use portico_crds::common::names::EngineName;
use portico_crds::common::{ConditionType, ResourceStatus, TypedInstanceRef, reasons};
use portico_operator_core::conditions;

use super::observe::Observed;
use super::{Edge, Target};
use crate::instance::view::not_ready;
use crate::verdict::Verdict;

/// What is not as the edge needs it; `None` when only the binding is left to look at.
pub(crate) fn blocking(edge: &Edge, engine: EngineName, observed: &Observed) -> Option<Verdict> {
    let Target::Grant { name, instance, managed } = &edge.target else { return None };
    blocking_instance(edge.role, engine, instance, *managed, observed)
        .or_else(|| blocking_grant(edge.role, name, observed))
}

fn blocking_instance(
    role: &str,
    engine: EngineName,
    reference: &TypedInstanceRef,
    managed: bool,
    observed: &Observed,
) -> Option<Verdict> {
    let (kind, name) = (reference.kind.as_str(), &reference.name);
    let bad = |reason: &str, text: String| Some(Verdict::bad(reason, format!("{role}: {kind} {name} {text}")));
    let Some((found, seen)) = &observed.instance else {
        return if managed {
            bad(not_ready(reference.kind), "is being made".to_owned())
        } else {
            let text = format!("(spec.{role}.instanceRef) does not exist in this namespace; create it");
            bad(reasons::INSTANCE_NOT_FOUND, text)
        };
    };
    if *found != engine {
        let text = format!("(spec.{role}.instanceRef) runs {}; choose one of {}", found.as_str(), engine.as_str());
        return bad(reasons::INVALID_SPEC, text);
    }
    // While a grant holds it, it goes on as if nothing had been asked.
    if seen.deleting && observed.grant.as_ref().is_none_or(|grant| grant.deleting) {
        let end = if managed { "is being deleted, and is made anew afterwards" } else { "is being deleted" };
        return bad(not_ready(reference.kind), end.to_owned());
    }
    None
}

/// A grant says what it waits for, the instance's own troubles included.
fn blocking_grant(role: &str, name: &str, observed: &Observed) -> Option<Verdict> {
    let Some(grant) = &observed.grant else {
        let text = format!("{role}: AccessGrant {name} is being made");
        return Some(Verdict::bad(reasons::GRANT_NOT_READY, text));
    };
    let conditions = grant.status.as_ref().map_or(&[][..], |status| status.conditions());
    match conditions::find(conditions, ConditionType::Ready) {
        Some(ready) if ready.status == "True" => None,
        Some(ready) if !ready.message.is_empty() => {
            Some(Verdict::bad(&ready.reason, format!("{role}: {}", ready.message)))
        }
        Some(ready) => {
            let text = format!("{role}: AccessGrant {name} is not ready ({})", ready.reason);
            Some(Verdict::bad(reasons::GRANT_NOT_READY, text))
        }
        None => {
            let text = format!("{role}: AccessGrant {name} has not been looked at yet");
            Some(Verdict::bad(reasons::GRANT_NOT_READY, text))
        }
    }
}

/// What is said of a binding Secret that is not there.
pub(crate) fn missing(edge: &Edge, secret: &str) -> Verdict {
    let role = edge.role;
    match &edge.target {
        Target::Secret(_) => {
            let text =
                format!("{role}: Secret {secret} (spec.{role}.secretRef) does not exist in this namespace; create it");
            Verdict::bad(reasons::SECRET_NOT_FOUND, text)
        }
        Target::Grant { name, .. } => {
            let text = format!("{role}: AccessGrant {name} has not published its binding {secret} yet");
            Verdict::bad(reasons::BINDING_NOT_FOUND, text)
        }
        Target::Instance(instance) => {
            let (kind, name) = (instance.kind.as_str(), &instance.name);
            let text = format!("{role}: {kind} {name} has not published its binding {secret} yet");
            Verdict::bad(reasons::BINDING_NOT_FOUND, text)
        }
    }
}
