//! Where things are: the repository and the cache outside it. Reads the environment, touches no file.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context as _;

/// The root of the repository that this program was called in.
///
/// Cargo says where that is. The place where the program was built may be another clone's, since clones may share one
/// target folder; it counts only when the program is called without Cargo.
pub(crate) fn repository() -> &'static Path {
    static REPOSITORY: LazyLock<PathBuf> = LazyLock::new(|| {
        let ours = std::env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME"));
        let called = std::env::var_os("CARGO_MANIFEST_DIR").filter(|_| ours).map(PathBuf::from);
        let manifest = called.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        manifest.parent().map(Path::to_path_buf).unwrap_or(manifest)
    });
    &REPOSITORY
}

/// The folder for everything that is costly to make: `$PORTICO_CACHE`, else `$HOME/.cache/portico`.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("PORTICO_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").context("neither PORTICO_CACHE nor HOME is set: set one of them")?;
    Ok(Path::new(&home).join(".cache/portico"))
}

/// The folder of the Kubernetes programs: `$PORTICO_KUBERNETES_BIN`, else `kubernetes/current` in the cache.
pub(crate) fn kubernetes_programs() -> anyhow::Result<PathBuf> {
    match std::env::var_os("PORTICO_KUBERNETES_BIN").filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(folder.into()),
        None => Ok(cache()?.join("kubernetes/current")),
    }
}

/// The folder of the clusters' data: `${PORTICO_DATA:-/var/lib/portico}/clusters`.
pub(crate) fn clusters() -> PathBuf {
    let data = std::env::var_os("PORTICO_DATA").filter(|folder| !folder.is_empty());
    data.map_or_else(|| PathBuf::from("/var/lib/portico"), PathBuf::from).join("clusters")
}
