//! The end-to-end tests, on a cluster of their own.

use std::process::Command;

use crate::cluster::provider::Provider;
use crate::images::{self, PlatformImages, Profile};
use crate::{cargo, platform, shell, ui};

/// The cluster of the tests, so that a running `up` is not disturbed.
pub(crate) const CLUSTER: &str = "portico-test";

/// The test programs and how many of their tests run at once: those of the second disturb the operator itself.
const PROGRAMS: [(&str, &str); 2] = [("platform", "4"), ("operator", "1")];

/// Runs the tests whose name contains one of `filters`, all when there is none.
///
/// Starts from an empty cluster and removes it, whatever the tests say. With `keep`, the cluster is used as it is and
/// stays.
pub(crate) fn run(cluster: &dyn Provider, keep: bool, filters: &[String]) -> anyhow::Result<()> {
    let images = ui::step("build the images", || images::platform_images(Profile::Dev))?;
    // Before there is a cluster that waits for them.
    ui::step("build the end-to-end tests", || shell::run(&mut build_command()))?;
    on_cluster(cluster, keep, &images, || {
        ui::step("the API server accepts every manifest", || platform::check_manifests(cluster))?;
        PROGRAMS.iter().try_for_each(|(program, threads)| {
            ui::step(format!("end-to-end tests: {program}"), || {
                let tests = test_command(program, threads, filters);
                shell::run(&mut with_cluster(tests, cluster))
            })
        })
    })
}

/// Does `work` on a cluster with Portico installed, and removes the cluster afterwards.
pub(crate) fn on_cluster(
    cluster: &dyn Provider,
    keep: bool,
    images: &PlatformImages,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if !keep {
        cluster.stop(false)?;
    }
    let outcome = cluster.start().and_then(|()| {
        let outcome = platform::install(cluster, images).and_then(|()| work());
        outcome.inspect_err(|_| ui::say(platform::diagnosis(cluster)))
    });
    if keep {
        ui::say("the cluster stays; remove it by `cargo xtask down --cluster` and its name");
        return outcome;
    }
    let stopped = ui::step("remove the cluster", || cluster.stop(false));
    // What the tests said comes first.
    outcome.and(stopped)
}

fn build_command() -> Command {
    let mut command = cargo::command(&["test", "--no-run"]);
    command.args(PROGRAMS.iter().flat_map(|(program, _)| ["--test", program]));
    command
}

fn test_command(program: &str, threads: &str, filters: &[String]) -> Command {
    let mut command = cargo::command(&["test", "--test", program, "--"]);
    command.arg(format!("--test-threads={threads}")).args(filters);
    command
}

/// Tells a program of ours which cluster it works on.
pub(crate) fn with_cluster(mut command: Command, cluster: &dyn Provider) -> Command {
    command.env("KUBECONFIG", cluster.kubeconfig());
    if let Some(log) = cluster.audit_log() {
        command.env("PORTICO_AUDIT_LOG", log);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_reach_the_test_program() {
        let line = shell::line(&test_command("platform", "4", &["login".to_owned()]));
        assert!(line.ends_with("test --test platform -- --test-threads=4 login"), "{line}");
    }
}
