//! Root file systems from Debian's packages. Of Debian they keep a shell, the usual small tools and libraries, nothing
//! that installs or becomes root. Runs no maintainer script; writes only below the root file system.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::Engine;
use crate::images::packages;
use crate::images::store::Key;
use crate::shell;

const MIRRORS: [&str; 3] = [
    "deb http://deb.debian.org/debian trixie main",
    "deb http://deb.debian.org/debian trixie-updates main",
    "deb http://deb.debian.org/debian-security trixie-security main",
];

/// Debian's own keys as installed on the machine: mmdebstrap would otherwise take whatever keys the machine's APT
/// trusts.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Packages of every engine image. Their dependencies come along, essential packages that are not named do not.
const COMMON_PACKAGES: [&str; 6] = ["base-files", "coreutils", "dash", "grep", "libc-bin", "sed"];

/// The tools in `/usr/bin` that scripts may count on, a subset of what the official images have.
const TOOLS: &str = "\
    [ basename cat chmod chown cp cut dash date df dirname du echo env expr false getent grep head id ln \
    locale ls mkdir mktemp mv nproc printf pwd readlink realpath rm rmdir sed seq sh sleep sort stat sync tail \
    tee test timeout touch tr true uname uniq wc whoami";

/// uid and gid of the engine's user, the same in the official images.
pub(super) const ENGINE_ID: u32 = 999;

/// Libraries that only come along with what is left out.
const UNUSED_LIBRARIES: [&str; 5] = ["libLLVM", "libz3", "libperl", "libdb-5", "libicutest"];

/// Where there is no cluster that mounts another: servers look up the names that they listen on.
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";

/// Adds to `key` what is common to all engines, and an engine's packages, paths and folders.
pub(super) fn key(key: Key, [wanted, keep, leave_out, folders]: &[&[&str]; 4]) -> Key {
    let lists = [&COMMON_PACKAGES, *wanted, *keep, *leave_out, *folders, &UNUSED_LIBRARIES, &MIRRORS];
    lists.into_iter().flatten().fold(key.text(TOOLS).text(HOSTS), |key, item| key.text(item))
}

/// Makes the root file system of an engine in the empty folder `root`. Needs root and Debian's mirror.
pub(super) fn unpack(engine: &Engine, root: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        nix::unistd::geteuid().is_root(),
        "the root file system of {} has files of several users: run this as root",
        engine.name
    );
    let wanted = [&COMMON_PACKAGES, engine.packages].concat().join(",");
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=extract", "--format=directory", "--keyring", KEYRING]);
    shell::capture(command.arg(format!("--include={wanted}")).arg("trixie").arg(root).args(MIRRORS))?;
    packages::prune(root, &|path| keeps(engine, path))?;
    complete(engine, root)
}

fn keeps(engine: &Engine, path: &Path) -> bool {
    let path = path.to_string_lossy();
    let starts = |prefix: &&str| path.starts_with(*prefix);
    if let Some(tool) = path.strip_prefix("usr/bin/")
        && TOOLS.split_whitespace().any(|kept| kept == tool)
    {
        return true;
    }
    (kept_everywhere(&path) || engine.keep.iter().any(starts)) && !engine.leave_out.iter().any(starts)
}

/// What the packages' scripts would do on a machine.
fn complete(engine: &Engine, root: &Path) -> anyhow::Result<()> {
    let home = engine.folders.last().copied().unwrap_or_default();
    let (user, id) = (engine.user, ENGINE_ID);
    let passwd = format!("root:x:0:0:root:/:/bin/sh\n{user}:x:{id}:{id}::/{home}:/bin/sh\n");
    fs::create_dir_all(root.join("etc"))?;
    fs::write(root.join("etc/passwd"), passwd)?;
    fs::write(root.join("etc/group"), format!("root:x:0:\n{user}:x:{id}:\n"))?;
    fs::write(root.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")?;
    fs::write(root.join("etc/hosts"), HOSTS)?;
    for (folder, mode) in [("dev", 0o755), ("proc", 0o755), ("run", 0o755), ("sys", 0o755), ("tmp", 0o1777)] {
        fs::create_dir_all(root.join(folder))?;
        fs::set_permissions(root.join(folder), Permissions::from_mode(mode))?;
    }
    symlink_once("/run", &root.join("var/run"))?;
    for folder in engine.folders {
        fs::create_dir_all(root.join(folder))?;
        chown(root.join(folder), Some(ENGINE_ID), Some(ENGINE_ID))?;
    }
    Ok(())
}

/// A symbolic link in place of the one that may be there.
pub(super) fn symlink_once(target: &str, path: &Path) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    if path.is_symlink() {
        fs::remove_file(path)?;
    }
    symlink(target, path).with_context(|| format!("cannot create {}", path.display()))
}

/// The links that make `/bin` and `/lib` parts of `/usr`, the C locale, licences, and shared libraries.
fn kept_everywhere(path: &str) -> bool {
    let links = ["bin", "lib", "lib64", "sbin"];
    if links.contains(&path) || path.starts_with("usr/lib64/ld-") || path.starts_with("usr/lib/locale/C.utf8/") {
        return true;
    }
    if path.starts_with("usr/share/doc/") && path.ends_with("/copyright") {
        return true;
    }
    let library = path.strip_prefix("usr/lib/").and_then(|rest| rest.strip_prefix(packages::triplet().as_str()));
    library.and_then(|rest| rest.strip_prefix('/')).is_some_and(|name| {
        let shared = name.contains(".so") && !name.contains('/');
        shared && !UNUSED_LIBRARIES.iter().any(|unused| name.starts_with(unused))
    })
}
