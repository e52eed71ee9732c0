//! Clusters to develop and test on. [`provider`] says what a cluster can do; [`kind`] and [`bundled`] do it.

pub(crate) mod bundled;
mod kind;
pub(crate) mod provider;

use self::bundled::Bundled;
pub(crate) use self::bundled::names::ClusterName;
use self::kind::Kind;
pub(crate) use self::kind::docker_answers;
use self::provider::Provider;

/// Who runs the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ProviderKind {
    /// kind, on Docker.
    Kind,
    /// The bundled node; Linux, root.
    Bundled,
}

/// The cluster of that name, by the provider asked for; by default kind where Docker answers, else the bundled node.
pub(crate) fn cluster(name: &ClusterName, provider: Option<ProviderKind>) -> anyhow::Result<Box<dyn Provider>> {
    let default = || if docker_answers() { ProviderKind::Kind } else { ProviderKind::Bundled };
    Ok(match provider.unwrap_or_else(default) {
        ProviderKind::Kind => Box::new(Kind::new(name)?),
        ProviderKind::Bundled => Box::new(Bundled::new(name)?),
    })
}
