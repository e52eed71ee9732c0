//! What is said about an instance. Pure: from what was applied to a status.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use portico_crds::AccessGrant;
use portico_crds::common::{Backend, BindingRef, ConditionType, InstanceStatus, reasons};
use portico_operator_backends::binding::Binding;
use portico_operator_backends::builtin::{node::Node, readiness};
use portico_operator_core::conditions::Status3;
use portico_operator_core::{Applied, Desired, conditions};

use super::inputs::Inputs;
use super::validate::{Plan, ValidInstance};
use super::{InstanceKind, deletion};
use crate::verdict::{self, Verdict};

/// What a reconcile found out.
#[derive(Clone, Debug)]
pub(crate) struct Found<'a> {
    /// What was read.
    pub(crate) inputs: &'a Inputs,
    /// What was applied.
    pub(crate) applied: &'a Desired<Applied>,
    /// What is said about the certificate; `None` keeps what was said.
    pub(crate) certificate: Option<Verdict>,
    /// What is said about the size of the volume.
    pub(crate) storage: Option<Verdict>,
}

/// The status, and whether to look again soon because no watch tells more.
pub(crate) fn status<K: InstanceKind>(
    object: &K,
    valid: &ValidInstance,
    found: &Found<'_>,
    now: Timestamp,
) -> (InstanceStatus, bool) {
    let Found { inputs, applied, .. } = *found;
    let (backend, endpoint, dependencies, workload, binding) = match &valid.plan {
        Plan::Builtin { node, certificate, .. } => {
            let endpoint = format!("{}:{}", node.host(), node.engine().port());
            let workload = workload(node, inputs, applied);
            let issuer = certificate.waits(&node.name.tls());
            let binding = own_binding(valid, applied);
            let dependencies = issuer.unwrap_or_else(|| Verdict::good(reasons::HEALTHY));
            (Backend::Builtin, Some(endpoint), dependencies, workload, binding)
        }
        Plan::External { binding, source } => {
            let endpoint = binding.as_ref().map(Binding::endpoint);
            let published = external_binding(valid, applied);
            (Backend::External, endpoint, source.clone(), Verdict::good(reasons::EXTERNAL), published)
        }
    };
    let generation = object.meta().generation;
    let mut status = object.status().cloned().unwrap_or_default();
    status.backend = Some(backend.as_str().to_owned());
    status.endpoint = endpoint;
    status.binding = binding.good.then(|| BindingRef { name: valid.name.binding() }).or(status.binding);
    status.read_endpoint = read_endpoint(&valid.plan);
    let all = &mut status.conditions;
    let summary = verdict::summary(&[&dependencies, &workload, &binding], "the instance can be used");
    conditions::summarise(all, &summary, generation, now);
    dependencies.set(all, ConditionType::DependenciesReady, generation, now);
    workload.set(all, ConditionType::WorkloadAvailable, generation, now);
    binding.set(all, ConditionType::BindingReady, generation, now);
    if let Some(certificate) = &found.certificate {
        certificate.set(all, ConditionType::CertificateValid, generation, now);
    }
    if let Some(storage) = &found.storage {
        storage.set(all, ConditionType::StorageResized, generation, now);
    }
    say_deletion(all, &deletion::verdict(object, &inputs.consumers), generation, now);
    say_development(all, valid, generation, now);
    (status, !workload.good)
}

/// The condition is there only when there is something to say.
fn say_deletion(all: &mut Vec<Condition>, verdict: &Verdict, generation: Option<i64>, now: Timestamp) {
    if verdict.good {
        all.retain(|condition| condition.type_ != ConditionType::DeletionBlocked.as_str());
    } else {
        let (reason, message) = (&verdict.reason, verdict.message.as_str());
        conditions::set(all, ConditionType::DeletionBlocked, Status3::True, reason, message, generation, now);
    }
}

fn say_development(all: &mut Vec<Condition>, valid: &ValidInstance, generation: Option<i64>, now: Timestamp) {
    let Plan::Builtin { node, .. } = &valid.plan else { return };
    let Some(why) = node.engine().development_only() else { return };
    let (type_, reason) = (ConditionType::DevelopmentOnly, reasons::DEVELOPMENT_ENGINE);
    conditions::set(all, type_, Status3::True, reason, why, generation, now);
}

fn read_endpoint(plan: &Plan) -> Option<String> {
    let Plan::Builtin { node, .. } = plan else { return None };
    node.read_host().map(|host| format!("{host}:{}", node.engine().port()))
}

/// What the grant behind the instance's own binding says of itself.
fn own_binding(valid: &ValidInstance, applied: &Desired<Applied>) -> Verdict {
    let grant = applied.get::<AccessGrant>(&valid.name.own_grant());
    let generation = grant.as_ref().and_then(|grant| grant.metadata.generation);
    // What was said of an earlier spec, such as another deletion policy, says nothing of this one.
    let status = grant.as_ref().and_then(|grant| grant.status.as_ref());
    let status = status.filter(|status| status.observed_generation == generation);
    let conditions = status.map_or(&[][..], |status| status.conditions.as_slice());
    match conditions::find(conditions, ConditionType::BindingReady) {
        Some(ready) if ready.status == "True" => Verdict::good(reasons::BINDING_PUBLISHED),
        Some(ready) => Verdict::bad(&ready.reason, ready.message.as_str()),
        None => not_published(valid),
    }
}

fn external_binding(valid: &ValidInstance, applied: &Desired<Applied>) -> Verdict {
    if applied.get::<Secret>(&valid.name.binding()).is_some() {
        Verdict::good(reasons::BINDING_PUBLISHED)
    } else {
        not_published(valid)
    }
}

fn not_published(valid: &ValidInstance) -> Verdict {
    Verdict::bad(reasons::BINDING_NOT_FOUND, format!("Secret {} is not published yet", valid.name.binding()))
}

fn workload(node: &Node, inputs: &Inputs, applied: &Desired<Applied>) -> Verdict {
    let copies = (node.read_replicas > 0).then(|| node.name.read());
    let sets = std::iter::once(node.name.workload()).chain(copies);
    let verdicts = sets.map(|name| match applied.get::<StatefulSet>(&name) {
        None => Err((reasons::PROGRESSING, format!("StatefulSet {name} is not made yet"))),
        Some(set) => match readiness::of(&set) {
            readiness::Readiness::Available => Ok(()),
            readiness::Readiness::Progressing(what) => Err((reasons::ROLLING_OUT, what)),
        },
    });
    match (verdicts.collect::<Result<(), _>>(), &inputs.trouble) {
        (Ok(()), _) => Verdict::good(reasons::AVAILABLE),
        (Err((reasons::ROLLING_OUT, _)), Some(trouble)) => Verdict::bad(reasons::POD_FAILING, trouble.as_str()),
        (Err((reason, what)), _) => Verdict::bad(reason, what),
    }
}
