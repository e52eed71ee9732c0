//! What a consumer may do: everything in its own space, nothing outside.

use anyhow::ensure;
use portico_crds::common::{InstanceStatus, PorticoResource};
use portico_e2e::fixtures::{content, secret};
use portico_e2e::load::{is_refusal, mounted};
use portico_e2e::{POD, REACTION};
use serde_json::json;

use super::life::{ELSEWHERE, INSTANCE, Life, ONE, TREASURE, TWO, binding_of};

impl<K: PorticoResource<Status = InstanceStatus>> Life<K> {
    /// Neither consumer sees what the other has; `entry` is where bindings name the space.
    pub(super) async fn consumers_are_apart(&self, entry: &str) -> anyhow::Result<()> {
        for (consumer, other) in [(ONE, TWO), (TWO, ONE)] {
            let (consumer, other) = (binding_of(consumer), binding_of(other));
            self.load.once(&consumer).await?;
            let theirs = content(&self.ns, &other).await?[entry].as_str().unwrap_or_default().to_owned();
            ensure!(!theirs.is_empty(), "Secret {other} has no {entry}");
            let folder = mounted(&consumer);
            let trespass = ["read", "--binding", &folder, "--space", &theirs, "--key", TREASURE.0];
            let error = self.load.exec(&trespass).await.expect_err("a consumer reads what is another's");
            ensure!(is_refusal(&error), "{consumer} is not refused in {theirs}: {error:#}");
        }
        Ok(())
    }

    /// An engine that somebody else runs, known by a Secret: missing, then there.
    pub(super) async fn serves_as_somebody_elses(&self) -> anyhow::Result<()> {
        let external = json!({"backend": "External", "external": {"secretRef": {"name": "theirs"}}});
        self.ns.apply(self.engine.instance(ELSEWHERE, &external)).await?;
        for text in ["SecretNotFound", "theirs"] {
            self.ns.wait_condition::<K>(ELSEWHERE, REACTION, "DependenciesReady", "False", text).await?;
        }
        let theirs = content(&self.ns, &self.engine.binding(INSTANCE)).await?;
        self.ns.apply(secret("theirs", &theirs)).await?;
        self.ns.wait_ready::<K>(ELSEWHERE, REACTION).await?;
        self.load.until_answered(POD, &self.engine.binding(ELSEWHERE)).await?;
        self.ns.delete::<K>(ELSEWHERE).await?;
        self.ns.wait_gone::<K>(ELSEWHERE, REACTION).await
    }
}
