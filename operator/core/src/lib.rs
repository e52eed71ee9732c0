//! The reconcile machinery of the operator. It knows Kubernetes and knows no kind of ours.
//!
//! One reconcile runs `inputs → validate → build → apply → status`; this crate brings the two steps that write
//! ([`apply`] and [`status`]) and everything around them: the one controller runner ([`run`]), watches ([`watch`]),
//! back-off, events, metrics, the lease and the health endpoints. A kind implements [`controller::Controller`] and
//! nothing here changes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

pub mod apply;
pub mod backoff;
mod census;
pub mod client;
pub mod clock;
pub mod conditions;
pub mod context;
pub mod controller;
pub mod desired;
pub mod error;
pub mod events;
pub mod finalizer;
mod handover;
pub mod http;
mod json;
pub mod lease;
pub mod metrics;
mod orphans;
pub mod rng;
pub mod run;
pub mod secret;
pub mod status;
mod subset;
pub mod watch;

pub use apply::Applier;
pub use context::Context;
pub use controller::{Controller, Outcome, OwnedKind, Referenced, Referring};
pub use desired::{Applied, Desired, Prepared};
pub use error::{ApiError, ApplyError, Failure, ReconcileError, Retry, Target};

/// The field manager of every server-side apply that the operator makes, of objects and of status.
pub const FIELD_MANAGER: &str = "portico";
