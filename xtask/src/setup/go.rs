//! Builds the Go programs of the bundled node, once, into the cache.
//!
//! Each module under `xtask/go` is built into a folder keyed by the hash of its module files and of how it is built.
//! `kubernetes/<hash of all>` holds hard links to all programs, and `kubernetes/current` points at it. A program appears
//! there whole or not at all, and as soon as it is built, in the order of [`MODULES`].

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::{paths, shell, ui};

/// A Go module of ours and what is built from it.
struct Module {
    /// Folder under `xtask/go`.
    folder: &'static str,
    /// Linker settings that stamp the version. Unstamped programs call themselves `v0.0.0-master`, which version checks
    /// of Helm charts refuse.
    stamps: &'static [&'static str],
    /// File name and Go package of each program.
    programs: &'static [(&'static str, &'static str)],
}

/// In the order in which they are needed: tests without a kubelet need only the first three programs.
const MODULES: [Module; 4] = [
    Module {
        folder: "kubernetes",
        stamps: &[
            "k8s.io/component-base/version.gitVersion=v1.35.4",
            "k8s.io/component-base/version.gitMajor=1",
            "k8s.io/component-base/version.gitMinor=35",
            "k8s.io/client-go/pkg/version.gitVersion=v1.35.4",
            "k8s.io/client-go/pkg/version.gitMajor=1",
            "k8s.io/client-go/pkg/version.gitMinor=35",
        ],
        programs: &[
            ("etcd", "go.etcd.io/etcd/server/v3"),
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
            ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
            ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
            ("coredns", "github.com/coredns/coredns"),
        ],
    },
    Module {
        folder: "local-path-provisioner",
        stamps: &["main.VERSION=v0.0.30"],
        programs: &[("local-path-provisioner", "github.com/rancher/local-path-provisioner")],
    },
    Module {
        folder: "metrics-server",
        stamps: &["sigs.k8s.io/metrics-server/pkg/version.gitVersion=v0.9.0"],
        programs: &[("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server")],
    },
    Module {
        folder: "helm",
        stamps: &[
            "helm.sh/helm/v3/internal/version.version=v3.22.0",
            // What `helm template` and `helm lint` take the cluster for.
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=35",
        ],
        programs: &[("helm", "helm.sh/helm/v3/cmd/helm")],
    },
];

/// Every program, by file name.
pub(super) fn programs() -> impl Iterator<Item = &'static str> {
    MODULES.iter().flat_map(|module| module.programs).map(|(name, _)| *name)
}

/// Builds what is missing; from nothing that takes about ten minutes on two cores. A second run that finds a first one at work waits for it.
pub(super) fn build() -> anyhow::Result<()> {
    if std::env::var_os("PORTICO_KUBERNETES_BIN").is_some_and(|folder| !folder.is_empty()) {
        return Ok(());
    }
    let cache = paths::cache()?;
    let keys = MODULES.iter().map(Module::key).collect::<anyhow::Result<Vec<_>>>()?;
    let all = cache.join("kubernetes").join(hash(keys.iter().map(String::as_bytes)));
    if points_at(&cache.join("kubernetes/current"), &all) && programs().all(|program| all.join(program).is_file()) {
        return Ok(());
    }
    fs::create_dir_all(&all)?;
    let _lock = lock(&cache.join("kubernetes/lock"))?;
    ui::say("building Kubernetes programs from source, once: all of them take about ten minutes on two cores");
    point_at(&cache.join("kubernetes/current"), &all)?;
    for (module, key) in MODULES.iter().zip(&keys) {
        let folder = cache.join("go").join(format!("{}-{key}", module.folder));
        fs::create_dir_all(&folder)?;
        for (name, package) in module.programs {
            module.program(&folder, name, package)?;
            link(&folder.join(name), &all.join(name))?;
        }
    }
    Ok(())
}

impl Module {
    fn source(&self) -> PathBuf {
        paths::repository().join("xtask/go").join(self.folder)
    }

