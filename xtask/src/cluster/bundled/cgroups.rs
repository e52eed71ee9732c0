//! The cluster's own cgroups. A node is started inside a folder `portico-<cluster>` of every hierarchy and then given a
//! cgroup namespace, so that this folder is the root of all that the kubelet sees. The machine's own cgroups stay as they
//! are, clusters do not see each other's pods, and the folders are removed with the node.
//!
//! On cgroup v1 the folders are children of the caller's own cgroups. On v2 they are children of the hierarchy's root,
//! because a v2 cgroup with processes, as the caller's is, may not hand controllers to children.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Controllers that the kubelet cannot do without.
const NEEDED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// One hierarchy as it is mounted on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// `cpu,cpuacct`, `name=systemd`; empty for v2.
    pub(super) controllers: String,
    /// Where the machine has it.
    mount_point: PathBuf,
    /// The caller's cgroup in it, as a path on the machine.
    own: PathBuf,
}

impl Hierarchy {
    /// Whether this is the single hierarchy of cgroup v2.
    pub(super) fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Where the cluster's folder is on the machine.
    fn folder(&self, name: &str) -> PathBuf {
        if self.is_v2() { self.mount_point.join(name) } else { self.own.join(name) }
    }
}

/// The hierarchies of this machine.
pub(super) fn hierarchies() -> anyhow::Result<Vec<Hierarchy>> {
    let read = |path| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let found = parse(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?);
    let v2 = found.iter().any(Hierarchy::is_v2);
    let has = |controller: &str| found.iter().any(|one| one.controllers.split(',').any(|name| name == controller));
    if let Some(missing) = NEEDED.into_iter().find(|controller| !v2 && !has(controller)) {
        bail!("no cgroup hierarchy with the controller `{missing}` is mounted: mount cgroup2 at /sys/fs/cgroup");
    }
    Ok(found)
}

/// Reads `/proc/self/cgroup` and `/proc/self/mountinfo`. A v2 hierarchy beside v1 ones has no controllers and is left out.
fn parse(own: &str, mounts: &str) -> Vec<Hierarchy> {
    let found: Vec<Hierarchy> = own.lines().filter_map(|line| hierarchy(line, mounts)).collect();
    let v1 = found.iter().any(|one| one.controllers.contains("memory"));
    found.into_iter().filter(|one| !(v1 && one.is_v2())).collect()
}

/// The hierarchy of a line `number:controllers:path`, when it is mounted.
fn hierarchy(line: &str, mounts: &str) -> Option<Hierarchy> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (root, mount_point) = mounts.lines().find_map(|mount| mounted(mount, controllers))?;
    // A container without a cgroup namespace has only its own part mounted.
    let below = Path::new(path).strip_prefix(root).unwrap_or_else(|_| Path::new(""));
    let mount_point = PathBuf::from(mount_point);
    Some(Hierarchy { controllers: controllers.to_owned(), own: mount_point.join(below), mount_point })
}

/// Root and mount point of a line of mountinfo that mounts these controllers.
fn mounted<'a>(line: &'a str, controllers: &str) -> Option<(&'a str, &'a str)> {
    let (front, back) = line.split_once(" - ")?;
    let mut back = back.split(' ');
    let kind = back.next()?;
    let options = back.nth(1)?;
    let fits = match controllers {
        "" => kind == "cgroup2",
        _ => kind == "cgroup" && controllers.split(',').all(|one| options.split(',').any(|option| option == one)),
    };
    let mut front = front.split(' ').skip(3);
    fits.then_some((front.next()?, front.next()?))
}

/// Makes the cluster's folders and moves the calling process into them. Hands back the folders.
pub(super) fn enter(name: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for hierarchy in hierarchies()? {
        let folder = hierarchy.folder(name);
        let parent = folder.parent().unwrap_or(&hierarchy.mount_point);
        create(&folder)?;
        if hierarchy.controllers.split(',').any(|one| one == "cpuset") {
            inherit_cpuset(parent, &folder)?;
        }
        join(&folder)?;
        folders.push(folder);
    }
    Ok(folders)
}

