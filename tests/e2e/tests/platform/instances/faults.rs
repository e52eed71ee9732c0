//! What goes wrong, what is said about it, and that it mends itself when the cause is gone.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use portico_crds::AccessGrant;
use portico_crds::common::labels::PAUSED_ANNOTATION;
use portico_crds::common::{InstanceStatus, PorticoResource};
use portico_e2e::fixtures::content;
use portico_e2e::volume::Filler;
use portico_e2e::{POD, REACTION};
use serde_json::{Value, json};

use super::life::{INSTANCE, Life, TWO, binding_of};

/// An image that nobody has.
const NO_IMAGE: &str = "portico.dev/test/nothing:none";
/// Until a password that somebody changed is what it should be: it is tried once a minute.
const MENDED: Duration = Duration::from_secs(100);
/// Until an engine that stopped on a full volume is started again: Kubernetes waits longer each time.
const RESTARTED: Duration = Duration::from_mins(4);

impl<K: PorticoResource<Status = InstanceStatus>> Life<K> {
    /// The pod is killed without a chance to tidy up.
    pub(super) async fn pod_is_killed(&self) -> anyhow::Result<()> {
        let name = self.engine.pod(INSTANCE);
        let old = self.ns.get::<Pod>(&name).await?.uid();
        self.ns.api::<Pod>().delete(&name, &DeleteParams::default().grace_period(0)).await?;
        self.recovers(old).await?;
        self.treasure_is_there().await
    }

    /// Somebody changes what one consumer logs in with: `script` does, given the user's name. Mended by the time that
    /// [`Self::is_mended`] looks. The grant is paused meanwhile: the operator might mend it before anybody saw.
    pub(super) async fn login_is_changed(&self, script: impl Fn(&str) -> String) -> anyhow::Result<()> {
        let user = self.grant(TWO).await?.username.unwrap_or_default();
        self.pause(json!("true")).await?;
        self.ns.wait_condition::<AccessGrant>(TWO, REACTION, "Paused", "True", "").await?;
        self.in_engine(&script(&user)).await?;
        self.load.until_refused(REACTION, &binding_of(TWO)).await?;
        self.pause(Value::Null).await
    }

    async fn pause(&self, value: Value) -> anyhow::Result<()> {
        let annotation = json!({"metadata": {"annotations": {PAUSED_ANNOTATION: value}}});
        self.ns.patch::<AccessGrant>(TWO, annotation).await.map(drop)
    }

    /// What [`Self::login_is_changed`] did is undone.
    pub(super) async fn is_mended(&self) -> anyhow::Result<()> {
        self.load.until_answered(MENDED, &binding_of(TWO)).await
    }

    /// The binding Secrets are deleted by hand and come back as they were.
    pub(super) async fn bindings_come_back(&self) -> anyhow::Result<()> {
        for name in [self.main_binding(), self.engine.binding(INSTANCE)] {
            let before: Value = content(&self.ns, &name).await?;
            let old = self.ns.get::<Secret>(&name).await?.uid();
            self.ns.delete::<Secret>(&name).await?;
            self.ns.wait(&name, REACTION, "made again", |secret: &Secret| secret.uid() != old).await?;
            ensure!(content(&self.ns, &name).await? == before, "Secret {name} came back with another content");
        }
        Ok(())
    }

    /// The image is missing, then it is there again.
    pub(super) async fn image_is_missing(&self) -> anyhow::Result<()> {
        let old = self.ns.get::<Pod>(&self.engine.pod(INSTANCE)).await?.uid();
        self.edit(json!({"image": NO_IMAGE})).await?;
        self.says(POD, "WorkloadAvailable", "False", NO_IMAGE).await?;
        self.says(REACTION, "Ready", "False", NO_IMAGE).await?;
        self.edit(json!({"image": null})).await?;
        self.recovers(old).await?;
        self.treasure_is_there().await
    }

    /// The volume has no room left, then it has.
    pub(super) async fn volume_is_full(&self) -> anyhow::Result<()> {
        let claim = format!("data-{}", self.engine.pod(INSTANCE));
        let mut filler = Filler::start(&self.ns, &claim).await?;
        filler.fill().await?;
        // Whatever comes of it: some engines refuse, some wait, some stop.
        drop(self.load.write(&self.main_binding(), "full", "volume").await);
        filler.empty().await?;
        self.ns.delete::<Pod>("filler").await?;
        self.ns.wait_ready::<K>(INSTANCE, RESTARTED).await?;
        self.load.until_answered(POD, &self.main_binding()).await?;
        self.treasure_is_there().await
    }
}
