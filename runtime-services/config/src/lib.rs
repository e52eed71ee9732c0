//! The typed configuration of every runtime service: the operator renders it, the service reads it.
//!
//! Types and their rules only. No file is read here, no environment is looked at, and no secret is ever a field:
//! secrets live in binding folders and key folders, of which the configuration names only the paths.
//!
//! Every struct refuses unknown fields, so that a typing error in a hand-written file is reported and not ignored.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

mod auth_service;
mod common;
mod problem;

pub use auth_service::{
    AuthServiceConfig, CacheConfig, DEFAULT_KEY_CACHE_SECONDS, DatabaseConfig, PasswordsConfig, TokensConfig,
};
pub use common::{LogConfig, LogLevel, ServerConfig};
pub use problem::{ConfigProblem, ConfigProblems};
