//! The command line: what there is, and who does it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cluster::bundled::{launch, node};
use crate::cluster::{self, ClusterName, ProviderKind};
use crate::{generate, images, network_policy, setup, tidy, ui};

/// The project's own commands. Start with `cargo xtask up`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The cluster to act on.
    #[arg(long, global = true, default_value = "portico")]
    cluster: ClusterName,
    /// Who runs the cluster; default: kind where Docker answers, else the bundled node.
    #[arg(long, global = true)]
    provider: Option<ProviderKind>,
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
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
    Shell { command: Vec<String> },
}

/// Does what was asked for.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let cluster = || cluster::cluster(&cli.cluster, cli.provider);
    match cli.command {
        Action::Setup => setup::setup()?,
        Action::Doctor => setup::doctor()?,
        Action::Cluster(action) => return on_cluster(action, cluster()?.as_ref()),
        Action::Kubeconfig => ui::result(cluster()?.kubeconfig().display()),
        Action::Images(arguments) => images::command(arguments)?,
        Action::Gen { check } => generate::command(check)?,
        Action::Tidy => tidy::command()?,
        Action::NodeLaunch => launch::enter(&cli.cluster)?,
        Action::Node => node::run(&cli.cluster)?,
        Action::NetworkPolicy { kubeconfig } => cluster::bundled::block_on(network_policy::run(&kubeconfig))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn on_cluster(action: ClusterAction, cluster: &dyn cluster::provider::Provider) -> anyhow::Result<ExitCode> {
    match action {
        ClusterAction::Start => cluster.start()?,
        ClusterAction::Stop => cluster.stop(true)?,
        ClusterAction::Status => ui::result(cluster.status()?),
        ClusterAction::Logs { component } => ui::result(cluster.logs(&component)?),
        ClusterAction::Shell { command } => {
            let command = if command.is_empty() { vec!["bash".to_owned()] } else { command };
            let code = cluster.run_inside(&command)?.code().and_then(|code| u8::try_from(code).ok());
            return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
        }
    }
    Ok(ExitCode::SUCCESS)
}
