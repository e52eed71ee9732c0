//! The operator's own pods and lease, for the tests that disturb it.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::cluster::{Cluster, OPERATOR, SYSTEM_NAMESPACE};
use crate::{POD, wait};

/// Selects the operator's pods.
const SELECTOR: &str = "app.kubernetes.io/name=portico-operator";

/// The installed operator.
#[derive(Clone)]
pub struct Operator {
    client: Client,
}

impl Operator {
    /// The operator of a cluster.
    pub fn of(cluster: &Cluster) -> Self {
        Self { client: cluster.client() }
    }

    /// Its pods.
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), SYSTEM_NAMESPACE)
    }

    /// Its leases.
    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), SYSTEM_NAMESPACE)
    }

    /// Its Deployment.
    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), SYSTEM_NAMESPACE)
    }

    /// Ends the pod that leads, or one of them when none does, at once and without a chance to tidy up.
    ///
    /// # Errors
    /// There is none.
    pub async fn kill(&self) -> anyhow::Result<String> {
        let pods = self.pods().list(&ListParams::default().labels(SELECTOR)).await?.items;
        let leader = self.leader().await.unwrap_or_default();
        let running = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none();
        let pod = pods.iter().find(|pod| pod.name_any() == leader).or_else(|| pods.iter().find(running));
        let name = pod.context("the operator has no pod")?.name_any();
        self.pods().delete(&name, &DeleteParams::default().grace_period(0)).await?;
        Ok(name)
    }

    /// Asks for a number of pods and waits until exactly that many are there and ready.
    ///
    /// # Errors
    /// They do not come up, or do not go.
    pub async fn scale(&self, replicas: usize) -> anyhow::Result<Vec<Pod>> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.deployments().patch_scale(OPERATOR, &PatchParams::default(), &patch).await?;
        self.await_pods(replicas).await
    }

    /// Waits until exactly this many pods are there, and all of them are ready.
    ///
    /// # Errors
    /// They do not come up, or do not go.
    pub async fn await_pods(&self, replicas: usize) -> anyhow::Result<Vec<Pod>> {
        let what = format!("{replicas} ready pods");
        wait::until_all(self.pods(), SELECTOR, POD, &what, |pods: &[&Pod]| {
            pods.len() == replicas && pods.iter().all(|pod| is_ready(pod))
        })
        .await
    }

    /// The name of its Lease: the one that names one of its pods, or that is called after it.
    ///
    /// # Errors
    /// It has none.
    pub async fn lease_name(&self) -> anyhow::Result<String> {
        let leases = self.leases().list(&ListParams::default()).await?.items;
        let found = leases.iter().find(|lease| lease.name_any().starts_with("portico"));
        Ok(found.context("no Lease in portico-system belongs to the operator")?.name_any())
    }

    /// The pod that leads.
    ///
    /// # Errors
    /// No pod does.
    pub async fn leader(&self) -> anyhow::Result<String> {
        let lease = self.leases().get(&self.lease_name().await?).await?;
        holder(&lease).filter(|holder| !holder.is_empty()).context("nobody holds the lease")
    }

    /// Waits until the lease names a holder for which `done` is true, and returns it.
    ///
    /// # Errors
    /// The deadline passes.
    pub async fn await_leader(&self, deadline: Duration, done: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let name = self.lease_name().await?;
        let lease = wait::until(self.leases(), &name, deadline, "held by the one expected", |lease| {
            lease.and_then(holder).is_some_and(|holder| !holder.is_empty() && done(&holder))
        })
        .await?;
        lease.as_ref().and_then(holder).context("the lease was held a moment ago")
    }
}

/// Who holds a lease.
pub fn holder(lease: &Lease) -> Option<String> {
    lease.spec.as_ref()?.holder_identity.clone()
}

/// Whether a pod is ready and is not being deleted.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|all| all.iter().any(|found| found.type_ == "Ready" && found.status == "True"))
}

/// How often the containers of a pod were restarted.
pub fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    containers.into_iter().flatten().map(|container| container.restart_count).sum()
}
