//! The command line: what there is, and who does it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cluster::bundled::{launch, node};
use crate::cluster::provider::Provider;
use crate::cluster::{self, ClusterName, ProviderKind};
use crate::{bench, e2e, forward, generate, images, ladder, network_policy, setup, tidy, ui, up};

/// The project's own commands. Start with `cargo xtask up`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The cluster to act on; default: `portico`, and `portico-test` for the tests.
    #[arg(long, global = true)]
    cluster: Option<ClusterName>,
    /// Who runs the cluster; default: kind where Docker answers, else the bundled node.
    #[arg(long, global = true)]
    provider: Option<ProviderKind>,
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Brings up the whole platform on this machine and prints its URL.
    Up,
    /// Removes all of it: processes, mounts, interfaces and data.
    Down {
        /// Keep every object and volume for a later `up`.
        #[arg(long)]
        keep_data: bool,
    },
    /// Runs every test there is, the end-to-end tests on a fresh cluster of their own.
    Test {
        /// Only what needs no cluster.
        #[arg(long)]
        fast: bool,
    },
    /// Runs the end-to-end tests on a fresh cluster of their own.
    E2e {
        /// Use the cluster as it is, and leave it there.
        #[arg(long)]
        keep: bool,
        /// Only tests whose name contains one of these.
        #[arg(last = true)]
        filters: Vec<String>,
    },
    /// Measures, with release builds; results go to `tests/bench/results`.
    Bench,
    /// Installs and builds all that the other commands need.
    Setup,
    /// Says what is missing and how to mend it.
    Doctor,
    /// Starts, stops and looks into a cluster without installing Portico on it.
    #[command(subcommand)]
    Cluster(ClusterAction),
    /// Prints the path of the cluster's kubeconfig.
    Kubeconfig,
    /// Builds the images.
    Images(images::Arguments),
    /// Writes every committed file that follows from the code.
    Gen {
        /// Only say which files are stale.
        #[arg(long)]
        check: bool,
    },
    /// Checks the arrows between crates, the sizes of files and functions, and the generated files.
    Tidy,
    /// The bundled node, before its namespaces are made.
    #[command(hide = true)]
    NodeLaunch,
    /// The bundled node's first process.
    #[command(hide = true)]
    Node,
    /// A loopback port that leads to a service.
    #[command(hide = true)]
    Forward {
        #[arg(long)]
        service: String,
        #[arg(long)]
        port: u16,
    },
    /// The bundled node's enforcer of network policies.
    #[command(hide = true)]
    NetworkPolicy {
        #[arg(long)]
        kubeconfig: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ClusterAction {
    /// Starts the cluster and waits until it is ready.
    Start,
    /// Stops it and keeps its data.
    Stop,
    /// Says whether it runs.
    Status,
    /// Prints the log of a component, such as kubelet.
    Logs { component: String },
    /// Runs a command inside the node; a shell when none is given.
    Shell {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

/// The cluster that commands act on unless another is named.
const DEFAULT_CLUSTER: &str = "portico";

impl Cli {
    fn name(&self, default: &str) -> anyhow::Result<ClusterName> {
        self.cluster.clone().map_or_else(|| default.parse().map_err(anyhow::Error::msg), Ok)
    }

    fn cluster(&self, default: &str) -> anyhow::Result<Box<dyn Provider>> {
        cluster::cluster(&self.name(default)?, self.provider)
    }
}

/// Does what was asked for.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let name = || cli.name(DEFAULT_CLUSTER);
    let cluster = || cli.cluster(DEFAULT_CLUSTER);
    match &cli.command {
        Action::Up => up::up(cluster()?.as_ref(), &name()?)?,
        Action::Down { keep_data } => up::down(cluster()?.as_ref(), &name()?, *keep_data)?,
        Action::Test { fast } => ladder::run(cli.cluster(e2e::CLUSTER)?.as_ref(), *fast)?,
        Action::E2e { keep, filters } => e2e::run(cli.cluster(e2e::CLUSTER)?.as_ref(), *keep, filters)?,
        Action::Bench => bench::run(cli.cluster(bench::CLUSTER)?.as_ref())?,
        Action::Setup => setup::setup()?,
        Action::Doctor => setup::doctor()?,
        Action::Cluster(action) => return on_cluster(action, cluster()?.as_ref()),
        Action::Kubeconfig => ui::result(cluster()?.kubeconfig().display()),
        Action::Images(arguments) => images::command(*arguments)?,
        Action::Gen { check } => generate::command(*check)?,
        Action::Tidy => tidy::command()?,
        Action::NodeLaunch => launch::enter(&name()?)?,
        Action::Node => node::run(&name()?)?,
        Action::Forward { service, port } => forward::run(cluster()?.as_ref(), service, *port)?,
        Action::NetworkPolicy { kubeconfig } => cluster::bundled::block_on(network_policy::run(kubeconfig))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn on_cluster(action: &ClusterAction, cluster: &dyn Provider) -> anyhow::Result<ExitCode> {
    match action {
        ClusterAction::Start => cluster.start()?,
        ClusterAction::Stop => {
            forward::close(cluster)?;
            cluster.stop(true)?;
        }
        ClusterAction::Status => ui::result(cluster.status()?),
        ClusterAction::Logs { component } => ui::result(cluster.logs(component)?),
        ClusterAction::Shell { command } => {
            let shell = ["bash".to_owned()];
            let command = if command.is_empty() { shell.as_slice() } else { command };
            let code = cluster.run_inside(command)?.code().and_then(|code| u8::try_from(code).ok());
            return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tests_never_touch_the_cluster_of_up() {
        let cli = Cli::parse_from(["xtask", "test"]);
        assert_eq!(cli.name(e2e::CLUSTER).unwrap().to_string(), "portico-test");
        let named = Cli::parse_from(["xtask", "e2e", "--cluster", "mine", "--", "login"]);
        assert_eq!(named.name(e2e::CLUSTER).unwrap().to_string(), "mine");
    }

    #[test]
    fn a_command_for_the_node_keeps_its_own_flags() {
        let cli = Cli::parse_from(["xtask", "cluster", "shell", "--cluster", "mine", "ls", "-la"]);
        let Action::Cluster(ClusterAction::Shell { command }) = cli.command else { panic!("another command") };
        assert_eq!(command, ["ls", "-la"]);
    }
}
