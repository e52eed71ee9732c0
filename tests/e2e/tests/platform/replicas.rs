//! Several pods are one service.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use portico_e2e::auth::Auth;
use portico_e2e::fixtures::start_auth;
use portico_e2e::{Outcome, with_namespace};
use serde_json::json;

#[tokio::test]
async fn replicas_accept_each_others_tokens_and_revocations() -> Outcome {
    with_namespace("replicas", |ns| async move {
        drop(start_auth(&ns, json!({"replicas": 2})).await?);
        let selector = ListParams::default().labels("app.kubernetes.io/name=auth-service");
        let pods = ns.api::<Pod>().list(&selector).await?.items;
        let [one, other] = pods.as_slice() else { panic!("expected two pods, there are {}", pods.len()) };
        let one = Auth::of_pod(&ns, &one.name_any()).await?;
        let other = Auth::of_pod(&ns, &other.name_any()).await?;

        let tokens = one.register("ada@example.org").await?;
        other.accepts(&tokens.access, "ada@example.org").await?;
        let back = other.login("ada@example.org").await?;
        one.accepts(&back.access, "ada@example.org").await?;
        let rotated = other.refresh(&tokens.refresh).await?;
        one.try_refresh(&tokens.refresh).await?.expect(401)?;
        // The family is revoked at the pod that saw the reuse; the other one sees it at once.
        other.refuses(&rotated.access).await?;

        other.logout(&back.access).await?;
        one.refuses(&back.access).await?;
        Ok(())
    })
    .await
}
