//! What is edited is rolled out; what others added stays; what others broke is mended.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use portico_crds::AuthService;
use portico_e2e::auth::Auth;
use portico_e2e::fixtures::start_auth;
use portico_e2e::{Outcome, POD, REACTION, TestNamespace, with_namespace};
use serde_json::json;

#[tokio::test]
async fn an_edit_is_rolled_out() -> Outcome {
    with_namespace("edit", |ns| async move {
        let storage = json!({"managed": {"storage": {"size": "2Gi"}}});
        let auth = start_auth(&ns, json!({"database": storage})).await?;
        let before = auth.register("ada@example.org").await?;
        assert_eq!(before.expires_in, 900);
        label_by_somebody_else(&ns).await?;

        let change = json!({"spec": {"tokens": {"accessTokenLifetime": "5m"}, "passwords": {"bcryptCost": 11}}});
        ns.patch::<AuthService>("auth", change).await?;
        ns.wait_ready::<AuthService>("auth", POD).await?;
        rolled_out(&ns).await?;

        let auth = Auth::of_service(&ns, "auth").await?;
        let after = auth.login("ada@example.org").await?;
        assert_eq!(after.expires_in, 300, "the new lifetime of access tokens is not in force");
        auth.accepts(&before.access, "ada@example.org").await?;
        let service: Service = ns.get("auth").await?;
        assert_eq!(service.labels().get("team").map(String::as_str), Some("identity"), "another's label is gone");

        mended(&ns).await?;
        shrinking_is_refused(&ns).await
    })
    .await
}

async fn label_by_somebody_else(ns: &TestNamespace) -> anyhow::Result<()> {
    let label =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "auth", "labels": {"team": "identity"}}});
    ns.api::<Service>().patch("auth", &PatchParams::apply("somebody-else"), &Patch::Apply(label)).await?;
    Ok(())
}

/// `Ready` about the new spec must not come before the last pod of the old one has gone out of service.
async fn rolled_out(ns: &TestNamespace) -> anyhow::Result<()> {
    let deployment: Deployment = ns.get("auth").await?;
    let status = deployment.status.unwrap_or_default();
    assert_eq!(status.observed_generation, deployment.metadata.generation);
    assert_eq!((status.updated_replicas, status.available_replicas), (Some(1), Some(1)), "Ready too early");
    Ok(())
}

async fn mended(ns: &TestNamespace) -> anyhow::Result<()> {
    let good: ConfigMap = ns.get("auth-config").await?;
    ns.patch::<ConfigMap>("auth-config", json!({"data": {"config.yaml": "broken"}})).await?;
    ns.wait("auth-config", REACTION, "as it was", |now: &ConfigMap| now.data == good.data).await?;

    ns.patch::<Service>("auth", json!({"spec": {"selector": {"app.kubernetes.io/name": "nothing"}}})).await?;
    ns.wait("auth", REACTION, "selecting the pods again", |service: &Service| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.and_then(|all| all.get("app.kubernetes.io/name")).is_some_and(|name| name == "auth-service")
    })
    .await?;
    Ok(())
}

async fn shrinking_is_refused(ns: &TestNamespace) -> anyhow::Result<()> {
    let smaller = json!({"spec": {"database": {"managed": {"storage": {"size": "1Gi"}}}}});
    let error = ns.patch::<AuthService>("auth", smaller).await.expect_err("a smaller volume was accepted");
    let text = format!("{error:#}");
    assert!(text.contains("spec.database.managed.storage.size") && text.contains("cannot shrink"), "{text}");
    Ok(())
}
