//! The admin ports of the engines: what the operator does inside an instance for its consumers. One module an engine,
//! all behind [`AdminPort`].
//!
//! Every call is bounded by [`DEADLINE`], may be repeated at any time, and never puts a secret into an error. Nothing
//! here knows Kubernetes, decides when something happens, or keeps a connection between two calls.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

pub mod certificate;
pub mod dynamodb;
pub mod endpoint;
mod engines;
pub mod error;
pub mod garage;
mod http;
pub mod mariadb;
pub mod postgresql;
pub mod rabbitmq;
mod sigv4;
pub mod tls;
pub mod valkey;

use async_trait::async_trait;
use std::time::Duration;

pub use certificate::{CertificateProbe, Handshake, TlsServer};
pub use endpoint::{Endpoint, Login, Space, Table, TableKey};
pub use engines::Engines;
pub use error::AdminError;
pub use sigv4::Clock;

/// The most time that one call may take.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// What the operator does inside a running instance.
///
/// A [`Space`] is what one consumer has for itself: a database, a virtual host, a key prefix, a bucket. A [`Login`] is a
/// user with all rights inside a space and none outside. While a credential rotates a space has two, whose rights are
/// the same and who may change what the other made.
#[async_trait]
pub trait AdminPort: Send + Sync {
    /// Makes the space if it is not there. What is in it stays.
    async fn ensure_space(&self, space: &Space) -> Result<(), AdminError>;

    /// Makes the login, or makes its password and rights what they should be.
    async fn ensure_login(&self, space: &Space, login: &Login) -> Result<(), AdminError>;

    /// Uses the space with the login, as its consumer would. [`AdminError::Refused`] when the engine does not let it.
    async fn verify(&self, space: &Space, login: &Login) -> Result<(), AdminError>;

    /// How many connections the user has open; `None` for engines without connections.
    async fn sessions(&self, username: &str) -> Result<Option<u64>, AdminError>;

    /// Ends the user's connections and removes it. Good when there is none.
    async fn revoke(&self, space: &Space, username: &str) -> Result<(), AdminError>;

    /// Removes the space with all that is in it. Good when there is none.
    async fn drop_space(&self, space: &Space) -> Result<(), AdminError>;

    /// Makes the engine serve the certificate that is mounted now, without ending connections. Engines that notice by
    /// themselves, and those without TLS, do nothing.
    async fn reload_certificate(&self) -> Result<(), AdminError>;
}

/// Finds the admin port of an instance. A trait so that tests of the controllers need no engine.
pub trait Administration: Send + Sync {
    /// The port of the instance at `endpoint`. Connects only when it is used.
    fn port(&self, endpoint: Endpoint) -> Box<dyn AdminPort>;
}
