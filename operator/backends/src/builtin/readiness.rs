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

/// Judges a `StatefulSet` of one pod.
pub fn of(set: &StatefulSet) -> Readiness {
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let Some(status) = &set.status else {
        return Readiness::Progressing(format!("StatefulSet {name} has not been looked at yet"));
    };
    if status.observed_generation < set.metadata.generation {
        return Readiness::Progressing(format!("StatefulSet {name} has been changed"));
    }
    if status.update_revision != status.current_revision || status.updated_replicas.unwrap_or(0) < 1 {
        return Readiness::Progressing(format!("the pod of StatefulSet {name} is being replaced"));
    }
    if status.ready_replicas.unwrap_or(0) < 1 {
        return Readiness::Progressing(format!("the pod of StatefulSet {name} is not ready"));
    }
    Readiness::Available
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::StatefulSetStatus;
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
    fn only_a_ready_pod_of_the_current_template_counts() {
        assert_eq!(of(&set(2, 1, 1, "a")), Readiness::Available);
        for not_yet in
            [set(1, 1, 1, "a"), set(2, 0, 1, "a"), set(2, 1, 0, "a"), set(2, 1, 1, "b"), StatefulSet::default()]
        {
            assert!(matches!(of(&not_yet), Readiness::Progressing(_)), "{:?}", not_yet.status);
        }
    }
}
