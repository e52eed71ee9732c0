//! The identity service: accounts, logins, tokens.
//!
//! `domain` has the rules and knows nothing else; `storage`, `revocations`, `signing_keys` and `hashing` are the means; `identity`
//! joins them into what the service does; `routes` speaks HTTP, one file an endpoint; `app` puts it all together.
//! Passwords, tokens and addresses never reach a log: they are held in types without a debug form.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

pub mod app;
pub mod domain;
pub mod hashing;
pub mod identity;
pub mod metrics;
pub mod revocations;
pub mod routes;
pub mod signing_keys;
pub mod storage;
mod tls;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
