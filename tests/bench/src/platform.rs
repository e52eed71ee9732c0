//! The operator on a running cluster: how soon it answers, how soon the platform is up, what it does when idle.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{Condition, await_condition};
use kube::{Client, ResourceExt as _};
use portico_crds::auth_service::AuthService;
use portico_crds::common::PorticoResource as _;
use serde_json::Value;

use crate::report::Report;

const OPERATOR_NAMESPACE: &str = "portico-system";
const DEADLINE: Duration = Duration::from_mins(3);
const IDLE: Duration = Duration::from_mins(1);
/// After `Ready`, what still follows from it (the kubelet's and the controllers' last status updates) settles first.
const SETTLE: Duration = Duration::from_secs(10);

/// Applies an `AuthService` `rounds` times, each in a fresh namespace, then watches an idle minute of the last one.
pub(crate) async fn measure(audit_log: &Path, rounds: u32) -> anyhow::Result<Report> {
    let client = Client::try_default().await.context("connecting to the cluster that KUBECONFIG names")?;
    let mut report = Report::new("platform")?;
    let (mut first, mut ready) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let namespace = create_namespace(&client).await?;
        let times = apply(&client, &namespace).await;
        if let Ok((first_status, until_ready)) = times {
            first.push(first_status.as_secs_f64() * 1000.0);
            ready.push(until_ready.as_secs_f64());
        }
        if round + 1 == rounds && times.is_ok() {
            idle(&client, audit_log, &mut report).await?;
        }
        Api::<Namespace>::all(client.clone()).delete(&namespace, &DeleteParams::background()).await?;
        times?;
    }
    report.add("apply → first status", "ms", first)?;
    report.add("apply → Ready, database and cache included", "s", ready)?;
    Ok(report)
}

async fn create_namespace(client: &Client) -> anyhow::Result<String> {
    let mut namespace = Namespace::default();
    namespace.metadata.generate_name = Some("bench-".to_owned());
    let label = ("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned());
    namespace.metadata.labels = Some([label].into());
    Ok(Api::all(client.clone()).create(&PostParams::default(), &namespace).await?.name_any())
}

/// Applies `spec: {}` plus `deletionPolicy: Delete` and waits for the first condition, then for `Ready`.
async fn apply(client: &Client, namespace: &str) -> anyhow::Result<(Duration, Duration)> {
    let api: Api<AuthService> = Api::namespaced(client.clone(), namespace);
    let manifest = serde_json::json!({
        "apiVersion": "portico.dev/v1alpha1",
        "kind": "AuthService",
        "metadata": { "name": "auth" },
        "spec": { "deletionPolicy": "Delete" },
    });
    let applied = Instant::now();
    api.patch("auth", &PatchParams::apply("bench"), &Patch::Apply(manifest)).await?;
    wait(&api, has_status()).await.context("waiting for the first status")?;
    let first_status = applied.elapsed();
    wait(&api, is_ready()).await.context("waiting for Ready")?;
    Ok((first_status, applied.elapsed()))
}

async fn wait(api: &Api<AuthService>, condition: impl Condition<AuthService>) -> anyhow::Result<()> {
    let waiting = await_condition(api.clone(), "auth", condition);
    tokio::time::timeout(DEADLINE, waiting).await.with_context(|| format!("not within {DEADLINE:?}"))??;
    Ok(())
}

fn has_status() -> impl Condition<AuthService> {
    |object: Option<&AuthService>| object.is_some_and(|object| !object.conditions().is_empty())
}

fn is_ready() -> impl Condition<AuthService> {
    |object: Option<&AuthService>| {
        object.is_some_and(|object| object.conditions().iter().any(|c| c.type_ == "Ready" && c.status == "True"))
    }
}

async fn idle(client: &Client, audit_log: &Path, report: &mut Report) -> anyhow::Result<()> {
    tokio::time::sleep(SETTLE).await;
    let before = std::fs::metadata(audit_log).with_context(|| format!("reading {}", audit_log.display()))?.len();
    tokio::time::sleep(IDLE).await;
    let log = std::fs::read(audit_log)?;
    let start = usize::try_from(before)?.min(log.len());
    let since = String::from_utf8_lossy(log.get(start..).unwrap_or_default()).into_owned();
    #[expect(clippy::cast_precision_loss, reason = "a handful of writes")]
    report.add("API writes of the operator in an idle minute", "requests", vec![operator_writes(&since) as f64])?;
    report.add("operator, resident memory, idle", "MiB", vec![operator_memory(client).await?])
}

/// Finished requests of the operator that write, without the renewals of its lease.
fn operator_writes(audit: &str) -> usize {
    let writes = ["create", "update", "patch", "delete", "deletecollection"];
    audit
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["stage"] == "ResponseComplete")
        .filter(|event| event["user"]["username"].as_str().is_some_and(|user| user.ends_with(":portico-operator")))
        .filter(|event| event["verb"].as_str().is_some_and(|verb| writes.contains(&verb)))
        .filter(|event| event["objectRef"]["resource"] != "leases")
        .count()
}

/// Resident memory of the operator's container in MiB, as the kubelet sees it.
async fn operator_memory(client: &Client) -> anyhow::Result<f64> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let selector = ListParams::default().labels("app.kubernetes.io/name=portico-operator");
    let pod = pods.list(&selector).await?.items.into_iter().next().context("the operator has no pod")?;
    let node =
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).context("the operator's pod has no node")?;
    let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
    let summary: Value = client.request(http::Request::get(path).body(Vec::new())?).await?;
    let bytes = resident_bytes(&summary, &pod.name_any()).context("the kubelet has no figures of the operator")?;
    Ok(bytes / (1024.0 * 1024.0))
}

/// The resident memory of a pod's first container in a kubelet's summary.
fn resident_bytes(summary: &Value, pod: &str) -> Option<f64> {
    let pods = summary["pods"].as_array()?;
    let of_pod = pods.iter().find(|stats| stats["podRef"]["name"] == pod)?;
    of_pod["containers"][0]["memory"]["rssBytes"].as_f64()
}

#[cfg(test)]
mod tests {
    use super::{operator_writes, resident_bytes};

    #[test]
    fn counts_finished_writes_of_the_operator_only() {
        let event = |user: &str, verb: &str, resource: &str, stage: &str| {
            serde_json::json!({
                "stage": stage, "verb": verb,
                "user": { "username": format!("system:serviceaccount:portico-system:{user}") },
                "objectRef": { "resource": resource },
            })
            .to_string()
        };
        let log = [
            event("portico-operator", "patch", "deployments", "ResponseComplete"),
            event("portico-operator", "patch", "deployments", "RequestReceived"),
            event("portico-operator", "get", "deployments", "ResponseComplete"),
            event("portico-operator", "patch", "leases", "ResponseComplete"),
            event("somebody-else", "delete", "pods", "ResponseComplete"),
            "a line cut in the mid".to_owned(),
        ];
        assert_eq!(operator_writes(&log.join("\n")), 1);
    }

    #[test]
    fn finds_a_pod_in_a_summary() {
        let pod = |name: &str, bytes: u64| serde_json::json!({ "podRef": { "name": name }, "containers": [{ "memory": { "rssBytes": bytes } }] });
        let summary = serde_json::json!({ "pods": [pod("other", 1), pod("operator", 2)] });
        assert_eq!(resident_bytes(&summary, "operator"), Some(2.0));
        assert_eq!(resident_bytes(&summary, "absent"), None);
    }
}
