//! The operator's access rights, from what the controllers say they need. The chart puts them into its roles.

use super::{Files, yaml};

/// Rules of the `ClusterRole`.
const CLUSTER: &str = "charts/portico/files/rbac-cluster.yaml";
/// Rules of the `Role` in the operator's own namespace.
const NAMESPACE: &str = "charts/portico/files/rbac-namespace.yaml";

pub(super) fn files() -> anyhow::Result<Files> {
    Ok(Files::from([
        (CLUSTER.into(), yaml::document(&portico_operator_controllers::rbac_rules())?),
        (NAMESPACE.into(), yaml::document(&portico_operator_controllers::lease_rules())?),
    ]))
}
