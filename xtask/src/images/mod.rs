//! Container images as OCI archives, made without Docker and byte for byte the same from the same inputs.
//!
//! What an image holds is decided in one file each ([`node`], [`programs`], [`engine`], [`base`]); [`layer`] and
//! [`archive`] write it; [`store`] keeps the archives by what they were made of, so that nothing is made twice.
//! Nothing here talks to a container runtime or to a cluster.

mod archive;
mod base;
mod engine;
mod layer;
mod node;
mod packages;
mod programs;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use self::engine::{names as engine_names, unpack_all as unpack_engines, unpacked};
pub(crate) use self::programs::load_client;
use self::store::Store;
use crate::ui;

/// An OCI archive on disk, and the name under which a container runtime knows it once imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageArchive {
    /// Name and tag, `portico.dev/operator:dev-0123456789ab`; the tag is taken from the content's digest.
    pub(crate) reference: String,
    /// The archive, readable by `ctr images import` and `kind load image-archive`.
    pub(crate) path: PathBuf,
}

impl ImageArchive {
    /// The reference without its tag: `portico.dev/operator`.
    pub(crate) fn name(&self) -> &str {
        self.reference.rsplit_once(':').map_or(self.reference.as_str(), |(name, _)| name)
    }
}

/// The images that a Portico installation runs.
#[derive(Clone, Debug)]
pub(crate) struct PlatformImages {
    /// `portico.dev/operator`.
    pub(crate) operator: ImageArchive,
    /// `portico.dev/auth-service`.
    pub(crate) auth_service: ImageArchive,
    /// `portico.dev/<engine>` by the engine's name, which is also its key in the chart's `images`.
    pub(crate) engines: BTreeMap<&'static str, ImageArchive>,
}

impl PlatformImages {
    /// Every image, for loading.
    pub(crate) fn all(&self) -> Vec<&ImageArchive> {
        [&self.operator, &self.auth_service].into_iter().chain(self.engines.values()).collect()
    }
}

/// How our own programs are built and their layers stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Cargo's dev profile, shared with the tests; layers uncompressed, because they are only loaded locally.
    Dev,
    /// Cargo's release profile; layers compressed for a registry.
    Release,
}

/// Arguments of `cargo xtask images`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Build our programs with the release profile and compress the layers.
    #[arg(long)]
    release: bool,
}

/// `cargo xtask images`: makes every image and prints its reference and archive, a line each.
pub(crate) fn command(arguments: Arguments) -> anyhow::Result<()> {
    let platform = platform_images(if arguments.release { Profile::Release } else { Profile::Dev })?;
    for image in platform.all().into_iter().chain(&node_images()?) {
        ui::result(format_args!("{}\t{}", image.reference, image.path.display()));
    }
    Ok(())
}

/// The images of the bundled node itself, `portico.dev/node/{pause,coredns,metrics-server,volume-helper}` in this
/// order.
///
/// Blocks; takes seconds the first time. `CoreDNS` and metrics-server come from `kubernetes/current` in the cache.
pub(crate) fn node_images() -> anyhow::Result<Vec<ImageArchive>> {
    node::images(&Store::open()?)
}

/// The images of a Portico installation. Blocks; builds our programs with Cargo and makes the engines' root file systems
/// where they are not there yet.
pub(crate) fn platform_images(profile: Profile) -> anyhow::Result<PlatformImages> {
    let store = Store::open()?;
    let engines = engine::images(&store, profile)?;
    let (operator, auth_service) = programs::images(&store, profile)?;
    Ok(PlatformImages { operator, auth_service, engines })
}
