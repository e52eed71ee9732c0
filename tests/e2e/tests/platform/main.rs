//! What the platform promises to those who use it. Each test has a namespace of its own; four run at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod autoscaling;
mod conflict;
mod deletion;
mod dependencies;
mod edit;
mod external;
mod instances;
mod invalid;
mod isolation;
mod login;
mod network_policy;
mod paused;
mod repair;
mod replicas;
mod restart;
mod signing_keys;
