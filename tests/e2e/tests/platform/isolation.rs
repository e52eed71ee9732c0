//! Who may reach what: the engines only their consumers, the service only those it allows.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use portico_crds::AuthService;
use portico_e2e::fixtures::start_auth;
use portico_e2e::probe::{Connection, Probe};
use portico_e2e::{Outcome, TestNamespace, with_namespace};
use serde_json::json;

/// Until a change of policies or pods is in force.
const FORCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn only_those_who_may_get_through() -> Outcome {
    with_namespace("isolation", |ns| async move {
        let (outside, monitoring) = (ns.sibling(&[]).await?, ns.sibling(&[("portico.dev/monitoring", "true")]).await?);
        let both = [("database.portico.dev/auth-db", "consumer"), ("cache.portico.dev/auth-cache", "consumer")];
        Probe::create(&ns, "stranger", &[]).await?;
        Probe::create(&ns, "of-database", &both[..1]).await?;
        Probe::create(&ns, "of-cache", &both[1..]).await?;
        // The labels open nothing from another namespace.
        Probe::create(&outside, "outside", &both).await?;
        Probe::create(&monitoring, "monitoring", &[]).await?;
        drop(start_auth(&ns, json!({})).await?);

        let to = Targets::find(&ns).await?;
        Probe::of(&ns, "stranger").await?.expect(FORCE, &to.open([false, false, true, false])).await?;
        Probe::of(&ns, "of-database").await?.expect(FORCE, &to.open([true, false, true, false])).await?;
        Probe::of(&ns, "of-cache").await?.expect(FORCE, &to.open([false, true, true, false])).await?;
        Probe::of(&monitoring, "monitoring").await?.expect(FORCE, &to.open([false, false, false, true])).await?;
        let probe = Probe::of(&outside, "outside").await?;
        probe.expect(FORCE, &to.open([false, false, false, false])).await?;

        ns.patch::<AuthService>("auth", json!({"spec": {"allowedNamespaces": [outside.name()]}})).await?;
        probe.expect(FORCE, &to.open([false, false, true, false])).await
    })
    .await
}

/// The addresses of the database, the cache, the service and the metrics of its pod.
struct Targets([(&'static str, String, u16); 4]);

impl Targets {
    async fn find(ns: &TestNamespace) -> anyhow::Result<Self> {
        let pods = ns.api::<Pod>().list(&ListParams::default().labels("app.kubernetes.io/name=auth-service")).await?;
        let pod = pods.items.into_iter().find_map(|pod| pod.status?.pod_ip).context("the pod has no address")?;
        let (database, cache) = (address(ns, "auth-db-postgresql").await?, address(ns, "auth-cache-valkey").await?);
        let service = address(ns, "auth").await?;
        Ok(Self([
            ("the database", database, 5432),
            ("the cache", cache, 6379),
            ("the service", service, 80),
            ("the metrics", pod, 9090),
        ]))
    }

    fn open(&self, open: [bool; 4]) -> Vec<Connection> {
        let connection = |((name, address, port), open): (&(&str, String, u16), bool)| Connection {
            name: (*name).to_owned(),
            address: address.clone(),
            port: *port,
            open,
        };
        self.0.iter().zip(open).map(connection).collect()
    }
}

async fn address(ns: &TestNamespace, service: &str) -> anyhow::Result<String> {
    let found: Service = ns.get(service).await?;
    let address = found.spec.and_then(|spec| spec.cluster_ip).filter(|address| address != "None");
    address.with_context(|| format!("Service {service} has no address"))
}

#[tokio::test]
async fn privileged_pods_are_refused_beside_ours() -> Outcome {
    with_namespace("restricted", |ns| async move {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"},
            "spec": {"containers": [{"name": "root", "image": "root", "securityContext": {"privileged": true}}]},
        });
        let refused = ns.apply(pod).await.expect_err("a privileged pod was accepted");
        let text = format!("{refused:#}");
        assert!(text.contains("PodSecurity") && text.contains("restricted"), "{text}");
        Ok(())
    })
    .await
}
