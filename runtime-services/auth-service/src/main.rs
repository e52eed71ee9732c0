//! `auth-service`: the command line.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use auth_service::{
    app::{self, Surroundings},
    routes,
};
use clap::{Parser, Subcommand};
use portico_service_config::AuthServiceConfig;
use portico_service_kit::{clock::SystemClock, config, lifecycle, rng::SystemRng, telemetry};

/// The crates whose log level the configuration sets.
const OWN: [&str; 3] = ["auth_service", "portico_service_kit", "portico_token"];

/// The identity service: accounts, logins, tokens.
#[derive(Debug, Parser)]
#[command(name = "auth-service", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service until SIGTERM.
    Serve {
        /// The configuration, YAML.
        #[arg(long, value_name = "PATH")]
        config: PathBuf,
    },
    /// Prints the OpenAPI document of the API.
    Openapi,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve { config } => serve(&config),
        Command::Openapi => print_document(),
    }
}

#[tokio::main]
async fn serve(path: &Path) -> anyhow::Result<()> {
    // Before anything could open a TLS connection: one provider for the whole process.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider was installed before");
    }
    let config: AuthServiceConfig = config::load(path)?;
    telemetry::init(config.log.level, &OWN)?;
    let stop = lifecycle::stop_on_signal().context("cannot handle signals")?;
    let surroundings = Surroundings { clock: Arc::new(SystemClock), rng: Arc::new(SystemRng) };
    app::start(&config, surroundings, stop).await?.finished().await;
    tracing::info!("stopped");
    Ok(())
}

fn print_document() -> anyhow::Result<()> {
    let document = routes::document().to_pretty_json()?;
    writeln!(io::stdout(), "{document}").context("cannot write")
}
