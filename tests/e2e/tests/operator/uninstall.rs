//! Uninstalling the operator takes nothing away from those who use the platform.

use std::path::Path;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use portico_crds::AuthService;
use portico_e2e::auth::Auth;
use portico_e2e::cluster::{Cluster, OPERATOR, SYSTEM_NAMESPACE};
use portico_e2e::fixtures::start_auth;
use portico_e2e::operator::Operator;
use portico_e2e::{Outcome, POD, REACTION, TestNamespace, WINDOW, wait, with_namespace};
use serde_json::json;

const RELEASE: &str = "portico";

#[tokio::test]
async fn data_survives_uninstalling_and_installing_again() -> Outcome {
    let _turn = super::alone().await?;
    with_namespace("uninstall", |ns| async move {
        let auth = start_auth(&ns, json!({})).await?;
        let tokens = auth.register("ada@example.org").await?;
        let values = values(ns.cluster()).await?;
        ns.cluster().helm(["uninstall", RELEASE, "--namespace", SYSTEM_NAMESPACE, "--wait"]).await?;
        let without = without_the_operator(&ns, &auth).await;
        // Also when that failed, so that the cluster can be used on.
        install(ns.cluster(), &values).await?;
        without?;

        ns.wait::<Service>("auth", REACTION, "made again", |_| true).await?;
        ns.wait_ready::<AuthService>("auth", POD).await?;
        let auth = Auth::of_service(&ns, "auth").await?;
        auth.login("ada@example.org").await?;
        auth.accepts(&tokens.access, "ada@example.org").await
    })
    .await
}

async fn values(cluster: &Cluster) -> anyhow::Result<String> {
    cluster.helm(["get", "values", RELEASE, "--namespace", SYSTEM_NAMESPACE, "--output=json"]).await
}

async fn without_the_operator(ns: &TestNamespace, auth: &Auth) -> anyhow::Result<()> {
    let operator = Operator::of(ns.cluster());
    wait::until(operator.deployments(), OPERATOR, POD, "deleted", |deployment| deployment.is_none()).await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(ns.client());
    let definitions = definitions.list(&ListParams::default()).await?;
    for wanted in portico_crds::all() {
        let kept = definitions.iter().any(|found| found.name_any() == wanted.name_any());
        assert!(kept, "{} was uninstalled, and every resource with it", wanted.name_any());
    }
    ns.get::<AuthService>("auth").await?;
    auth.login("ada@example.org").await?;
    ns.delete::<Service>("auth").await?;
    let why = "the operator is not installed";
    wait::stays(ns.api(), "auth", WINDOW, why, |service: Option<&Service>| service.is_none()).await
}

async fn install(cluster: &Cluster, values: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.json");
    std::fs::write(&file, values)?;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/portico");
    let (file, chart) = (file.to_str().context("path")?, chart.to_str().context("path")?);
    let place = ["--namespace", SYSTEM_NAMESPACE, "--create-namespace", "--wait", "--timeout=2m"];
    let arguments = [&["install", RELEASE, chart, "--values", file][..], &place[..]].concat();
    cluster.helm(arguments).await?;
    Operator::of(cluster).await_pods(1).await?;
    Ok(())
}
