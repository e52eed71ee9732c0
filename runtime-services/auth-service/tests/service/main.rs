//! The service as a client sees it: bound to ports, on real PostgreSQL and Valkey servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod accounts;
mod faults;
mod harness;
mod http;
mod load;
mod logs;
mod mount;
mod process;
mod refreshing;
mod replicas;
mod rotation;
mod signing_keys;
mod tokens;
