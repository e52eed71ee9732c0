//! The Portico operator: command line, log, runtime. What runs is wired in [`wire`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

mod cli;
mod telemetry;
mod wire;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Parser as _;

use crate::cli::{Cli, Command, Options};

/// Two threads are plenty for what waits most of the time; each more would cost memory.
const WORKER_THREADS: usize = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start(cli.options.log_format);
    let result = match cli.command.unwrap_or(Command::Run) {
        Command::Run => run(cli.options),
        Command::Crds => print_crds(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    // Before anything opens a TLS connection: two providers are linked, and none is chosen by itself.
    let chosen = rustls::crypto::aws_lc_rs::default_provider().install_default();
    chosen.map_err(|_| anyhow!("another TLS provider was chosen before; this is a bug"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build();
    runtime.context("cannot start the async runtime")?.block_on(wire::run(options))
}

fn print_crds() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for definition in portico_crds::all() {
        let yaml = serde_saphyr::to_string(&definition).context("a definition cannot be written as YAML")?;
        write!(out, "---\n{yaml}").context("cannot write to standard output")?;
    }
    Ok(())
}
