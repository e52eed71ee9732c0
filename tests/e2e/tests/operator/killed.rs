//! An operator that is killed in the middle leaves nothing half done.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ServiceAccount;
use portico_crds::AuthService;
use portico_e2e::auth::Auth;
use portico_e2e::fixtures::{auth_service, start_auth};
use portico_e2e::operator::Operator;
use portico_e2e::{Outcome, PLATFORM, POD, inventory, with_namespace};
use serde_json::json;

#[tokio::test]
async fn killed_in_the_middle_ends_in_the_same_state() -> Outcome {
    let _turn = super::alone().await?;
    with_namespace("killed", |ns| async move {
        let operator = Operator::of(ns.cluster());
        let undisturbed = ns.sibling(&[]).await?;
        drop(start_auth(&undisturbed, json!({})).await?);

        ns.apply(auth_service("auth", json!({}))).await?;
        ns.wait::<ServiceAccount>("auth", POD, "made", |_| true).await?;
        operator.kill().await?;
        ns.wait::<StatefulSet>("auth-db-postgresql", POD, "made", |_| true).await?;
        operator.kill().await?;
        ns.wait_ready::<AuthService>("auth", PLATFORM).await?;

        let (wanted, got) = (inventory::normalised(&undisturbed).await?, inventory::normalised(&ns).await?);
        let (wanted_names, got_names): (Vec<_>, Vec<_>) = (wanted.keys().collect(), got.keys().collect());
        assert!(wanted.contains_key("Deployment/auth"), "{wanted_names:?}");
        assert_eq!(got_names, wanted_names, "other objects than without the interruption");
        for (name, wanted) in &wanted {
            assert_eq!(&got[name], wanted, "{name} differs from the one without the interruption");
        }
        Auth::of_service(&ns, "auth").await?.register("ada@example.org").await?;
        operator.await_pods(1).await?;
        Ok(())
    })
    .await
}
