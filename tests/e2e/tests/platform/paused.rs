//! A paused resource is left alone, and taken up again where it was left.

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use portico_crds::AuthService;
use portico_e2e::fixtures::{absent_dependencies, auth_service};
use portico_e2e::{Outcome, REACTION, TestNamespace, WINDOW, wait, with_namespace};
use serde_json::{Value, json};

#[tokio::test]
async fn paused_stops_all_writes() -> Outcome {
    with_namespace("paused", |ns| async move {
        let mut spec = absent_dependencies(&ns).await?;
        spec["replicas"] = 0.into();
        ns.apply(auth_service("auth", spec)).await?;
        ns.wait_condition::<AuthService>("auth", REACTION, "WorkloadAvailable", "True", "").await?;
        ns.wait_condition::<AuthService>("auth", REACTION, "Paused", "False", "").await?;

        annotate(&ns, json!("true")).await?;
        ns.wait_condition::<AuthService>("auth", REACTION, "Paused", "True", "").await?;
        ns.delete::<ConfigMap>("auth-config").await?;
        ns.delete::<Service>("auth").await?;
        ns.patch::<AuthService>("auth", json!({"spec": {"logLevel": "debug"}})).await?;
        // The status stays fresh meanwhile: it speaks of the edited spec.
        ns.wait_condition::<AuthService>("auth", REACTION, "Paused", "True", "").await?;
        let why = "its owner is paused";
        wait::stays(ns.api(), "auth-config", WINDOW, why, |map: Option<&ConfigMap>| map.is_none()).await?;
        wait::stays(ns.api(), "auth", WINDOW, why, |service: Option<&Service>| service.is_none()).await?;

        annotate(&ns, Value::Null).await?;
        ns.wait::<Service>("auth", REACTION, "made again", |_| true).await?;
        ns.wait("auth-config", REACTION, "as edited while paused", |map: &ConfigMap| {
            map.data.iter().flat_map(|data| data.values()).any(|file| file.contains("debug"))
        })
        .await?;
        ns.wait_condition::<AuthService>("auth", REACTION, "Paused", "False", "").await?;
        Ok(())
    })
    .await
}

async fn annotate(ns: &TestNamespace, value: Value) -> anyhow::Result<()> {
    ns.patch::<AuthService>("auth", json!({"metadata": {"annotations": {"portico.dev/paused": value}}})).await?;
    Ok(())
}
