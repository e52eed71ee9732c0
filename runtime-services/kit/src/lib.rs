//! What every runtime service shares: configuration loading, bindings, mounted files, telemetry, metrics, lifecycle, the HTTP stack,
//! problem+json, health, clock and randomness.
//!
//! The kit knows no service: nothing here names a route, a table or a claim. Time and randomness are read only in
//! [`clock`] and [`rng`], so that everything else can be tested at any hour.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

pub mod binding;
pub mod clock;
pub mod config;
pub mod files;
pub mod health;
pub mod json;
pub mod lifecycle;
pub mod metrics;
pub mod problem;
pub mod request;
pub mod rng;
pub mod server;
pub mod stack;
pub mod telemetry;

pub use problem::Problem;
