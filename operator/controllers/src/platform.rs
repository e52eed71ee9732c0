//! What the operator was installed with; the same for all resources.

use portico_crds::common::names::EngineName;
use std::collections::BTreeMap;

/// The images that run when a spec names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The auth service.
    pub auth_service: String,
    /// The engines, each of its default version.
    pub engines: BTreeMap<EngineName, String>,
}

impl Images {
    /// The image of an engine; empty when the operator was not told, which the pod's status then says.
    pub fn engine(&self, name: EngineName) -> &str {
        self.engines.get(&name).map_or("", String::as_str)
    }
}

/// What the operator was installed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Images.
    pub images: Images,
    /// When images are pulled: `IfNotPresent`, `Always` or `Never`.
    pub image_pull_policy: String,
    /// The DNS domain of the cluster, such as `cluster.local`.
    pub cluster_domain: String,
    /// The operator's own namespace; network policies let it in.
    pub namespace: String,
}
