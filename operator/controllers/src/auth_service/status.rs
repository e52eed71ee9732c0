//! What is said about an `AuthService`. Pure: from what was applied to a status.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use portico_crds::AuthService;
use portico_crds::auth_service::AuthServiceStatus;
use portico_crds::common::{ConditionType, SecretRef, reasons};
use portico_operator_core::{Applied, Desired, conditions};

use super::inputs::Inputs;
use super::validate::ValidAuthService;
use super::{build, key_rotation};
use crate::verdict::{self, Verdict};

/// The status, and whether to look again soon because no watch tells more.
pub(crate) fn status(
    object: &AuthService,
    valid: &ValidAuthService,
    inputs: &Inputs,
    applied: &Desired<Applied>,
    now: Timestamp,
) -> (AuthServiceStatus, bool) {
    let deployment = applied.get::<Deployment>(valid.name.as_str());
    let dependencies = dependencies(valid, inputs);
    let workload = workload(valid, inputs, deployment.as_ref());
    let keys = applied.get::<Secret>(&valid.name.signing_keys());
    let rotation = key_rotation::verdict(&valid.keys, valid.key_terms.overlap);

    let generation = object.metadata.generation;
    let mut status = object.status.clone().unwrap_or_default();
    let replicas = deployment.as_ref().and_then(|deployment| deployment.status.as_ref()?.replicas);
    status.replicas = deployment.as_ref().map(|_| replicas.unwrap_or(0));
    status.selector = Some(build::selector(&valid.name));
    status.url = Some(valid.url.clone());
    status.signing_keys_secret = keys.map(|_| SecretRef { name: valid.name.signing_keys() });
    let all = &mut status.conditions;
    let summary = verdict::summary(&[&dependencies, &workload], "the service can be used");
    conditions::summarise(all, &summary, generation, now);
    dependencies.set(all, ConditionType::DependenciesReady, generation, now);
    workload.set(all, ConditionType::WorkloadAvailable, generation, now);
    rotation.set(all, ConditionType::SigningKeysCurrent, generation, now);
    (status, deployment.is_some() && !workload.good)
}

/// The instances and Secrets first, then what the pods say: an instance that is down explains pods that cannot reach it.
fn dependencies(valid: &ValidAuthService, inputs: &Inputs) -> Verdict {
    let known = valid.dependencies.iter().map(|one| &one.resolved.verdict).filter(|verdict| !verdict.good);
    let said =
        inputs.failing.iter().map(|check| Verdict::bad(&check.reason, format!("{}: {}", check.name, check.detail)));
    let all: Vec<Verdict> = known.cloned().chain(said).collect();
    match all.first() {
        None => Verdict::good(reasons::HEALTHY),
        Some(first) => {
            let messages: Vec<&str> = all.iter().map(|verdict| verdict.message.as_str()).collect();
            Verdict::bad(&first.reason, messages.join("; "))
        }
    }
}

fn workload(valid: &ValidAuthService, inputs: &Inputs, deployment: Option<&Deployment>) -> Verdict {
    let name = valid.name.as_str();
    let Some(deployment) = deployment else {
        return match valid.dependencies.iter().find(|one| one.resolved.link.is_none()) {
            Some(one) => {
                let text = format!("the Deployment is made when the {} is bound", one.role.as_str());
                Verdict::bad(reasons::WAITING, text)
            }
            None => Verdict::bad(reasons::PROGRESSING, format!("Deployment {name} is not made yet")),
        };
    };
    if is_available(deployment) {
        let none = deployment.spec.as_ref().and_then(|spec| spec.replicas) == Some(0);
        return Verdict::good(if none { reasons::SCALED_TO_ZERO } else { reasons::AVAILABLE });
    }
    if let Some(text) = inputs.trouble.clone().or_else(|| refused(deployment)) {
        return Verdict::bad(reasons::POD_FAILING, text);
    }
    Verdict::bad(reasons::ROLLING_OUT, progress(deployment))
}

