//! `cargo xtask bench`: the measurements of `tests/bench`, with release builds, on a cluster of their own.

use crate::cluster::provider::Provider;
use crate::images::{self, Profile};
use crate::{cargo, e2e, setup, shell, ui};

/// The cluster that is measured.
pub(crate) const CLUSTER: &str = "portico-bench";

/// Measures the auth service alone, then the operator on a fresh cluster.
pub(crate) fn run(cluster: &dyn Provider) -> anyhow::Result<()> {
    setup::setup()?;
    ui::step("build what is measured", || {
        cargo::run(&["build", "--release", "--package", "auth-service", "--package", "portico-bench"])
    })?;
    let program = target_folder()?.join("release/auth-service");
    let bench = |arguments: &[&str]| {
        cargo::command(&[&["run", "--quiet", "--release", "--package", "portico-bench", "--"], arguments].concat())
    };
    ui::step("measure the auth service", || shell::run(bench(&["service", "--program"]).arg(program)))?;
    let images = ui::step("build the images", || images::platform_images(Profile::Release))?;
    e2e::on_cluster(cluster, false, &images, || {
        ui::step("measure the operator", || shell::run(&mut e2e::with_cluster(bench(&["platform"]), cluster)))
    })
}

/// Cargo's own answer: the folder may come from the environment or from a configuration file.
fn target_folder() -> anyhow::Result<std::path::PathBuf> {
    let metadata = shell::capture(&mut cargo::command(&["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let folder = metadata["target_directory"].as_str();
    folder.map(Into::into).ok_or_else(|| anyhow::anyhow!("cargo metadata names no target folder"))
}
