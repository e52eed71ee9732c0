//! Who decides about the number of pods. The pods themselves need not become ready here.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Patch, PatchParams};
use portico_crds::AuthService;
use portico_e2e::fixtures::{absent_dependencies, auth_service};
use portico_e2e::{Outcome, REACTION, TestNamespace, WINDOW, wait, with_namespace};
use serde_json::json;

/// Until the autoscaler's next round, which comes every 15 seconds where nobody changed that.
const AUTOSCALER: Duration = Duration::from_mins(1);

#[tokio::test]
async fn an_autoscaler_decides_alone() -> Outcome {
    with_namespace("autoscaling", |ns| async move {
        let mut spec = absent_dependencies(&ns).await?;
        spec["autoscaling"] = json!({"minReplicas": 2, "maxReplicas": 5});
        ns.apply(auth_service("auth", spec)).await?;
        let scaler: HorizontalPodAutoscaler = ns.wait("auth", REACTION, "made", |_| true).await?;
        let scaler = scaler.spec.unwrap_or_default();
        assert_eq!((scaler.min_replicas, scaler.max_replicas), (Some(2), 5));
        let target = (scaler.scale_target_ref.kind, scaler.scale_target_ref.name);
        assert_eq!(target, ("Deployment".to_owned(), "auth".to_owned()));
        let deployment = replicas(&ns, 2, AUTOSCALER).await?;
        assert!(!operator_owns_replicas(&deployment), "the operator renders spec.replicas beside an autoscaler");

        // As the autoscaler would.
        let three = Patch::Merge(json!({"spec": {"replicas": 3}}));
        ns.api::<Deployment>().patch_scale("auth", &PatchParams::default(), &three).await?;
        roll(&ns).await?;
        wait::stays(ns.api(), "auth", WINDOW, "an autoscaler owns spec.replicas", |deployment: Option<&Deployment>| {
            deployment.and_then(count) == Some(3)
        })
        .await?;

        ns.patch::<AuthService>("auth", json!({"spec": {"autoscaling": null, "replicas": 1}})).await?;
        ns.wait_gone::<HorizontalPodAutoscaler>("auth", REACTION).await?;
        replicas(&ns, 1, REACTION).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn kubectl_scale_works_and_survives() -> Outcome {
    with_namespace("scale", |ns| async move {
        let spec = absent_dependencies(&ns).await?;
        ns.apply(auth_service("auth", spec)).await?;
        replicas(&ns, 1, REACTION).await?;
        let scale = |count: &str| {
            let (ns, count) = (ns.clone(), format!("--replicas={count}"));
            async move { ns.cluster().kubectl(["scale", "--namespace", ns.name(), "authservice/auth", &count]).await }
        };
        scale("2").await?;
        replicas(&ns, 2, REACTION).await?;
        let seen: AuthService = ns
            .wait("auth", REACTION, "reporting 2 replicas", |auth: &AuthService| {
                auth.status.as_ref().and_then(|status| status.replicas) == Some(2)
            })
            .await?;
        let selector = seen.status.and_then(|status| status.selector).unwrap_or_default();
        assert!(selector.contains("app.kubernetes.io/instance=auth"), "status.selector is {selector:?}");

        roll(&ns).await?;
        replicas(&ns, 2, REACTION).await?;
        scale("0").await?;
        replicas(&ns, 0, REACTION).await?;
        ns.wait_condition::<AuthService>("auth", REACTION, "WorkloadAvailable", "True", "ScaledToZero").await?;
        Ok(())
    })
    .await
}

fn count(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.replicas
}

async fn replicas(ns: &TestNamespace, wanted: i32, deadline: Duration) -> anyhow::Result<Deployment> {
    let what = format!("of {wanted} replicas");
    ns.wait("auth", deadline, &what, |deployment: &Deployment| count(deployment) == Some(wanted)).await
}

fn operator_owns_replicas(deployment: &Deployment) -> bool {
    let managers = deployment.metadata.managed_fields.clone().unwrap_or_default();
    managers
        .iter()
        .filter(|entry| entry.manager.as_deref() == Some("portico"))
        .any(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0["f:spec"]["f:replicas"].is_object()))
}

/// Makes the operator write the Deployment for another reason.
async fn roll(ns: &TestNamespace) -> anyhow::Result<()> {
    let template = |deployment: &Deployment| deployment.spec.as_ref().map(|spec| spec.template.clone());
    let before = template(&ns.get("auth").await?);
    ns.patch::<AuthService>("auth", json!({"spec": {"logLevel": "debug"}})).await?;
    ns.wait("auth", REACTION, "rolled", |deployment: &Deployment| template(deployment) != before).await?;
    Ok(())
}
