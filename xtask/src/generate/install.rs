//! `manifests/install.yaml`: the chart with its defaults, for whoever installs without Helm.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::{Files, yaml};
use crate::{paths, shell};

/// The manifest.
pub(super) const FILE: &str = "manifests/install.yaml";
/// The chart's folder.
const CHART: &str = "charts/portico";
/// Templates may ask for the version of the cluster; the answer must not depend on the Helm that is used.
const KUBERNETES: &str = "1.33.0";

/// Helm makes no namespace when it renders, and the operator's has to exist before anything in it.
const NAMESPACE: &str = "apiVersion: v1
kind: Namespace
metadata:
  name: portico-system
  labels:
    app.kubernetes.io/part-of: portico
    pod-security.kubernetes.io/enforce: restricted
";

/// Renders the chart as it will be once `files` are written.
pub(super) fn manifest(files: &Files) -> anyhow::Result<String> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let chart = folder.path().join("portico");
    copy(&paths::repository().join(CHART), &chart)?;
    for (path, content) in files {
        if let Ok(inside) = path.strip_prefix(CHART) {
            let target = chart.join(inside);
            std::fs::create_dir_all(target.parent().unwrap_or(&chart))?;
            std::fs::write(target, content)?;
        }
    }
    let helm = paths::kubernetes_programs()?.join("helm");
    anyhow::ensure!(helm.is_file(), "{} is missing: run `cargo xtask setup`", helm.display());
    let mut command = Command::new(helm);
    command
        .args(["template", "portico"])
        .arg(&chart)
        .args(["--namespace", "portico-system", "--kube-version", KUBERNETES])
        // Whatever the person's own Helm is set to stays out of it.
        .env("HELM_CONFIG_HOME", folder.path())
        .env("HELM_CACHE_HOME", folder.path())
        .env("HELM_DATA_HOME", folder.path())
        .env_remove("KUBECONFIG");
    let rendered = shell::capture(&mut command)?;
    Ok(yaml::headed(&format!("{NAMESPACE}{rendered}")))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    let entries = std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
