//! What the operator says about itself.

use kube::ResourceExt as _;
use portico_e2e::Outcome;
use portico_e2e::cluster::{Cluster, SYSTEM_NAMESPACE};
use portico_e2e::forward::Forward;
use portico_e2e::http::Http;
use portico_e2e::operator::Operator;

/// What dashboards and alerts are made of.
const FAMILIES: [&str; 4] = [
    "controller_runtime_reconcile",
    "controller_runtime_reconcile_time_seconds",
    "rest_client_requests",
    "portico_watch_events",
];

#[tokio::test]
async fn the_operator_tells_how_it_is() -> Outcome {
    let _turn = super::alone().await?;
    Ok(health_and_metrics().await?)
}

async fn health_and_metrics() -> anyhow::Result<()> {
    let operator = Operator::of(&Cluster::connect().await?);
    let pod = operator.pods().get(&operator.leader().await?).await?.name_any();
    let health = Forward::open(SYSTEM_NAMESPACE, &format!("pod/{pod}"), 8080).await?;
    let health = Http::new(health.url());
    health.get("/livez", None).await?.expect(200)?;
    health.get("/readyz", None).await?.expect(200)?;

    let metrics = Forward::open(SYSTEM_NAMESPACE, &format!("pod/{pod}"), 9090).await?;
    let text = Http::new(metrics.url()).get("/metrics", None).await?.expect(200)?.body;
    for family in FAMILIES {
        assert!(text.contains(&format!("# TYPE {family} ")), "no {family} in\n{text}");
    }
    let leads = text.lines().any(|line| line.starts_with("leader_election_master_status") && line.ends_with(" 1"));
    assert!(leads, "the holder of the lease does not say that it leads:\n{text}");
    Ok(())
}