/// A new v1 cpuset is empty, and no process may enter it so.
fn inherit_cpuset(parent: &Path, folder: &Path) -> anyhow::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let value =
            fs::read_to_string(parent.join(file)).with_context(|| format!("cannot read {}", parent.display()))?;
        fs::write(folder.join(file), value.trim()).with_context(|| format!("cannot set up {}", folder.display()))?;
    }
    Ok(())
}

/// Moves the calling process.
fn join(folder: &Path) -> anyhow::Result<()> {
    fs::write(folder.join("cgroup.procs"), "0").with_context(|| format!("cannot enter the cgroup {}", folder.display()))
}

/// On v2, moves processes to a leaf below the cluster's folder: only a folder without processes may hand its controllers to
/// children. Called on the machine's side, before the kubelet starts, for every process that is in the folder.
pub(super) fn vacate(folders: &[PathBuf]) -> anyhow::Result<()> {
    for folder in folders.iter().filter(|folder| folder.join("cgroup.controllers").is_file()) {
        let leaf = folder.join("node");
        create(&leaf)?;
        for process in fs::read_to_string(folder.join("cgroup.procs"))?.lines() {
            fs::write(leaf.join("cgroup.procs"), process)
                .with_context(|| format!("cannot move process {process} to {}", leaf.display()))?;
        }
        let controllers = fs::read_to_string(folder.join("cgroup.controllers"))?;
        fs::write(folder.join("cgroup.subtree_control"), enable(&controllers))
            .with_context(|| format!("cannot hand controllers to the children of {}", folder.display()))?;
    }
    Ok(())
}

/// `cpu memory` becomes `+cpu +memory`.
fn enable(controllers: &str) -> String {
    controllers.split_whitespace().map(|controller| format!("+{controller}")).collect::<Vec<_>>().join(" ")
}

fn create(folder: &Path) -> anyhow::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot create the cgroup {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Removes a folder and all below it, depth first: the kernel keeps the files, and only empty cgroups go.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "9:name=systemd:/\n4:memory:/caller/x\n1:cpu,cpuacct:/\n0::/\n";
    const V1_MOUNTS: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn v1_folders_are_children_of_the_callers() {
        let found = parse(V1, V1_MOUNTS);
        let folders: Vec<_> = found.iter().map(|one| (one.controllers.as_str(), one.folder("portico-demo"))).collect();
        assert_eq!(
            folders,
            [
                ("name=systemd", PathBuf::from("/sys/fs/cgroup/systemd/portico-demo")),
                ("memory", PathBuf::from("/sys/fs/cgroup/memory/caller/x/portico-demo")),
                ("cpu,cpuacct", PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/portico-demo")),
            ]
        );
    }

    #[test]
    fn the_v2_folder_is_a_child_of_the_root() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = parse("0::/user.slice/session-1.scope\n", mounts);
        assert_eq!(found.len(), 1);
        assert!(found[0].is_v2());
        assert_eq!(found[0].folder("portico-demo"), Path::new("/sys/fs/cgroup/portico-demo"));
    }

    #[test]
    fn in_a_container_the_mounts_root_is_taken_off_the_path() {
        let mounts = "35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let found = parse("4:memory:/docker/1/inner\n", mounts);
        assert_eq!(found[0].folder("c"), Path::new("/sys/fs/cgroup/memory/inner/c"));
    }

    #[test]
    fn a_folder_is_removed_with_all_below() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("c/kubepods/pod1")).unwrap();
        remove(&folder.path().join("c")).unwrap();
        assert!(!folder.path().join("c").exists());
        remove(&folder.path().join("c")).unwrap();
    }

    #[test]
    fn controllers_are_enabled_by_name() {
        assert_eq!(enable("cpuset cpu memory\n"), "+cpuset +cpu +memory");
    }
}
