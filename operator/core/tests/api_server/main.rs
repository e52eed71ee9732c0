//! The machinery against a real API server (etcd and kube-apiserver, no node).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod applier;
mod lease;
mod runner;
mod server;
