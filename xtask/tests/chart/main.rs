//! The Helm chart: what it renders, judged by Helm and by a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod access;
mod definitions;
mod pods;
mod render;
mod values;
