//! When a builtin engine counts as running.

use k8s_openapi::api::apps::v1::StatefulSet;

/// What a workload's status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All pods run the current template and are ready.
    Available,
    /// Not yet, or not now.
    Progressing(String),
}

/// Judges a `StatefulSet`.
pub fn of(set: &StatefulSet) -> Readiness {
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &set.status else {
        return Readiness::Progressing(format!("StatefulSet {name} has not been looked at yet"));
    };
    if status.observed_generation < set.metadata.generation {
        return Readiness::Progressing(format!("StatefulSet {name} has been changed"));
    }
    if status.update_revision != status.current_revision || status.updated_replicas.unwrap_or(0) < wanted {
        return Readiness::Progressing(format!("{} of StatefulSet {name} is being replaced", pod(wanted)));
    }
    if status.ready_replicas.unwrap_or(0) < wanted {
        return Readiness::Progressing(format!("{} of StatefulSet {name} is not ready", pod(wanted)));
    }
    Readiness::Available
}

const fn pod(wanted: i32) -> &'static str {
    if wanted == 1 { "the pod" } else { "a pod" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::{StatefulSetSpec, StatefulSetStatus};
    use kube::core::ObjectMeta;

    fn set(observed: i64, updated: i32, ready: i32, revision: &str) -> StatefulSet {
        StatefulSet {
            metadata: ObjectMeta { name: Some("s".into()), generation: Some(2), ..ObjectMeta::default() },
            status: Some(StatefulSetStatus {
                observed_generation: Some(observed),
                updated_replicas: Some(updated),
                ready_replicas: Some(ready),
                current_revision: Some("a".into()),
                update_revision: Some(revision.into()),
                ..StatefulSetStatus::default()
            }),
            ..StatefulSet::default()
        }
    }

    #[test]
    fn all_pods_count() {
        let copies = |ready| {
            let mut set = set(2, 2, ready, "a");
            set.spec = Some(StatefulSetSpec { replicas: Some(2), ..StatefulSetSpec::default() });
            of(&set)
        };
        assert_eq!(copies(2), Readiness::Available);
        assert_eq!(copies(1), Readiness::Progressing("a pod of StatefulSet s is not ready".into()));
    }

    #[test]
    fn only_a_ready_pod_of_the_current_template_counts() {
        assert_eq!(of(&set(2, 1, 1, "a")), Readiness::Available);
        for not_yet in
            [set(1, 1, 1, "a"), set(2, 0, 1, "a"), set(2, 1, 0, "a"), set(2, 1, 1, "b"), StatefulSet::default()]
        {
            assert!(matches!(of(&not_yet), Readiness::Progressing(_)), "{:?}", not_yet.status);
        }
    }
}
