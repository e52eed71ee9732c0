//! Why pods do not run, in words that a person can act on. Read only while a workload is not available.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, ListParams};
use portico_operator_core::{ApiError, Context, Target};

/// The pods of a workload, in the order of their names.
pub(crate) async fn list(
    cx: &Context,
    namespace: &str,
    selector: &BTreeMap<String, String>,
) -> Result<Vec<Pod>, ApiError> {
    let api: Api<Pod> = Api::namespaced(cx.client.clone(), namespace);
    let selector: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let selector = selector.join(",");
    let mut pods = api
        .list(&ListParams::default().labels(&selector))
        .await
        .map_err(|error| ApiError::new("list", Target::new("Pod", namespace, &selector), error))?
        .items;
    pods.sort_by(|left, right| left.metadata.name.cmp(&right.metadata.name));
    Ok(pods)
}

/// Whether a pod reports itself ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|(status, _)| status == "True")
}

/// What keeps the first pod that is in trouble from running. The text does not change while the cause is the same.
pub(crate) fn trouble(pods: &[Pod]) -> Option<String> {
    pods.iter().filter(|pod| !is_ready(pod)).find_map(|pod| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let status = pod.status.as_ref()?;
        let mut containers = status.container_statuses.iter().flatten();
        let trouble = containers.find_map(container_trouble).or_else(|| unschedulable(pod))?;
        Some(format!("pod {name}: {trouble}"))
    })
}

fn container_trouble(status: &ContainerStatus) -> Option<String> {
    let image = &status.image;
    let reason = status.state.as_ref()?.waiting.as_ref()?.reason.as_deref()?;
    Some(match reason {
        // Kubernetes alternates between the two.
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" => format!("the image {image} cannot be pulled"),
        "InvalidImageName" => format!("{image} is not the name of an image"),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let message = status.state.as_ref()?.waiting.as_ref()?.message.as_deref().unwrap_or_default();
            format!("the container cannot be made: {message}")
        }
        "CrashLoopBackOff" => {
            let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            let code = last.map_or_else(String::new, |last| format!(" with code {}", last.exit_code));
            let words = last.and_then(|last| last_words(last.message.as_deref()?));
            let words = words.map_or_else(|| "see its log".to_owned(), |words| format!("it says: {words}"));
            format!("the container {} ends again and again{code}; {words}", status.name)
        }
        _ => return None,
    })
}

/// What begins the part of a line that is the same each time, after time and process number.
const MARKS: [&str; 7] = ["portico: ", "PANIC:", "FATAL:", "FATAL CONFIG", "[ERROR]", "ERROR:", "No space left"];
/// Characters of a log that fit a condition.
const MOST_WORDS: usize = 300;

/// The last line of a log that says why a program ended.
fn last_words(log: &str) -> Option<String> {
    log.lines().rev().find_map(|line| {
        let begin = MARKS.iter().filter_map(|mark| line.find(mark)).min()?;
        Some(line.get(begin..)?.trim_start_matches("portico: ").trim_end().chars().take(MOST_WORDS).collect())
    })
}

fn unschedulable(pod: &Pod) -> Option<String> {
    let (status, message) = condition(pod, "PodScheduled")?;
    (status == "False").then(|| format!("no node can take it: {message}"))
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<(&'a str, &'a str)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == type_)?;
    Some((&condition.status, condition.message.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p-0"}, "status": status})).unwrap()
    }

    fn waiting(reason: &str) -> Pod {
        pod(&json!({"containerStatuses": [{
            "name": "c", "image": "i:1", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": reason, "message": "back-off 40s"}},
            "lastState": {"terminated": {"exitCode": 1}},
        }]}))
    }

    #[test]
    fn words_say_what_to_look_at_and_stay_the_same() {
        assert_eq!(trouble(&[waiting("ErrImagePull")]).unwrap(), "pod p-0: the image i:1 cannot be pulled");
        assert_eq!(trouble(&[waiting("ErrImagePull")]), trouble(&[waiting("ImagePullBackOff")]));
        let crash = trouble(&[waiting("CrashLoopBackOff")]).unwrap();
        assert!(crash.contains("code 1") && !crash.contains("40s"), "{crash}");
        assert_eq!(trouble(&[waiting("ContainerCreating")]), None);
    }

    #[test]
    fn the_last_words_of_a_program_are_told_without_what_changes() {
        let words = |text: &str| last_words(text).unwrap_or_default();
        let postgresql = "2026-01-01 00:00:00.1 UTC [7] LOG: x\n2026-01-01 00:00:01.2 UTC [7] @ FATAL:  could not write \
            lock file: No space left on device\n2026-01-01 00:00:02 UTC [7] LOG: bye\n";
        assert_eq!(words(postgresql), "FATAL:  could not write lock file: No space left on device");
        assert_eq!(
            words("portico: starting\nportico: the volume holds data of version 16\n"),
            "the volume holds data of version 16"
        );
        assert_eq!(last_words("nothing in particular"), None);
    }

    #[test]
    fn a_pod_without_a_node_says_why() {
        let pod = pod(&json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}));
        assert_eq!(trouble(&[pod]).unwrap(), "pod p-0: no node can take it: 0/1 nodes");
    }

    #[test]
    fn ready_pods_are_in_no_trouble() {
        let mut healthy = waiting("CrashLoopBackOff");
        let ready = json!([{"type": "Ready", "status": "True"}]);
        healthy.status.as_mut().unwrap().conditions = serde_json::from_value(ready).unwrap();
        assert_eq!(trouble(&[healthy]), None);
    }
}
