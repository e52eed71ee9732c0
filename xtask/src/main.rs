//! The project's own commands: up, down, test, gen, images, cluster, doctor, bench, tidy.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

mod bench;
mod cargo;
mod cli;
mod cluster;
mod e2e;
mod forward;
mod generate;
mod images;
mod ladder;
mod network_policy;
mod paths;
mod platform;
mod poll;
mod setup;
mod shell;
mod tidy;
mod ui;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // Whoever uses TLS below finds one provider, whatever features a dependency turned on.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    match cli::run(&cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            ui::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
