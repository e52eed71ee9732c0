//! `cargo xtask bench`: the measurements of `tests/bench`, with release builds, on a cluster of their own.

use crate::cluster::provider::Provider;
use crate::images::{self, Profile};
use crate::{cargo, e2e, paths, setup, shell, ui};

/// The cluster that is measured.
pub(crate) const CLUSTER: &str = "portico-bench";

/// Measures the auth service alone, then the operator on a fresh cluster.
pub(crate) fn run(cluster: &dyn Provider) -> anyhow::Result<()> {
    setup::setup()?;
    ui::step("build what is measured", || {
        // The same programs in the same way as for the images, so that nothing is compiled twice.
        cargo::run(&["build", "--release", "--bin=auth-service", "--bin=portico-operator", "--bin=portico-bench"])
    })?;
    let programs = target_folder()?.join("release");
    let bench = |arguments: &[&str]| {
        let mut command = shell::command(programs.join("portico-bench"), arguments);
        command.current_dir(paths::repository());
        command
    };
    ui::step("measure the auth service", || {
        shell::run(bench(&["service", "--program"]).arg(programs.join("auth-service")))
    })?;
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
