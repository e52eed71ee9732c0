//! Uses an engine through a mounted binding as a consumer would: for tests of what consumers see while credentials and
//! certificates are replaced, and while things go wrong.
//!
//! It knows nothing of the operator: the binding (servicebinding.io) says everything. Nothing secret is printed.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

mod binding;
mod certificate;
mod cli;
mod engine;
mod follow;
mod load;
mod report;

use std::process::ExitCode;

use clap::Parser as _;

use self::cli::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    // Fails when somebody was first, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli::run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
