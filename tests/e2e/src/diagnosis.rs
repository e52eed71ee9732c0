//! What is known about a namespace, as text for the report of a failure. Never fails: what cannot be read is said.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt as _};
use portico_crds::common::PorticoResource;
use portico_crds::{AccessGrant, AuthService, BrokerInstance, CacheInstance, DatabaseInstance, ObjectStore};
use serde::Serialize;

use crate::Kind;

/// Lines of log of each container.
const LOG_LINES: i64 = 25;
/// Events, the newest last.
const EVENTS: usize = 40;

/// The first line of a diagnosis.
pub fn heading(namespace: &str) -> String {
    format!("======== namespace {namespace} ========")
}

/// An object without what only the API server needs.
pub fn yaml(object: &impl Serialize) -> String {
    let mut value = match serde_json::to_value(object) {
        Ok(value) => value,
        Err(error) => return error.to_string(),
    };
    if let Some(metadata) = value.get_mut("metadata").and_then(|metadata| metadata.as_object_mut()) {
        metadata.remove("managedFields");
    }
    // What comes from a list or a watch does not say its kind; only Secrets have a type beside their data.
    let is_secret = value["kind"] == "Secret" || value["type"].is_string();
    for secret in ["data", "stringData"] {
        if is_secret && value.get(secret).is_some() {
            value[secret] = "(hidden)".into();
        }
    }
    serde_saphyr::to_string(&value).unwrap_or_else(|error| error.to_string())
}

/// The resources of ours, pods, logs and events of a namespace.
pub async fn of(client: &Client, namespace: &str) -> String {
    let mut text = format!("{}\n", heading(namespace));
    resources::<AuthService>(client, namespace, &mut text).await;
    resources::<DatabaseInstance>(client, namespace, &mut text).await;
    resources::<CacheInstance>(client, namespace, &mut text).await;
    resources::<BrokerInstance>(client, namespace, &mut text).await;
    resources::<ObjectStore>(client, namespace, &mut text).await;
    resources::<AccessGrant>(client, namespace, &mut text).await;
    pods(client, namespace, &mut text).await;
    events(client, namespace, &mut text).await;
    text
}

async fn list<K: Kind>(client: &Client, namespace: &str, text: &mut String) -> Vec<K> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match api.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => {
            let _ = writeln!(text, "listing {} failed: {error}", K::plural(&()));
            Vec::new()
        }
    }
}

async fn resources<K: PorticoResource + Kind>(client: &Client, namespace: &str, text: &mut String) {
    for object in list::<K>(client, namespace, text).await {
        let _ = writeln!(text, "--- {} {}, generation {:?}", K::kind(&()), object.name_any(), object.meta().generation);
        for found in object.conditions() {
            let _ = writeln!(
                text,
                "  {}={} {} (generation {:?}, since {:?}): {}",
                found.type_,
                found.status,
                found.reason,
                found.observed_generation,
                found.last_transition_time.0,
                found.message
            );
        }
    }
}

async fn pods(client: &Client, namespace: &str, text: &mut String) {
    for pod in list::<Pod>(client, namespace, text).await {
        let status = pod.status.clone().unwrap_or_default();
        let _ = writeln!(
            text,
            "--- Pod {}: {} {} {}",
            pod.name_any(),
            status.phase.unwrap_or_default(),
            status.reason.unwrap_or_default(),
            status.message.unwrap_or_default()
        );
        for condition in status.conditions.unwrap_or_default().iter().filter(|condition| condition.status != "True") {
            let message = condition.message.as_deref().unwrap_or_default();
            let _ = writeln!(text, "  {}={}: {message}", condition.type_, condition.status);
        }
        let containers = status.init_container_statuses.into_iter().chain(status.container_statuses).flatten();
        for container in containers {
            describe(client, namespace, &pod.name_any(), &container, text).await;
        }
    }
}

async fn describe(client: &Client, namespace: &str, pod: &str, container: &ContainerStatus, text: &mut String) {
    let (ready, restarts) = (container.ready, container.restart_count);
    let _ =
        writeln!(text, "  {}: {}, ready {ready}, {restarts} restarts", container.name, state(container.state.as_ref()));
    if restarts > 0 {
        let _ = writeln!(text, "  it ended before: {}", state(container.last_state.as_ref()));
        log(client, namespace, pod, &container.name, true, text).await;
    }
    log(client, namespace, pod, &container.name, false, text).await;
}

fn state(state: Option<&ContainerState>) -> String {
    let Some(state) = state else { return "unknown".to_owned() };
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        return format!("waiting {reason} {}", waiting.message.as_deref().unwrap_or_default());
    }
    if let Some(ended) = &state.terminated {
        return format!("ended with {} {}", ended.exit_code, ended.reason.as_deref().unwrap_or_default());
    }
    "running".to_owned()
}

async fn log(client: &Client, namespace: &str, pod: &str, container: &str, previous: bool, text: &mut String) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let parameters = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(LOG_LINES),
        previous,
        ..LogParams::default()
    };
    match pods.logs(pod, &parameters).await {
        Ok(lines) => lines.lines().for_each(|line| {
            let _ = writeln!(text, "    | {line}");
        }),
        Err(error) => {
            let _ = writeln!(text, "    (no log: {error})");
        }
    }
}

async fn events(client: &Client, namespace: &str, text: &mut String) {
    let mut all = list::<Event>(client, namespace, text).await;
    all.sort_by_key(|event| event.metadata.creation_timestamp.clone().map(|time| time.0));
    let _ = writeln!(text, "--- Events");
    for event in all.iter().skip(all.len().saturating_sub(EVENTS)) {
        let object = &event.involved_object;
        let _ = writeln!(
            text,
            "  {} {}/{} {}: {}",
            event.type_.as_deref().unwrap_or_default(),
            object.kind.as_deref().unwrap_or_default(),
            object.name.as_deref().unwrap_or_default(),
            event.reason.as_deref().unwrap_or_default(),
            event.message.as_deref().unwrap_or_default(),
        );
    }
}
