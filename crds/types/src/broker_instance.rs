//! `BrokerInstance`: a message broker.

use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::instance_kind::instance_kind;

instance_kind! {
    kind: BrokerInstance, spec: BrokerInstanceSpec, name: "BrokerInstance", plural: "brokerinstances",
    shortname: "brokeri",
    about: "A message broker with a virtual host and a user of its own. Consumers read the binding Secret that is named in \
            status.binding; further ones ask for an AccessGrant.",
    engine: BrokerEngine,
    version: "Version of the engine. Default: 4.",
    resources: "Computing resources of the pod. Default: requests of 100m CPU and 256Mi memory, a limit of 512Mi memory.",
    external: "How the engine is reached when somebody else runs it (`backend: External`).",
    rules: [version_has_an_image(), has_no_replicas()],
    fields: {}
}

/// The engines of a `BrokerInstance`.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokerEngine {
    /// RabbitMQ.
    RabbitMQ,
}

/// The version that runs when the spec names none.
pub const DEFAULT_VERSION: &str = "4";

fn version_has_an_image() -> Rule {
    Rule::new("!has(self.version) || self.version == '4' || has(self.image)")
        .message("spec.version other than 4 needs spec.image: the operator has no image of it")
}

fn has_no_replicas() -> Rule {
    Rule::new("!has(self.readReplicas) || self.readReplicas == 0")
        .message("spec.readReplicas: a builtin broker is one node; remove it")
}
