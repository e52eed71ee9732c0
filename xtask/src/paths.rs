//! Where things are: the repository and the cache outside it. Reads the environment, touches no file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The root of the repository that this program was built from.
pub(crate) fn repository() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
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
