//! `CacheInstance`: an in-memory store.

use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::instance_kind::instance_kind;

instance_kind! {
    kind: CacheInstance, spec: CacheInstanceSpec, name: "CacheInstance", plural: "cacheinstances",
    shortname: "cachei",
    about: "A cache server with a user of its own. Consumers read the binding Secret that is named in status.binding; further \
            ones ask for an AccessGrant.",
    engine: CacheEngine,
    version: "Version of the engine. Default: 8.1.",
    resources: "Computing resources of each pod. Default: requests of 50m CPU and 64Mi memory, a limit of 256Mi memory.",
    external: "How the engine is reached when somebody else runs it (`backend: External`).",
    rules: [version_has_an_image()],
    fields: {}
}

/// The engines of a `CacheInstance`.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheEngine {
    /// Valkey, or Redis with an image of it.
    Valkey,
}

/// The version that runs when the spec names none.
pub const DEFAULT_VERSION: &str = "8.1";

fn version_has_an_image() -> Rule {
    Rule::new("!has(self.version) || self.version == '8.1' || has(self.image)")
        .message("spec.version other than 8.1 needs spec.image: the operator has no image of it")
}
