//! Garage 2.5, an object store that speaks S3. It is a Rust program, built once on this machine by Cargo from the crate
//! registry; Debian adds the libraries and tools.
//!
//! The program is kept as `garage/<key>/bin/garage` in the cache. A build that was ended goes on where it was.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::{Addition, Engine};
use crate::images::packages;
use crate::images::store::Key;
use crate::{cargo, paths, shell, ui};

const VERSION: &str = "2.5.0";

/// What we use of it: the metadata in LMDB, and the C libraries in the program itself. Neither metrics nor discovery.
const FEATURES: &str = "bundled-libs,lmdb";

const COPYRIGHT: &str = "Garage, https://garagehq.deuxfleurs.fr, crate garage 2.5.0, without changes.\n\
    License: GNU Affero General Public License, version 3.\n";

pub(super) const ENGINE: Engine = Engine {
    name: "garage",
    image: "portico.dev/garage",
    user: "garage",
    packages: &["libgcc-s1"],
    keep: &[],
    leave_out: &[],
    folders: &["data"],
    path: "PATH=/usr/bin:/bin",
    addition: Some(Addition { key: &[VERSION, FEATURES, COPYRIGHT], add }),
};

fn add(root: &Path) -> anyhow::Result<()> {
    let (program, copyright) = (program()?, root.join("usr/share/doc/garage"));
    fs::copy(&program, root.join("usr/bin/garage")).with_context(|| format!("cannot copy {}", program.display()))?;
    fs::create_dir_all(&copyright)?;
    fs::write(copyright.join("copyright"), COPYRIGHT)?;
    // The program is linked with this machine's C library, which may be newer than that of the root file system.
    shell::capture(Command::new("chroot").arg(root).args(["/usr/bin/garage", "--version"])).with_context(|| {
        format!("{} does not run on Debian trixie: build it on an older release", program.display())
    })?;
    Ok(())
}

/// The program, built if it is not there.
fn program() -> anyhow::Result<PathBuf> {
    let folder = paths::cache()?.join("garage");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let installed = folder.join(Key::new("garage").text(VERSION).text(FEATURES).finish());
    let program = installed.join("bin/garage");
    if !program.is_file() {
        // Two builds at once would take twice as long, and the first to end removes what the other builds in.
        let _lock = lock(&folder)?;
        packages::folder(&installed, |content| {
            ui::step("build Garage (about 9 minutes on two cores)", || build(content, &folder.join("target")))
        })?;
    }
    Ok(program)
}

/// Installs the program into `root`. Cargo says what it compiles meanwhile.
fn build(root: &Path, target: &Path) -> anyhow::Result<()> {
    let mut command = cargo::command(&["install", "garage", "--locked", "--version", VERSION]);
    command.args(["--no-default-features", "--features", FEATURES]);
    shell::run(command.arg("--root").arg(root).arg("--target-dir").arg(target))?;
    fs::remove_dir_all(target).with_context(|| format!("cannot remove {}", target.display()))
}

/// Held until the file is dropped.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        ui::say("another run is building Garage: waiting for it");
        file.lock()?;
    }
    Ok(file)
}
