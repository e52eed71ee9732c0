//! The end-to-end tests, on a cluster of their own.

use std::fmt::Write as _;
use std::process::Command;

use crate::cluster::provider::Provider;
use crate::images::{self, ImageArchive, PlatformImages, Profile};
use crate::{cargo, platform, shell, ui};

/// The cluster of the tests, so that a running `up` is not disturbed.
pub(crate) const CLUSTER: &str = "portico-test";

/// Most tests, and how many of them run at once.
const PLATFORM: (&str, &str) = ("platform", "4");
/// Those that disturb the operator itself.
const OPERATOR: (&str, &str) = ("operator", "1");
/// Its two tests are run before and after the node was stopped.
const NODE: &str = "node";

/// A folder of the node with small file systems, one a test: for volumes that become full. They are memory.
const SMALL_VOLUMES: &str = "/run/portico-small";
/// Their names, after the engines that use them, and how many MiB they have: about as much again as the engine needs.
const SIZES: [(&str, u32); 9] = [
    ("postgresql", 448),
    ("postgresql-read", 448),
    ("mariadb", 512),
    ("mariadb-read", 512),
    ("valkey", 96),
    ("valkey-read", 96),
    ("rabbitmq", 384),
    ("garage", 128),
    ("dynamodb", 96),
];

/// Runs the tests whose name contains one of `filters`, all when there is none.
///
/// Starts from an empty cluster and removes it, whatever the tests say. With `keep`, the cluster is used as it is and
/// stays.
pub(crate) fn run(cluster: &dyn Provider, keep: bool, filters: &[String]) -> anyhow::Result<()> {
    let images = ui::step("build the images", || images::platform_images(Profile::Dev))?;
    let client = images::load_client()?;
    // Before there is a cluster that waits for them.
    ui::step("build the end-to-end tests", || shell::run(&mut build_command()))?;
    let test = |(program, threads): (&str, &str), filters: &[String]| {
        ui::step(format!("end-to-end tests: {program}"), || {
            let tests = test_command(program, threads, filters);
            shell::run(with_cluster(tests, cluster).env("PORTICO_LOAD_CLIENT_IMAGE", &client.reference))
        })
    };
    on_cluster(cluster, keep, &images, || {
        prepare(cluster, &client)?;
        test(PLATFORM, filters)?;
        if filters.is_empty() || filters.iter().any(|filter| filter == NODE) {
            restart_the_node(cluster, &test)?;
        }
        test(OPERATOR, filters)
    })
}

/// What the tests need beside an installation.
fn prepare(cluster: &dyn Provider, client: &ImageArchive) -> anyhow::Result<()> {
    ui::step("the API server accepts every manifest", || platform::check_manifests(cluster))?;
    ui::step("load the image of the load client", || cluster.load_images(&[client]))?;
    ui::step("mount small volumes", || {
        let status = cluster.run_inside(&["sh".to_owned(), "-c".to_owned(), mount_script()])?;
        anyhow::ensure!(status.success(), "the small volumes cannot be mounted in the node ({status})");
        Ok(())
    })
}

/// Empty ones, also where an earlier run left some.
fn mount_script() -> String {
    let mut script = "set -e; mount() { umount -l \"$1\" 2>/dev/null || true; mkdir -p \"$1\"; \
                      command mount -t tmpfs -o \"size=$2m,mode=0777\" tmpfs \"$1\"; }"
        .to_owned();
    for (name, size) in SIZES {
        // Writing to a string does not fail.
        let _ = write!(script, "; mount {SMALL_VOLUMES}/{name} {size}");
    }
    script
}

/// Stops the whole node as a power failure does, starts it with its data, and looks what became of it.
fn restart_the_node(
    cluster: &dyn Provider,
    test: &impl Fn((&str, &str), &[String]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let phase = |name: &str| test((NODE, "1"), &["--exact".to_owned(), name.to_owned()]);
    phase("before")?;
    ui::step("stop the node, and start it with its data", || {
        cluster.stop(true)?;
        cluster.start()
    })?;
    phase("after")
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
    command.args([PLATFORM.0, OPERATOR.0, NODE].iter().flat_map(|program| ["--test", program]));
    command
}

fn test_command(program: &str, threads: &str, filters: &[String]) -> Command {
    let mut command = cargo::command(&["test", "--test", program, "--"]);
    command.arg(format!("--test-threads={threads}")).args(filters);
    command.env("PORTICO_SMALL_VOLUMES", SMALL_VOLUMES);
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
