//! The controllers against a real etcd and API server: rules, defaults, Pod Security, access rights, faults. There is no
//! kubelet and no controller manager, so the tests play them: they set the status of workloads and collect garbage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod certificates;
mod engines;
mod faults;
mod lifecycle;
mod reconcile;
mod rules;
mod runner;
mod world;
