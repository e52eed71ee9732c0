//! kind on Docker, thin: every action is one or two command lines, which are built by pure functions.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context as _;

use super::ClusterName;
use super::provider::Provider;
use crate::images::ImageArchive;
use crate::{paths, shell, ui};

/// Whether a Docker daemon answers.
pub(crate) fn docker_answers() -> bool {
    let mut command = shell::command("docker", ["version", "--format", "{{.Server.Version}}"]);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A cluster of kind's.
pub(crate) struct Kind {
    name: String,
    /// Below the cache, because the data of a kind cluster is Docker's.
    folder: PathBuf,
}

impl Kind {
    pub(crate) fn new(name: &ClusterName) -> anyhow::Result<Self> {
        let name = name.to_string();
        Ok(Self { folder: paths::cache()?.join("kind").join(&name), name })
    }

    fn node(&self) -> String {
        format!("{}-control-plane", self.name)
    }

    fn create(&self) -> Vec<String> {
        let config = paths::repository().join("kind-config.yaml");
        let wait = "--wait=180s".to_owned();
        words(
            &[
                "create",
                "cluster",
                "--name",
                &self.name,
                "--config",
                &path(&config),
                "--kubeconfig",
                &path(&self.kubeconfig()),
            ],
            wait,
        )
    }

    fn delete(&self) -> Vec<String> {
        words(&["delete", "cluster", "--name", &self.name, "--kubeconfig"], path(&self.kubeconfig()))
    }

    fn load(&self, archive: &Path) -> Vec<String> {
        words(&["load", "image-archive", "--name", &self.name], path(archive))
    }

    /// Keeps the containers: kind starts them again with their data.
    fn docker(&self, action: &str) -> Vec<String> {
        words(&[action], self.node())
    }

    fn inside(&self, command: &[String]) -> Vec<String> {
        let mut all = words(&["exec", "--interactive"], self.node());
        all.extend_from_slice(command);
        all
    }

    fn images(&self) -> Vec<String> {
        self.inside(&["ctr", "--namespace", "k8s.io", "images", "list", "--quiet"].map(str::to_owned))
    }

    fn exists(&self) -> anyhow::Result<bool> {
        let clusters = shell::capture(&mut shell::command("kind", ["get", "clusters"]))
            .context("kind is not there: install it from https://kind.sigs.k8s.io, or use `--provider bundled`")?;
        Ok(clusters.lines().any(|line| line == self.name))
    }
}

fn words(first: &[&str], last: String) -> Vec<String> {
    first.iter().map(|&word| word.to_owned()).chain([last]).collect()
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Provider for Kind {
    fn start(&self) -> anyhow::Result<()> {
        if self.exists()? {
            if self.is_running() {
                ui::say(format_args!("kind cluster {} runs already", self.name));
                return Ok(());
            }
            return shell::run(&mut shell::command("docker", self.docker("start")));
        }
        std::fs::create_dir_all(&self.folder)?;
        ui::step(format!("create the kind cluster {}", self.name), || {
            shell::run(&mut shell::command("kind", self.create()))
        })
    }

    fn stop(&self, keep_data: bool) -> anyhow::Result<()> {
        if keep_data {
            return shell::capture(&mut shell::command("docker", self.docker("stop"))).map(drop);
        }
        shell::run(&mut shell::command("kind", self.delete()))?;
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }

    fn load_images(&self, images: &[&ImageArchive]) -> anyhow::Result<()> {
        let known = shell::capture(&mut shell::command("docker", self.images()))?;
        for image in images.iter().filter(|image| !known.lines().any(|line| line == image.reference)) {
            shell::capture(&mut shell::command("kind", self.load(&image.path)))?;
        }
        Ok(())
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    fn audit_log(&self) -> Option<PathBuf> {
        None
    }

    fn run_inside(&self, command: &[String]) -> anyhow::Result<ExitStatus> {
        Ok(Command::new("docker").args(self.inside(command)).status()?)
    }

    fn status(&self) -> anyhow::Result<String> {
        let state = match (self.exists()?, self.is_running()) {
            (false, _) => "not there",
            (true, true) => "running (kind)",
            (true, false) => "stopped (kind)",
        };
        Ok(format!("{}: {state}", self.name))
    }

    fn is_running(&self) -> bool {
        let format = "{{.State.Running}}";
        let state = shell::capture(&mut shell::command("docker", ["inspect", "--format", format, &self.node()]));
        state.is_ok_and(|state| state.trim() == "true")
    }

    fn logs(&self, component: &str) -> anyhow::Result<String> {
        let command = match component {
            "kubelet" | "containerd" => {
                vec!["journalctl".to_owned(), "--no-pager".to_owned(), format!("--unit={component}")]
            }
            _ => words(&["sh", "-c"], format!("cat /var/log/containers/{component}-*.log")),
        };
        shell::capture(&mut shell::command("docker", self.inside(&command)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> Kind {
        Kind { name: "demo".to_owned(), folder: "/cache/kind/demo".into() }
    }

    #[test]
    fn a_cluster_is_created_from_the_repositorys_file_with_a_kubeconfig_of_its_own() {
        let config = paths::repository().join("kind-config.yaml");
        let line = kind().create().join(" ");
        let expected = "create cluster --name demo --config {} --kubeconfig /cache/kind/demo/kubeconfig --wait=180s";
        assert_eq!(line, expected.replace("{}", &path(&config)));
    }

    #[test]
    fn command_lines() {
        let kind = kind();
        assert_eq!(kind.delete().join(" "), "delete cluster --name demo --kubeconfig /cache/kind/demo/kubeconfig");
        assert_eq!(kind.load(Path::new("/i.tar")).join(" "), "load image-archive --name demo /i.tar");
        assert_eq!(kind.docker("stop").join(" "), "stop demo-control-plane");
        assert_eq!(
            kind.images().join(" "),
            "exec --interactive demo-control-plane ctr --namespace k8s.io images list --quiet"
        );
    }
}
