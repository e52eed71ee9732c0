//! Waiting for what the API server shows: by watches, with deadlines. A restarted cluster still shows the state of its
//! last run, so everything is asked for as it is *since* an instant.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Config, ResourceExt as _};

/// Pods of `kube-system` that a cluster is not ready without, by their label `k8s-app`.
pub(super) const ADD_ONS: [&str; 2] = ["kube-dns", "metrics-server"];

/// A client for a kubeconfig file. Needs a running tokio runtime, makes no request.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Whether the API server says that it is ready.
pub(crate) async fn is_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
    let answer = tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await;
    matches!(answer, Ok(Ok(text)) if text == "ok")
}

/// Waits until the node is Ready.
pub(super) async fn node(client: &Client, since: Timestamp, patience: Duration) -> anyhow::Result<()> {
    let ready = |nodes: &HashMap<String, Node>| nodes.values().any(|node| node_is_ready(node, since));
    watch_until(Api::all(client.clone()), patience, ready).await.context("the node did not become Ready")
}

/// Waits until the pods of every add-on are Ready.
pub(super) async fn add_ons(client: &Client, since: Timestamp, patience: Duration) -> anyhow::Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), "kube-system");
    let ready = |pods: &HashMap<String, Pod>| {
        let of = |app: &'static str| {
            pods.values().filter(move |pod| pod.labels().get("k8s-app").is_some_and(|is| is == app))
        };
        ADD_ONS.iter().all(|app| of(app).any(|pod| pod_is_ready(pod, since)))
    };
    watch_until(api, patience, ready).await.context("the pods of kube-system did not become Ready")
}

/// Watches all objects until they are as wanted.
async fn watch_until<K>(
    api: Api<K>,
    patience: Duration,
    wanted: impl Fn(&HashMap<String, K>) -> bool,
) -> anyhow::Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let watch = async {
        let mut known = HashMap::new();
        let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
        loop {
            // A watch that fails is begun again by the stream itself, until the deadline.
            let Ok(event) = events.try_next().await else { continue };
            match event.context("the watch ended")? {
                watcher::Event::Init => known.clear(),
                watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                    known.insert(object.name_any(), object);
                }
                watcher::Event::Delete(object) => drop(known.remove(&object.name_any())),
                watcher::Event::InitDone => {}
            }
            if wanted(&known) {
                return Ok(());
            }
        }
    };
    match tokio::time::timeout(patience, watch).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("not within {}", crate::ui::seconds(patience)),
    }
}

fn node_is_ready(node: &Node, since: Timestamp) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    ready.any(|one| one.status == "True" && one.last_heartbeat_time.as_ref().is_some_and(|at| at.0 >= since))
}

fn pod_is_ready(pod: &Pod, since: Timestamp) -> bool {
    let Some(status) = &pod.status else { return false };
    let ready = status.conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
    let started = |running: &k8s_openapi::api::core::v1::ContainerStateRunning| {
        running.started_at.as_ref().is_some_and(|at| at.0 >= since)
    };
    let mut containers = status.container_statuses.iter().flatten().peekable();
    let fresh = containers.peek().is_some()
        && containers.all(|one| one.state.as_ref().and_then(|state| state.running.as_ref()).is_some_and(started));
    ready && fresh
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node_at(heartbeat: &str, status: &str) -> Node {
        let condition = json!({"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat});
        serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"conditions": [condition]}})).unwrap()
    }

    #[test]
    fn a_node_that_was_ready_before_the_restart_does_not_count() {
        let since = "2026-01-01T12:00:00Z".parse().unwrap();
        assert!(node_is_ready(&node_at("2026-01-01T12:00:01Z", "True"), since));
        assert!(!node_is_ready(&node_at("2026-01-01T11:59:59Z", "True"), since));
        assert!(!node_is_ready(&node_at("2026-01-01T12:00:01Z", "False"), since));
    }

    #[test]
    fn a_pod_counts_once_its_containers_run_again() {
        let since = "2026-01-01T12:00:00Z".parse().unwrap();
        let pod = |started: &str| -> Pod {
            let container = json!({"name": "c", "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": started}}});
            let conditions = [json!({"type": "Ready", "status": "True"})];
            serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"conditions": conditions, "containerStatuses": [container]}})).unwrap()
        };
        assert!(pod_is_ready(&pod("2026-01-01T12:00:05Z"), since));
        assert!(!pod_is_ready(&pod("2026-01-01T11:00:00Z"), since));
    }
}
