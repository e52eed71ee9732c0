//! An operator with nothing to do writes nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use portico_e2e::audit::Audit;
use portico_e2e::cluster::Cluster;
use portico_e2e::engine::{DYNAMODB, GARAGE, MARIADB, POSTGRESQL, RABBITMQ, VALKEY};
use portico_e2e::fixtures::start_auth;
use portico_e2e::namespace::TEST_LABEL;
use portico_e2e::{Outcome, POD, TestNamespace, wait, with_namespace};
use serde_json::json;

/// The minute of the promise.
const MINUTE: Duration = Duration::from_mins(1);
/// Without a write for this long, the last state has been written down.
const QUIET: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_idle_operator_writes_nothing() -> Outcome {
    let _turn = super::alone().await?;
    await_clean_up(&Cluster::connect().await?).await?;
    with_namespace("idle", |ns| async move {
        let before = Audit::from_now()?;
        every_kind(&ns).await?;
        assert!(!before.operator_writes()?.is_empty(), "the audit log shows none of the operator's writes");
        Audit::await_quiet(QUIET, POD).await?;
        let audit = Audit::from_now()?;
        // The minute itself is what is measured: nothing could end it sooner.
        tokio::time::sleep(MINUTE).await;
        let writes: Vec<String> = audit.operator_writes()?.iter().map(ToString::to_string).collect();
        assert!(writes.is_empty(), "{} writes in an idle minute: {writes:#?}", writes.len());
        Ok(())
    })
    .await
}

/// One of each, and all of them ready.
async fn every_kind(ns: &TestNamespace) -> anyhow::Result<()> {
    let engines = [POSTGRESQL, MARIADB, DYNAMODB, VALKEY, RABBITMQ, GARAGE];
    for engine in engines {
        ns.apply(engine.instance(engine.name, &json!({"deletionPolicy": "Delete"}))).await?;
    }
    let rotation = json!({"rotation": {"interval": "720h"}, "deletionPolicy": "Delete"});
    ns.apply(POSTGRESQL.grant("orders", POSTGRESQL.name, &rotation)).await?;
    drop(start_auth(ns, json!({})).await?);
    for engine in engines {
        ns.kubectl_wait(&format!("{}/{}", engine.kind, engine.name)).await?;
    }
    ns.kubectl_wait("accessgrant/orders").await
}

/// The namespaces of tests before this one still give the operator something to do while they end.
async fn await_clean_up(cluster: &Cluster) -> anyhow::Result<()> {
    let api: Api<Namespace> = Api::all(cluster.client());
    let ending = |namespace: &&Namespace| namespace.metadata.deletion_timestamp.is_some();
    for namespace in api.list(&ListParams::default().labels(TEST_LABEL)).await?.items.iter().filter(ending) {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        wait::until(api.clone(), name, POD, "deleted", |namespace| namespace.is_none()).await?;
    }
    Ok(())
}
