//! `PostgreSQL` and Valkey from Debian's packages, for machines without a registry. The root file systems have the
//! users, uids and programs of the official images, so that the same pod specs run both; of Debian they keep a shell,
//! the usual small tools and libraries, nothing that installs or becomes root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::archive::{Image, Settings};
use super::layer::Layer;
use super::store::{Key, Store};
use super::{Engines, ImageArchive, Profile, packages};
use crate::{paths, shell, ui};

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
const ENGINE_ID: u32 = 999;

struct Engine {
    name: &'static str,
    image: &'static str,
    user: &'static str,
    packages: &'static [&'static str],
    /// Prefixes of paths that are kept beside [`kept_everywhere`].
    keep: &'static [&'static str],
    /// Prefixes of paths that go nevertheless.
    leave_out: &'static [&'static str],
    /// Folders of the engine's user.
    folders: &'static [&'static str],
    path: &'static str,
}

const POSTGRESQL: Engine = Engine {
    name: "postgresql",
    image: "portico.dev/postgresql",
    user: "postgres",
    packages: &["postgresql-17", "tzdata"],
    keep: &["usr/lib/postgresql/17/", "usr/share/postgresql/17/", "usr/share/zoneinfo/"],
    // Compiling queries needs LLVM, two thirds of the size; the server does without when it is not there. The programs
    // of the same name in /usr/bin are wrappers in Perl for several servers on one machine.
    leave_out: &[
        "usr/lib/postgresql/17/lib/bitcode/",
        "usr/lib/postgresql/17/lib/llvmjit",
        "usr/lib/postgresql/17/lib/pgxs/",
        "usr/share/postgresql/17/man/",
    ],
    folders: &["run/postgresql", "var/lib/postgresql", "var/lib/postgresql/data"],
    path: "PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin",
};

const VALKEY: Engine = Engine {
    name: "valkey",
    image: "portico.dev/valkey",
    user: "valkey",
    packages: &["valkey-server", "valkey-tools"],
    keep: &["usr/bin/valkey-"],
    leave_out: &["usr/bin/valkey-benchmark"],
    folders: &["data"],
    path: "PATH=/usr/bin:/bin",
};

/// Libraries that only come along with what is left out.
const UNUSED_LIBRARIES: [&str; 5] = ["libLLVM", "libz3", "libperl", "libdb-5", "libicutest"];

pub(crate) fn images(store: &Store, profile: Profile) -> anyhow::Result<(ImageArchive, ImageArchive)> {
    let roots = roots()?;
    Ok((image(store, &POSTGRESQL, &roots.postgresql, profile)?, image(store, &VALKEY, &roots.valkey, profile)?))
}

pub(crate) fn roots() -> anyhow::Result<Engines> {
    Ok(Engines { postgresql: root(&POSTGRESQL)?, valkey: root(&VALKEY)? })
}

fn image(store: &Store, engine: &Engine, root: &Path, profile: Profile) -> anyhow::Result<ImageArchive> {
    store.image(engine.image, engine.key().text(&format!("{profile:?}")), || {
        let mut layer = Layer::default();
        layer.tree(root)?;
        let settings = Settings { user: "999:999", entrypoint: vec![], environment: vec![engine.path, "LANG=C.UTF-8"] };
        Ok(Image { name: engine.image, layers: vec![layer], settings, compress: profile == Profile::Release })
    })
}

/// The unpacked root file system; made if it is not there, and linked as `engines/<name>`.
fn root(engine: &Engine) -> anyhow::Result<PathBuf> {
    let engines = paths::cache()?.join("engines");
    let directory = format!("{}-{}", engine.name, engine.key().finish());
    let target = engines.join(&directory);
    packages::folder(&target, |content| {
        ui::step(format!("unpack {} from Debian trixie (about 20 s)", engine.name), || engine.unpack(content))
    })?;
    link(&engines.join(engine.name), &directory)?;
    Ok(target)
}

/// Points the link at `target`, with no moment at which it is not there.
fn link(path: &Path, target: &str) -> anyhow::Result<()> {
    if fs::read_link(path).is_ok_and(|current| current == Path::new(target)) {
        return Ok(());
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    symlink(target, &new).with_context(|| format!("cannot create {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("cannot replace {}", path.display()))
}

impl Engine {
    /// Everything that decides about the content, except Debian's updates: remove the folder to have those.
    fn key(&self) -> Key {
        let lists =
            [&COMMON_PACKAGES, self.packages, self.keep, self.leave_out, self.folders, &UNUSED_LIBRARIES, &MIRRORS];
        let key = Key::new(self.name).text(self.user).text(self.path).text(TOOLS);
        lists.into_iter().flatten().fold(key, |key, item| key.text(item))
    }

    fn unpack(&self, root: &Path) -> anyhow::Result<()> {
        anyhow::ensure!(
            nix::unistd::geteuid().is_root(),
            "the root file system of {} has files of several users: run this as root",
            self.name
        );
        let packages = [&COMMON_PACKAGES, self.packages].concat().join(",");
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--variant=extract", "--format=directory", "--keyring", KEYRING]);
        shell::capture(command.arg(format!("--include={packages}")).arg("trixie").arg(root).args(MIRRORS))?;
        packages::prune(root, &|path| self.keeps(path))?;
        self.complete(root)
    }

    fn keeps(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        let starts = |prefix: &&str| path.starts_with(*prefix);
        if let Some(tool) = path.strip_prefix("usr/bin/")
            && TOOLS.split_whitespace().any(|kept| kept == tool)
        {
            return true;
        }
        (kept_everywhere(&path) || self.keep.iter().any(starts)) && !self.leave_out.iter().any(starts)
    }

    /// What the packages' scripts would do on a machine.
    fn complete(&self, root: &Path) -> anyhow::Result<()> {
        let home = self.folders.last().copied().unwrap_or_default();
        let (user, id) = (self.user, ENGINE_ID);
        let passwd = format!("root:x:0:0:root:/:/bin/sh\n{user}:x:{id}:{id}::/{home}:/bin/sh\n");
        fs::create_dir_all(root.join("etc"))?;
        fs::write(root.join("etc/passwd"), passwd)?;
        fs::write(root.join("etc/group"), format!("root:x:0:\n{user}:x:{id}:\n"))?;
        fs::write(root.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")?;
        for (folder, mode) in [("dev", 0o755), ("proc", 0o755), ("run", 0o755), ("sys", 0o755), ("tmp", 0o1777)] {
            fs::create_dir_all(root.join(folder))?;
            fs::set_permissions(root.join(folder), Permissions::from_mode(mode))?;
        }
        symlink_once("/run", &root.join("var/run"))?;
        for folder in self.folders {
            fs::create_dir_all(root.join(folder))?;
            chown(root.join(folder), Some(ENGINE_ID), Some(ENGINE_ID))?;
        }
        Ok(())
    }
}

fn symlink_once(target: &str, path: &Path) -> anyhow::Result<()> {
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
