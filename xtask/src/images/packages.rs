//! Debian packages as plain files: downloaded and unpacked into a folder, no maintainer script is run and nothing is
//! installed on the machine. Also folders in the cache that are complete or not there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::shell;

/// The name of Debian's folder for libraries of this machine's architecture.
pub(crate) fn triplet() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

/// Downloads these packages, without what they depend on, in the versions of the machine's own Debian release and
/// unpacks them together.
pub(crate) fn unpack(packages: &[&str]) -> anyhow::Result<TempDir> {
    let downloads = TempDir::new()?;
    // APT's own user may not write to our folder.
    let download = || {
        let options = ["--quiet", "--option=APT::Sandbox::User=root"];
        shell::capture(
            Command::new("apt-get").args(options).arg("download").args(packages).current_dir(downloads.path()),
        )
    };
    if download().is_err() {
        // A fresh machine has no package lists, an old one has lists of versions that are gone.
        shell::capture(Command::new("apt-get").args(["--quiet", "update"]))?;
        download().with_context(|| format!("cannot download the packages {}", packages.join(", ")))?;
    }
    let unpacked = TempDir::new()?;
    for package in fs::read_dir(downloads.path())? {
        shell::capture(Command::new("dpkg-deb").arg("--extract").arg(package?.path()).arg(unpacked.path()))?;
    }
    Ok(unpacked)
}

/// The file `path` of an unpacked package, whether the release still has `/bin` and `/lib` apart from `/usr` or not.
pub(crate) fn file(root: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let candidates = [root.join(path), root.join("usr").join(path)];
    let found = candidates.into_iter().find(|candidate| candidate.is_file());
    found.with_context(|| format!("the unpacked packages have no {path}"))
}

/// The folder `target`, filled by `fill` if it is not there. It appears under its name only when it is complete, so
/// that two runs at once and a run that was killed do no harm.
pub(crate) fn folder(target: &Path, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if target.is_dir() {
        return Ok(());
    }
    let parent = target.parent().context("a folder of the cache has a parent")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let unfinished = TempDir::with_prefix_in(".unfinished-", parent)?;
    let content = unfinished.path().join("content");
    fs::create_dir(&content)?;
    fs::set_permissions(&content, Permissions::from_mode(0o755))?;
    fill(&content)?;
    match fs::rename(&content, target) {
        Err(_) if target.is_dir() => Ok(()),
        renamed => renamed.with_context(|| format!("cannot create {}", target.display())),
    }
}

/// Removes everything below `root` for which `keep` says no (asked with the path relative to it), and the folders that
/// are empty then.
pub(crate) fn prune(root: &Path, keep: &dyn Fn(&Path) -> bool) -> anyhow::Result<()> {
    prune_below(root, Path::new(""), keep).map(drop)
}

/// Whether the folder is empty afterwards.
fn prune_below(root: &Path, below: &Path, keep: &dyn Fn(&Path) -> bool) -> anyhow::Result<bool> {
    let mut empty = true;
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if prune_below(root, &path, keep)? {
                fs::remove_dir(entry.path())?;
            } else {
                empty = false;
            }
        } else if keep(&path) {
            empty = false;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(empty)
}
