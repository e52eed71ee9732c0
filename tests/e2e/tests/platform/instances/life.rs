//! One instance with its consumers, from its beginning.

use std::marker::PhantomData;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use portico_crds::common::{InstanceStatus, PorticoResource};
use portico_crds::{AccessGrant, access_grant::AccessGrantStatus};
use portico_e2e::engine::Engine;
use portico_e2e::fixtures::{content, secret};
use portico_e2e::load::LoadPod;
use portico_e2e::operator::is_ready;
use portico_e2e::{PLATFORM, POD, TestNamespace, volume};
use serde_json::{Value, json};

/// All that may happen to one instance, four of them at once on two cores.
pub(super) const LIFE: Duration = Duration::from_mins(15);
/// The instance.
pub(super) const INSTANCE: &str = "inst";
/// The consumer that makes load, and whose data outlives its grant.
pub(super) const ONE: &str = "one";
/// The consumer whose data goes with its grant.
pub(super) const TWO: &str = "two";
/// What was stored in the beginning and must never be lost.
pub(super) const TREASURE: (&str, &str) = ("treasure", "gold");
/// Copies of bindings as they were at some moment.
pub(super) const OLD: &str = "old";
pub(super) const LAST: &str = "last";
/// The instance of somebody else's engine, which is this one in truth.
pub(super) const ELSEWHERE: &str = "elsewhere";
/// Grants that come later and ask for the spaces of earlier ones.
pub(super) const HEIR: &str = "heir";
pub(super) const STRANGER: &str = "stranger";

/// An instance whose status is of kind `K`, with its consumers.
pub(super) struct Life<K> {
    pub(super) ns: TestNamespace,
    pub(super) engine: Engine,
    pub(super) load: LoadPod,
    spec: Value,
    kind: PhantomData<fn() -> K>,
}

/// The binding Secret of a grant.
pub(super) fn binding_of(grant: &str) -> String {
    format!("{grant}-binding")
}

impl<K: PorticoResource<Status = InstanceStatus>> Life<K> {
    /// Starts an instance on a volume that can be filled, with this beside what all instances here have, and consumers
    /// that begin to work.
    pub(super) async fn begin(ns: &TestNamespace, engine: Engine, spec: Value) -> anyhow::Result<Self> {
        provide_volumes(ns, engine).await?;
        let mut all = json!({
            "storage": {"size": "1Gi", "storageClassName": volume::CLASS},
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": engine.memory}},
            "deletionPolicy": "Retain",
        });
        if let (Some(all), Value::Object(spec)) = (all.as_object_mut(), spec) {
            all.extend(spec);
        }
        ns.apply(engine.instance(INSTANCE, &all)).await?;
        let own = engine.binding(INSTANCE);
        let elsewhere = engine.binding(ELSEWHERE);
        let grants = grants(ns, engine).await?;
        ns.kubectl_wait(&format!("{}/{INSTANCE}", engine.kind)).await?;
        for grant in &grants {
            ns.kubectl_wait(&format!("accessgrant/{grant}")).await?;
        }
        let bindings: Vec<String> = [ONE, TWO, HEIR, STRANGER].map(binding_of).into();
        let others = [OLD, LAST, &elsewhere];
        let others: Vec<&str> = others.into_iter().chain(bindings.iter().map(String::as_str)).collect();
        let run = if grants.is_empty() { own.clone() } else { binding_of(ONE) };
        let others: Vec<&str> = others.into_iter().chain([own.as_str()]).filter(|name| *name != run).collect();
        let load = LoadPod::start(ns, &run, &others, &[engine.consumer_label(INSTANCE)]).await?;
        let life = Self { ns: ns.clone(), engine, load, spec: all, kind: PhantomData };
        life.copy(&run, OLD).await?;
        life.load.write(&run, TREASURE.0, TREASURE.1).await?;
        life.load.once(&own).await?;
        Ok(life)
    }

    /// What may happen to an engine with users, and the end. `script` changes what one consumer logs in with.
    pub(super) async fn goes_on_to_its_end(&self, script: impl Fn(&str) -> String) -> anyhow::Result<()> {
        self.login_is_changed(script).await?;
        self.serves_as_somebody_elses().await?;
        self.pod_is_killed().await?;
        self.bindings_come_back().await?;
        // Mended in the meantime; it is tried once a minute.
        self.is_mended().await?;
        self.image_is_missing().await?;
        self.volume_is_full().await?;
        self.is_kept_and_taken_up_again().await?;
        self.grants_end().await?;
        self.is_deleted_with_everything().await
    }

