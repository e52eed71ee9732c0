//! Measurements of Portico, printed as a table and kept as JSON.
//!
//! `portico-bench service` measures the auth service alone, on loopback, with a real PostgreSQL and Valkey.
//! `portico-bench platform` measures the operator on the cluster that `KUBECONFIG` names.
//! Both send traffic to this machine only, for a bounded time.

mod http;
mod platform;
mod process;
mod report;
mod service;
mod setting;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::report::Report;

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// Folder for the raw results.
    #[arg(long, default_value = "tests/bench/results", global = true)]
    results: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// The auth service alone: logins against the raw hash rate, latency of other routes, memory, time to ready.
    Service {
        /// Program to measure.
        #[arg(long)]
        program: PathBuf,
        /// Length of each load phase in seconds.
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
    /// The operator on a cluster: apply to first status and to ready, writes of an idle minute, memory.
    Platform {
        /// Audit log of the API server.
        #[arg(long, env = "PORTICO_AUDIT_LOG")]
        audit_log: PathBuf,
        /// How often the sample is applied and deleted.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Runtime::new().context("starting the async runtime")?;
    let report: Report = runtime.block_on(async {
        match cli.what {
            What::Service { program, seconds } => service::measure(&program, Duration::from_secs(seconds)).await,
            What::Platform { audit_log, rounds } => platform::measure(&audit_log, rounds).await,
        }
    })?;
    report.print()?;
    report.save(&cli.results)
}
