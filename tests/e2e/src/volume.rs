//! Volumes that can be filled: each a small file system of its own on the node.
//!
//! `cargo xtask e2e` mounts them and says where. A volume is used by one test at a time and may hold what an earlier
//! run left.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::POD;
use crate::TestNamespace;
use crate::operator::is_ready;
use crate::shell::Shell;

/// The folder of the node with the volumes.
const FOLDER: &str = "PORTICO_SMALL_VOLUMES";
/// The name of the storage class, of which there are only these volumes.
pub const CLASS: &str = "small";

/// Makes the file system `name` of the node the volume of a claim of this namespace. It goes with the namespace.
///
/// # Errors
/// The folder is not known, or the API server refuses it.
pub async fn provide(namespace: &TestNamespace, name: &str, claim: &str) -> anyhow::Result<()> {
    let folder = std::env::var(FOLDER).with_context(|| format!("{FOLDER} is not set: run `cargo xtask e2e`"))?;
    let owner: Namespace = Api::all(namespace.client()).get(namespace.name()).await?;
    let volume = json!({
        "metadata": {
            "name": format!("{}-{name}", namespace.name()),
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Namespace", "name": namespace.name(), "uid": owner.uid()},
            ],
        },
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "hostPath": {"path": format!("{folder}/{name}"), "type": "Directory"},
            "claimRef": {"namespace": namespace.name(), "name": claim},
        },
    });
    let volume: PersistentVolume = serde_json::from_value(volume)?;
    let created = Api::all(namespace.client()).create(&PostParams::default(), &volume).await;
    created.map(drop).with_context(|| format!("making the volume {name}"))
}

/// Lets a new claim have a volume whose claim is gone; what the old one stored is still there.
///
/// # Errors
/// The API server refuses it.
pub async fn release(namespace: &TestNamespace, name: &str) -> anyhow::Result<()> {
    let (api, name) = (Api::<PersistentVolume>::all(namespace.client()), format!("{}-{name}", namespace.name()));
    let free = json!({"spec": {"claimRef": {"uid": null, "resourceVersion": null}}});
    let released = api.patch(&name, &PatchParams::default(), &Patch::Merge(free)).await;
    released.map(drop).with_context(|| format!("releasing the volume {name}"))
}

/// A pod that fills a volume beside the engine that uses it.
pub struct Filler {
    shell: Shell,
}

impl Filler {
    /// Starts it on a claim.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(namespace: &TestNamespace, claim: &str) -> anyhow::Result<Self> {
        let image = namespace.cluster().operator_image("PORTICO_VALKEY_IMAGE").await?;
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "filler"},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
                "containers": [{
                    "name": "filler", "image": image, "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        });
        namespace.apply(pod).await?;
        namespace.wait("filler", POD, "ready", is_ready).await?;
        Ok(Self { shell: Shell::open(namespace.name(), "filler")? })
    }

    /// Takes all the room that is left, down to the last bytes.
    ///
    /// # Errors
    /// The pod does not answer.
    pub async fn fill(&mut self) -> anyhow::Result<()> {
        let script =
            "for size in 1M 4k 1; do dd if=/dev/zero of=/data/filler.$size bs=$size 2>/dev/null; done; df /data";
        self.shell.run(script).await.map(drop)
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// The pod does not answer.
    pub async fn empty(&mut self) -> anyhow::Result<()> {
        self.shell.run("rm -f /data/filler.*").await.map(drop)
    }
}