    /// Applies the instance again as it was in the beginning.
    pub(super) async fn apply(&self) -> anyhow::Result<()> {
        self.ns.apply(self.engine.instance(INSTANCE, &self.spec)).await.map(drop)
    }

    /// Puts the content of a binding as it is now into a Secret that is nobody's.
    pub(super) async fn copy(&self, binding: &str, name: &str) -> anyhow::Result<()> {
        let now = content(&self.ns, binding).await?;
        self.ns.apply(secret(name, &now)).await.map(drop)
    }

    /// The Secret whose binding the load client runs on.
    pub(super) fn main_binding(&self) -> String {
        if has_logins(self.engine) { binding_of(ONE) } else { self.engine.binding(INSTANCE) }
    }

    /// Waits until what was stored in the beginning is there.
    pub(super) async fn treasure_is_there(&self) -> anyhow::Result<()> {
        self.load.until_reads(POD, &self.main_binding(), TREASURE, &[]).await
    }

    /// Sets an annotation of the instance.
    pub(super) async fn annotate(&self, annotation: &str, value: &str) -> anyhow::Result<()> {
        self.ns.patch::<K>(INSTANCE, json!({"metadata": {"annotations": {annotation: value}}})).await.map(drop)
    }

    /// Changes the spec of the instance.
    pub(super) async fn edit(&self, spec: Value) -> anyhow::Result<()> {
        self.ns.patch::<K>(INSTANCE, json!({"spec": spec})).await.map(drop)
    }

    /// Waits for a condition of the instance.
    pub(super) async fn says(
        &self,
        deadline: Duration,
        condition: &str,
        status: &str,
        text: &str,
    ) -> anyhow::Result<K> {
        self.ns.wait_condition::<K>(INSTANCE, deadline, condition, status, text).await
    }

    /// Waits until the instance is ready and so is its pod, which is another one than `before`.
    pub(super) async fn recovers(&self, before: Option<String>) -> anyhow::Result<()> {
        let uid = |pod: &Pod| pod.metadata.uid.clone();
        let new = |pod: &Pod| is_ready(pod) && uid(pod) != before;
        self.ns.wait(&self.engine.pod(INSTANCE), PLATFORM, "a new pod that is ready", new).await?;
        self.ns.wait_ready::<K>(INSTANCE, POD).await.map(drop)
    }

    /// Runs a shell script in the engine's pod.
    pub(super) async fn in_engine(&self, script: &str) -> anyhow::Result<String> {
        let pod = self.engine.pod(INSTANCE);
        let command = ["exec", "--namespace", self.ns.name(), &pod, "--", "/bin/sh", "-c", script];
        self.ns.cluster().kubectl(command).await
    }

    /// The status of a grant.
    pub(super) async fn grant(&self, name: &str) -> anyhow::Result<AccessGrantStatus> {
        Ok(self.ns.get::<AccessGrant>(name).await?.status.unwrap_or_default())
    }

    /// What is written on the primary is read from a copy.
    pub(super) async fn copies_follow(&self) -> anyhow::Result<()> {
        let endpoint = |object: &K| object.status().and_then(|status| status.read_endpoint.clone());
        let found =
            self.ns.wait(INSTANCE, POD, "with an endpoint for reading", |object: &K| endpoint(object).is_some());
        let endpoint = endpoint(&found.await?).unwrap_or_default();
        let own = self.engine.binding(INSTANCE);
        self.load.write(&own, "news", "read all about it").await?;
        self.load.until_reads(PLATFORM, &own, ("news", "read all about it"), &["--endpoint", &endpoint]).await
    }
}

/// Whether consumers get users of their own.
pub(super) fn has_logins(engine: Engine) -> bool {
    engine.name != "dynamodb"
}

async fn provide_volumes(ns: &TestNamespace, engine: Engine) -> anyhow::Result<()> {
    let workload = engine.workload(INSTANCE);
    volume::provide(ns, engine.name, &format!("data-{workload}-0")).await?;
    if engine.copies {
        volume::provide(ns, &format!("{}-read", engine.name), &format!("data-{workload}-read-0")).await?;
    }
    Ok(())
}

async fn grants(ns: &TestNamespace, engine: Engine) -> anyhow::Result<Vec<&'static str>> {
    if !has_logins(engine) {
        return Ok(Vec::new());
    }
    // Before the instance is there to be used: they wait for it.
    let rotation = json!({"rotation": {"overlap": "20s"}, "deletionPolicy": "Retain"});
    ns.apply(engine.grant(ONE, INSTANCE, &rotation)).await?;
    ns.apply(engine.grant(TWO, INSTANCE, &json!({"deletionPolicy": "Delete"}))).await?;
    Ok(vec![ONE, TWO])
}
