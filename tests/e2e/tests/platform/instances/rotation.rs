//! Credentials and certificates that are replaced while they are used.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Secret;
use portico_crds::AccessGrant;
use portico_crds::common::labels::{ROTATE_ANNOTATION, ROTATE_CERTIFICATE_ANNOTATION};
use portico_crds::common::{InstanceStatus, PorticoResource};
use portico_e2e::load::mounted;
use portico_e2e::{POD, REACTION, wait};
use serde_json::json;

use super::life::{INSTANCE, Life, OLD, ONE, binding_of};

impl<K: PorticoResource<Status = InstanceStatus>> Life<K> {
    /// A new login beside the old one, consumers moved, the old one gone: no request fails.
    pub(super) async fn credentials_rotate(&self) -> anyhow::Result<()> {
        let mut log = self.load.log()?;
        let before = log.until(REACTION, "at work", |totals| totals.requests > 0).await?;
        let old = self.grant(ONE).await?.username;
        let request = json!({"metadata": {"annotations": {ROTATE_ANNOTATION: "now"}}});
        self.ns.patch::<AccessGrant>(ONE, request).await?;
        for (status, deadline) in [("False", REACTION), ("True", POD)] {
            self.ns.wait_condition::<AccessGrant>(ONE, deadline, "CredentialsCurrent", status, "").await?;
        }
        let new = self.grant(ONE).await?.username.context("the grant names no user")?;
        ensure!(old.as_ref() != Some(&new), "{new} is still the user");
        let moved = log
            .until(REACTION, "moved to the new user", |totals| totals.kept.user == new && totals.fresh.user == new)
            .await?;
        let after = log.none_failed_since(REACTION, &moved).await?;
        ensure!(after.failures == before.failures, "{} requests failed", after.failures);
        self.load.until_refused(REACTION, OLD).await?;
        self.treasure_is_there().await
    }

    /// A new certificate from the same authority: the engine serves it, and no request fails.
    pub(super) async fn certificate_rotates(&self) -> anyhow::Result<()> {
        let mut log = self.load.log()?;
        let before = log.until(REACTION, "at work", |totals| totals.requests > 0).await?;
        let name = format!("{}-tls", self.engine.workload(INSTANCE));
        let old = certificate(&self.ns.get(&name).await?)?;
        ensure!(self.served().await? == old, "the engine serves another certificate than the one in {name}");
        self.annotate(ROTATE_CERTIFICATE_ANNOTATION, "now").await?;
        let secret: Secret = self
            .ns
            .wait(&name, REACTION, "renewed", |secret: &Secret| certificate(secret).is_ok_and(|new| new != old))
            .await?;
        let new = certificate(&secret)?;
        wait::ask_until(POD, "serving the new certificate", || async {
            Ok(if self.served().await? == new { Ok(()) } else { Err("it serves the old one".to_owned()) })
        })
        .await?;
        // That is said when the copies serve theirs, too.
        self.says(POD, "CertificateValid", "True", "").await?;
        let now = log.until(REACTION, "going on", |totals| totals.requests > before.requests).await?;
        let after = log.none_failed_since(REACTION, &now).await?;
        ensure!(after.failures == before.failures, "{} requests failed", after.failures);
        Ok(())
    }

    async fn served(&self) -> anyhow::Result<String> {
        self.load.exec(&["certificate", "--binding", &mounted(&binding_of(ONE))]).await
    }
}

/// The first certificate of a chain, as base64 on one line.
fn certificate(secret: &Secret) -> anyhow::Result<String> {
    let chain = secret.data.as_ref().and_then(|data| data.get("tls.crt")).context("the Secret has no tls.crt")?;
    let lines = str::from_utf8(&chain.0)?.lines();
    let first = lines.skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    Ok(first.take_while(|line| !line.starts_with("-----END")).collect())
}