    /// The hash of all that the result depends on.
    fn key(&self) -> anyhow::Result<String> {
        let mut parts = Vec::new();
        for name in ["go.mod", "go.sum"] {
            let path = self.source().join(name);
            parts.push(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        }
        parts.push(self.linker_flags().into_bytes());
        Ok(hash(parts.iter().map(Vec::as_slice)))
    }

    /// Leaves out symbol tables, and stamps the version.
    fn linker_flags(&self) -> String {
        let stamps = self.stamps.iter().flat_map(|stamp| ["-X", stamp]);
        ["-s", "-w"].into_iter().chain(stamps).collect::<Vec<_>>().join(" ")
    }

    fn program(&self, folder: &Path, name: &str, package: &str) -> anyhow::Result<()> {
        let program = folder.join(name);
        if program.is_file() {
            return Ok(());
        }
        ui::step(format!("build {name}"), || {
            let unfinished = folder.join(format!(".{name}"));
            let mut command = shell::command("go", ["build", "-trimpath", "-ldflags", &self.linker_flags(), "-o"]);
            command.arg(&unfinished).arg(package).current_dir(self.source());
            // With cgo the programs are dynamic, and do not start in an image that holds nothing else.
            command.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly").env_remove("GOBIN");
            shell::capture(&mut command)?;
            fs::rename(&unfinished, &program).with_context(|| format!("cannot keep {}", program.display()))
        })
    }
}

/// The first 16 hexadecimal digits of SHA-256 over the parts, each led by its length.
fn hash<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let first = digest.finalize().iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    format!("{first:016x}")
}

/// Held until the file is dropped.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        ui::say("another run is building the Kubernetes programs: waiting for it");
        file.lock()?;
    }
    Ok(file)
}

fn points_at(link: &Path, target: &Path) -> bool {
    fs::read_link(link).is_ok_and(|found| Some(found.as_os_str()) == target.file_name())
}

/// Replaces the link in one step, so that nobody finds it missing.
fn point_at(link: &Path, target: &Path) -> anyhow::Result<()> {
    if points_at(link, target) {
        return Ok(());
    }
    let unfinished = link.with_extension("new");
    remove(&unfinished)?;
    std::os::unix::fs::symlink(target.file_name().context("a folder of programs has a name")?, &unfinished)?;
    fs::rename(&unfinished, link).with_context(|| format!("cannot point {} at {}", link.display(), target.display()))
}

fn link(program: &Path, at: &Path) -> anyhow::Result<()> {
    if at.is_file() {
        return Ok(());
    }
    remove(at)?;
    fs::hard_link(program, at).with_context(|| format!("cannot link {} to {}", at.display(), program.display()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_changes_with_every_part_and_with_their_borders() {
        let key = |parts: &[&str]| hash(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_ne!(key(&["a", "b"]), key(&["ab", ""]));
        assert_ne!(key(&["a", "b"]), key(&["a", "c"]));
        assert_eq!(key(&["a"]).len(), 16);
    }

    #[test]
    fn every_module_has_its_files_and_stamps() {
        for module in &MODULES {
            assert!(module.key().is_ok(), "{} lacks go.mod or go.sum", module.folder);
            assert!(module.linker_flags().contains("-s -w -X "), "{} is not stamped", module.folder);
        }
    }

    #[test]
    fn the_stamped_versions_are_the_required_ones() {
        for (folder, module, version) in [
            ("kubernetes", "k8s.io/kubernetes", "v1.35.4"),
            ("metrics-server", "sigs.k8s.io/metrics-server", "v0.9.0"),
            ("local-path-provisioner", "github.com/rancher/local-path-provisioner", "v0.0.30"),
            ("helm", "helm.sh/helm/v3", "v3.22.0"),
        ] {
            let found = MODULES.iter().find(|found| found.folder == folder).unwrap();
            let text = fs::read_to_string(found.source().join("go.mod")).unwrap();
            assert!(
                text.contains(&format!("{module} {version}")),
                "{folder}/go.mod does not require {module} {version}"
            );
            assert!(found.linker_flags().contains(version), "{folder} is stamped with another version than {version}");
        }
    }

    #[test]
    fn the_link_is_replaced_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("current");
        for target in ["one", "two", "two"] {
            point_at(&link, &folder.path().join(target)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap().to_str(), Some(target));
        }
    }
}
