//! What belongs to somebody else is not taken over.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use portico_crds::AuthService;
use portico_e2e::fixtures::{absent_dependencies, auth_service};
use portico_e2e::{Outcome, REACTION, WINDOW, wait, with_namespace};
use serde_json::json;

#[tokio::test]
async fn an_object_of_somebody_else_is_left_alone() -> Outcome {
    with_namespace("conflict", |ns| async move {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "auth"},
            "spec": {"selector": {"app": "older"}, "ports": [{"port": 80}]},
        });
        ns.apply(service).await?;
        let older: Service = ns.get("auth").await?;
        let mut spec = absent_dependencies(&ns).await?;
        spec["replicas"] = 0.into();
        ns.apply(auth_service("auth", spec)).await?;
        for text in ["NameConflict", "Service"] {
            ns.wait_condition::<AuthService>("auth", REACTION, "Stalled", "True", text).await?;
        }
        let why = "it belongs to somebody else";
        wait::stays(ns.api(), "auth", WINDOW, why, |now: Option<&Service>| {
            now.is_some_and(|now| now.resource_version() == older.resource_version())
        })
        .await?;

        ns.delete::<Service>("auth").await?;
        ns.patch::<AuthService>("auth", json!({"spec": {"logLevel": "debug"}})).await?;
        ns.wait_condition::<AuthService>("auth", REACTION, "Stalled", "False", "").await?;
        ns.get::<Service>("auth").await?;
        Ok(())
    })
    .await
}
