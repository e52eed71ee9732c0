//! The node's view of the file system, made inside its own mount namespace. Whatever a component writes outside the data
//! folder lands on memory that goes with the node; the machine's files are only read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};

use super::cgroups::Hierarchy;
use super::names::Layout;

/// Folders that components write to wherever their settings point.
const PRIVATE: [&str; 3] = ["/var/lib", "/var/log", "/etc/cni"];

/// Kernel settings of the whole machine that the kubelet wants, and the values it wants. It reads these files of ours in
/// their place and finds nothing to change.
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Makes all mounts. `hierarchies` are the machine's, read before the namespaces were made.
pub(super) fn prepare(layout: &Layout, hierarchies: &[Hierarchy]) -> anyhow::Result<()> {
    new("proc", Path::new("/proc"))?;
    new("sysfs", Path::new("/sys"))?;
    cgroups(hierarchies)?;
    let resolver = fs::canonicalize("/etc/resolv.conf");
    private_folders(layout)?;
    for (file, value) in KERNEL_SETTINGS {
        let path = Path::new("/proc/sys").join(file);
        if path.exists() {
            shadow(&path, value)?;
        }
    }
    match resolver {
        // Go's resolver asks 127.0.0.1 then, where nobody listens: outside names fail at once.
        Ok(path) if path.exists() => shadow(&path, ""),
        _ => Ok(()),
    }
}

fn cgroups(hierarchies: &[Hierarchy]) -> anyhow::Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    if hierarchies.iter().any(Hierarchy::is_v2) {
        return new("cgroup2", root);
    }
    new("tmpfs", root)?;
    for hierarchy in hierarchies {
        let controllers = &hierarchy.controllers;
        let (folder, options) = match controllers.strip_prefix("name=") {
            Some(name) => (root.join(name), format!("none,{controllers}")),
            None => (root.join(controllers), controllers.clone()),
        };
        fs::create_dir(&folder)?;
        mount_at("cgroup", &folder, Some("cgroup"), MsFlags::empty(), Some(&options))?;
        // Programs look for each controller under its own name.
        for single in controllers.split(',').filter(|single| controllers.contains(',') && !single.is_empty()) {
            std::os::unix::fs::symlink(controllers, root.join(single))?;
        }
    }
    Ok(())
}

/// Empty memory on each folder, with the folders that the node needs put back where they were.
fn private_folders(layout: &Layout) -> anyhow::Result<()> {
    new("tmpfs", Path::new("/run"))?;
    let needed =
        [(&layout.data, PathBuf::from("/run/portico/data")), (&layout.programs, "/run/portico/programs".into())];
    for (folder, kept) in &needed {
        fs::create_dir_all(kept)?;
        bind(folder, kept)?;
    }
    for folder in PRIVATE.iter().map(Path::new).filter(|folder| folder.is_dir()) {
        new("tmpfs", folder)?;
    }
    for (folder, kept) in needed.iter().filter(|(folder, _)| !folder.is_dir()) {
        fs::create_dir_all(folder)?;
        bind(kept, folder)?;
    }
    fs::create_dir("/run/tmp")?;
    Ok(())
}

/// Puts a file with this content over another.
fn shadow(path: &Path, content: &str) -> anyhow::Result<()> {
    let name = path.to_string_lossy().replace('/', "_");
    let file = Path::new("/run").join(name);
    fs::write(&file, content)?;
    bind(&file, path)
}

fn new(kind: &str, target: &Path) -> anyhow::Result<()> {
    mount_at(kind, target, Some(kind), MsFlags::empty(), None)
}

fn bind(source: &Path, target: &Path) -> anyhow::Result<()> {
    mount_at(&source.to_string_lossy(), target, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)
}

fn mount_at(
    source: &str,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> anyhow::Result<()> {
    mount(Some(source), target, kind, flags, options)
        .with_context(|| format!("cannot mount {source} at {}", target.display()))
}
