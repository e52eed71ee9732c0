//! What goes and what stays when grants and instances are deleted.

use anyhow::ensure;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use portico_crds::AccessGrant;
use portico_crds::common::labels::FORCE_DELETION_ANNOTATION;
use portico_crds::common::{InstanceStatus, PorticoResource};
use portico_e2e::fixtures::content;
use portico_e2e::load::mounted;
use portico_e2e::{PLATFORM, POD, REACTION, inventory, volume};
use serde_json::json;

use super::life::{HEIR, INSTANCE, LAST, Life, ONE, STRANGER, TREASURE, TWO, binding_of, has_logins};

/// What the test itself made, and the authority, which is the namespace's and not the instance's.
const OTHERS: [&str; 5] = ["Pod/load", "Secret/old", "Secret/last", "Secret/theirs", "Secret/portico-ca"];

impl<K: PorticoResource<Status = InstanceStatus>> Life<K> {
    /// An instance in use stays and names its users, until somebody insists. Its data stays in any case, and a new
    /// instance of the same name takes it up.
    pub(super) async fn is_kept_and_taken_up_again(&self) -> anyhow::Result<()> {
        let own = self.engine.binding(INSTANCE);
        let before = content(&self.ns, &own).await?;
        self.ns.delete::<K>(INSTANCE).await?;
        if has_logins(self.engine) {
            for grant in [ONE, TWO] {
                self.says(REACTION, "DeletionBlocked", "True", &format!("AccessGrant {grant}")).await?;
            }
            self.load.once(&binding_of(ONE)).await?;
            self.annotate(FORCE_DELETION_ANNOTATION, "true").await?;
        }
        self.ns.wait_gone::<K>(INSTANCE, POD).await?;
        if has_logins(self.engine) {
            let text = "InstanceNotFound";
            self.ns.wait_condition::<AccessGrant>(ONE, REACTION, "DependenciesReady", "False", text).await?;
        }
        if self.engine.copies {
            // The volumes of copies go with them.
            let volume = format!("{}-read", self.engine.name);
            let claim = format!("data-{}-read-0", self.engine.workload(INSTANCE));
            self.ns.wait_gone::<PersistentVolumeClaim>(&claim, POD).await?;
            volume::release(&self.ns, &volume).await?;
        }
        self.apply().await?;
        self.ns.wait_ready::<K>(INSTANCE, PLATFORM).await?;
        self.treasure_is_there().await?;
        ensure!(content(&self.ns, &own).await? == before, "Secret {own} has another content than before");
        Ok(())
    }

    /// The users of deleted grants are gone at once; their data as they wanted.
    pub(super) async fn grants_end(&self) -> anyhow::Result<()> {
        self.copy(&binding_of(TWO), LAST).await?;
        self.load.until_answered(POD, LAST).await?;
        self.load.write(LAST, TREASURE.0, TREASURE.1).await?;
        for grant in [ONE, TWO] {
            self.ns.delete::<AccessGrant>(grant).await?;
            self.ns.wait_gone::<AccessGrant>(grant, REACTION).await?;
        }
        self.load.until_refused(REACTION, LAST).await?;
        for (grant, space) in [(HEIR, ONE), (STRANGER, TWO)] {
            self.ns.apply(self.engine.grant(grant, INSTANCE, &json!({"space": space}))).await?;
            self.ns.wait_ready::<AccessGrant>(grant, POD).await?;
            self.load.until_answered(POD, &binding_of(grant)).await?;
        }
        self.load.until_reads(REACTION, &binding_of(HEIR), TREASURE, &[]).await?;
        let folder = mounted(&binding_of(STRANGER));
        let found = self.load.exec(&["read", "--binding", &folder, "--key", TREASURE.0]).await;
        let error = found.expect_err("the data of a deleted grant is still there");
        ensure!(format!("{error:#}").contains("there is nothing called"), "{error:#}");
        for grant in [HEIR, STRANGER] {
            self.ns.delete::<AccessGrant>(grant).await?;
            self.ns.wait_gone::<AccessGrant>(grant, REACTION).await?;
        }
        Ok(())
    }

    /// With `Delete`, nothing stays.
    pub(super) async fn is_deleted_with_everything(&self) -> anyhow::Result<()> {
        self.edit(json!({"deletionPolicy": "Delete"})).await?;
        self.says(REACTION, "Ready", "True", "").await?;
        self.ns.delete::<K>(INSTANCE).await?;
        inventory::await_gone(&self.ns, POD, |key| OTHERS.contains(&key)).await
    }
}
