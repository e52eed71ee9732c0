//! What the operator was installed with; the same for all resources.

use portico_crds::common::names::EngineName;

/// The images that run when a spec names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The auth service.
    pub auth_service: String,
    /// PostgreSQL of the default version.
    pub postgresql: String,
    /// Valkey of the default version.
    pub valkey: String,
}

impl Images {
    /// The image of an engine.
    pub fn engine(&self, name: EngineName) -> &str {
        match name {
            EngineName::PostgreSql => &self.postgresql,
            EngineName::Valkey => &self.valkey,
        }
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