/// Whether all pods run the current template and are available.
pub(crate) fn is_available(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) >= wanted
}

/// Why pods are not even made, such as an exhausted quota.
fn refused(deployment: &Deployment) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure =
        conditions.iter().find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    failure.message.clone()
}

fn progress(deployment: &Deployment) -> String {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let (updated, available) = (status.updated_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0));
    format!("{updated} of {wanted} pods are up to date, {available} are available")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth_service::probe::FailingCheck;
    use crate::auth_service::testing::{bound, granted, nothing};
    use serde_json::json;

    fn deployment(replicas: i32, status: &serde_json::Value) -> Deployment {
        let object = json!({"metadata": {"generation": 2}, "spec": {"replicas": replicas, "selector": {},
            "template": {}}, "status": status});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn only_a_finished_rollout_is_available() {
        let status = |observed, replicas, updated, available| {
            json!({"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated,
                "availableReplicas": available})
        };
        assert!(is_available(&deployment(2, &status(2, 2, 2, 2))));
        assert!(is_available(&deployment(0, &status(2, 0, 0, 0))));
        for not_yet in [status(1, 2, 2, 2), status(2, 3, 2, 2), status(2, 2, 1, 2), status(2, 2, 2, 1), json!(null)] {
            assert!(!is_available(&deployment(2, &not_yet)), "{not_yet}");
        }
    }

    fn valid(inputs: &Inputs) -> ValidAuthService {
        let object: AuthService = crate::testing::fixture(include_str!("fixtures/minimal.yaml"));
        crate::auth_service::validate::validate(&crate::testing::platform(), &object, inputs).unwrap()
    }

    #[test]
    fn the_first_dependency_that_is_missing_gives_the_reason_and_all_are_named() {
        let verdict = dependencies(&valid(&nothing()), &nothing());
        assert_eq!(verdict.reason, "DatabaseNotReady");
        assert_eq!(
            verdict.message,
            "database: DatabaseInstance members-db is being made; cache: CacheInstance members-cache is being made"
        );
    }

    #[test]
    fn a_grant_that_is_not_ready_hands_on_what_blocks_it() {
        let mut inputs = bound();
        let text = "CacheInstance members-cache is not ready: pod members-cache-valkey-0: no image (PodFailing)";
        inputs.cache.grant = Some(granted("False", "CacheNotReady", text));
        let verdict = dependencies(&valid(&inputs), &inputs);
        assert_eq!((verdict.reason.as_str(), verdict.message), ("CacheNotReady", format!("cache: {text}")));
    }

    #[test]
    fn what_pods_say_is_handed_on_when_the_grants_are_fine() {
        let check = FailingCheck { name: "database".into(), reason: "PasswordRefused".into(), detail: "user u".into() };
        let inputs = Inputs { failing: vec![check], ..bound() };
        let verdict = dependencies(&valid(&inputs), &inputs);
        assert_eq!((verdict.reason.as_str(), verdict.message.as_str()), ("PasswordRefused", "database: user u"));
    }

    #[test]
    fn the_workload_says_what_it_waits_for() {
        let waiting = workload(&valid(&nothing()), &nothing(), None);
        assert_eq!(waiting.reason, "WaitingForDependencies");
        let crashing = Inputs { trouble: Some("pod p: no image".into()), ..nothing() };
        let verdict = workload(&valid(&crashing), &crashing, Some(&deployment(1, &json!({}))));
        assert_eq!((verdict.reason.as_str(), verdict.message.as_str()), ("PodFailing", "pod p: no image"));
        let refused = json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "quota"}]});
        assert_eq!(workload(&valid(&nothing()), &nothing(), Some(&deployment(1, &refused))).message, "quota");
        let none = json!({"observedGeneration": 2});
        assert_eq!(workload(&valid(&nothing()), &nothing(), Some(&deployment(0, &none))).reason, "ScaledToZero");
    }
}
