//! What is said about an instance. Pure: from what was applied to a status.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use portico_crds::common::{Backend, BindingRef, ConditionType, InstanceStatus, reasons};
use portico_operator_backends::builtin::{node::Node, readiness};
use portico_operator_core::{Applied, Desired, conditions};

use super::InstanceKind;
use super::inputs::Inputs;
use super::validate::{Plan, ValidInstance};
use crate::verdict::{self, Verdict};

/// The status, and whether to look again soon because no watch tells more.
pub(crate) fn status<K: InstanceKind>(
    object: &K,
    valid: &ValidInstance,
    inputs: &Inputs,
    applied: &Desired<Applied>,
    now: Timestamp,
) -> (InstanceStatus, bool) {
    let (backend, endpoint, dependencies, workload) = match &valid.plan {
        Plan::Builtin(node) => {
            let workload = workload(node, inputs, applied);
            (Backend::Builtin, Some(node.binding().endpoint()), Verdict::good(reasons::HEALTHY), workload)
        }
        Plan::External { binding, source } => {
            let endpoint = binding.as_ref().map(portico_operator_backends::binding::Binding::endpoint);
            (Backend::External, endpoint, source.clone(), Verdict::good(reasons::EXTERNAL))
        }
    };
    let published = applied.get::<Secret>(&valid.name.binding()).is_some();
    let binding = if published {
        Verdict::good(reasons::BINDING_PUBLISHED)
    } else {
        Verdict::bad(reasons::BINDING_NOT_FOUND, format!("Secret {} is not published yet", valid.name.binding()))
    };
    let generation = object.meta().generation;
    let mut status = object.status().cloned().unwrap_or_default();
    status.backend = Some(backend.as_str().to_owned());
    status.endpoint = endpoint;
    status.binding = published.then(|| BindingRef { name: valid.name.binding() });
    let all = &mut status.conditions;
    let summary = verdict::summary(&[&dependencies, &binding, &workload], "the instance can be used");
    conditions::summarise(all, &summary, generation, now);
    dependencies.set(all, ConditionType::DependenciesReady, generation, now);
    workload.set(all, ConditionType::WorkloadAvailable, generation, now);
    binding.set(all, ConditionType::BindingReady, generation, now);
    (status, !workload.good)
}

fn workload(node: &Node, inputs: &Inputs, applied: &Desired<Applied>) -> Verdict {
    let name = node.name.workload();
    let Some(set) = applied.get::<StatefulSet>(&name) else {
        return Verdict::bad(reasons::PROGRESSING, format!("StatefulSet {name} is not made yet"));
    };
    match (readiness::of(&set), &inputs.trouble) {
        (readiness::Readiness::Available, _) => Verdict::good(reasons::AVAILABLE),
        (readiness::Readiness::Progressing(_), Some(trouble)) => Verdict::bad(reasons::POD_FAILING, trouble.as_str()),
        (readiness::Readiness::Progressing(what), None) => Verdict::bad(reasons::ROLLING_OUT, what),
    }
}
