//! An operator with nothing to do writes nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use portico_e2e::audit::Audit;
use portico_e2e::cluster::Cluster;
use portico_e2e::fixtures::start_auth;
use portico_e2e::namespace::TEST_LABEL;
use portico_e2e::{Outcome, POD, wait, with_namespace};
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
        drop(start_auth(&ns, json!({})).await?);
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
