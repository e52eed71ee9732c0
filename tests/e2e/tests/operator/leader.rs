//! One pod leads; when it falls another takes over, and who has lost the lease does not write.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use portico_e2e::fixtures::{absent_dependencies, auth_service};
use portico_e2e::operator::{Operator, holder, restarts};
use portico_e2e::{Outcome, POD, REACTION, TestNamespace, WINDOW, wait, with_namespace};
use serde_json::json;

/// The duration of the lease, and what it takes to notice its end and to write the next.
const TAKE_OVER: Duration = Duration::from_secs(15 + 15);
const THIEF: &str = "e2e-thief";

#[tokio::test]
async fn another_pod_takes_over() -> Outcome {
    let _turn = super::alone().await?;
    with_namespace("leader", |ns| async move {
        let operator = Operator::of(ns.cluster());
        start(&ns).await?;
        operator.scale(2).await?;
        let leader = operator.leader().await?;
        assert_eq!(operator.kill().await?, leader);
        let next = operator.await_leader(TAKE_OVER, |holder| holder != leader).await?;
        assert_ne!(next, leader);
        ns.delete::<ConfigMap>("auth-config").await?;
        ns.wait::<ConfigMap>("auth-config", REACTION, "made again by the new leader", |_| true).await?;
        operator.scale(1).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_has_lost_the_lease_does_not_write() -> Outcome {
    let _turn = super::alone().await?;
    with_namespace("stolen_lease", |ns| async move {
        let operator = Operator::of(ns.cluster());
        start(&ns).await?;
        let leader = operator.await_leader(TAKE_OVER, |_| true).await?;
        let before = restarts(&operator.pods().get(&leader).await?);

        steal(&operator, 1).await?;
        // It ends, and so it cannot go on writing by mistake.
        wait::until(operator.pods(), &leader, POD, "ended and started anew", |pod: Option<&Pod>| {
            pod.is_none_or(|pod| restarts(pod) > before)
        })
        .await?;
        steal(&operator, 2).await?;
        ns.delete::<ConfigMap>("auth-config").await?;
        let why = "somebody else holds the lease";
        wait::stays(ns.api(), "auth-config", WINDOW, why, |map: Option<&ConfigMap>| map.is_none()).await?;

        // The thief never renews: after its time the operator takes the lease back and goes on.
        operator.await_leader(TAKE_OVER, |holder| holder != THIEF).await?;
        ns.wait::<ConfigMap>("auth-config", REACTION, "made again", |_| true).await?;
        operator.await_pods(1).await?;
        Ok(())
    })
    .await
}

/// A resource that is settled, without pods.
async fn start(ns: &TestNamespace) -> anyhow::Result<()> {
    let mut spec = absent_dependencies(ns).await?;
    spec["replicas"] = 0.into();
    ns.apply(auth_service("auth", spec)).await?;
    ns.wait::<ConfigMap>("auth-config", POD, "made", |_| true).await?;
    Ok(())
}

/// Takes the lease, or renews it: the object has to change for others to see a living holder.
async fn steal(operator: &Operator, transitions: i32) -> anyhow::Result<()> {
    let name = operator.lease_name().await?;
    let stolen = json!({"spec": {"holderIdentity": THIEF, "leaseTransitions": 1000 + transitions}});
    let lease: Lease = operator.leases().patch(&name, &PatchParams::default(), &Patch::Merge(stolen)).await?;
    assert_eq!(holder(&lease).as_deref(), Some(THIEF), "{} was not stolen", lease.name_any());
    Ok(())
}
