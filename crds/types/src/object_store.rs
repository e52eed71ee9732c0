//! `ObjectStore`: a store of files.

use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::instance_kind::instance_kind;

instance_kind! {
    kind: ObjectStore, spec: ObjectStoreSpec, name: "ObjectStore", plural: "objectstores",
    shortname: "objs",
    about: "An object store with a bucket and a key of its own. Consumers read the binding Secret that is named in \
            status.binding; further ones ask for an AccessGrant.",
    engine: ObjectStoreEngine,
    version: "Version of the engine. Default: 2.5.",
    resources: "Computing resources of the pod. Default: requests of 50m CPU and 64Mi memory, a limit of 256Mi memory.",
    external: "How the store is reached when somebody else runs it (`backend: External`).",
    rules: [version_has_an_image(), has_no_replicas(), has_no_tls()],
    fields: {}
}

/// The engines of an `ObjectStore`.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectStoreEngine {
    /// A store with the S3 API. Builtin runs Garage.
    S3,
}

/// The version that runs when the spec names none.
pub const DEFAULT_VERSION: &str = "2.5";

fn version_has_an_image() -> Rule {
    Rule::new("!has(self.version) || self.version == '2.5' || has(self.image)")
        .message("spec.version other than 2.5 needs spec.image: the operator has no image of it")
}

fn has_no_replicas() -> Rule {
    Rule::new("!has(self.readReplicas) || self.readReplicas == 0")
        .message("spec.readReplicas: a builtin object store is one node; remove it")
}

fn has_no_tls() -> Rule {
    Rule::new("!has(self.tls)").message("spec.tls: Garage speaks plain HTTP inside the cluster; remove it")
}
