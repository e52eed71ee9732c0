//! The controllers: one folder a kind, each the same pipeline.
//!
//! `inputs` is the only step that reads other objects; `validate` and `build` are pure, every failure lives in the
//! former and the latter returns no `Result`; applying and publishing are done by `portico-operator-core`. The two
//! instance kinds differ only in their specs, so they share one pipeline in [`instance`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

pub mod auth_service;
pub mod cache_instance;
pub mod database_instance;
pub mod instance;
pub mod platform;
mod pods;
mod rbac;
#[cfg(test)]
mod testing;
mod verdict;

pub use auth_service::AuthServiceController;
pub use auth_service::probe::{DependencyProbe, FailingCheck, HttpProbe};
pub use cache_instance::CacheInstanceController;
pub use database_instance::DatabaseInstanceController;
pub use platform::{Images, Platform};
pub use rbac::{lease_rules, rbac_rules};

use portico_operator_core::run::Registration;
use std::sync::Arc;

/// All controllers, ready to run.
pub fn registrations(platform: Platform, probe: Arc<dyn DependencyProbe>) -> Vec<Registration> {
    let platform = Arc::new(platform);
    vec![
        Registration::new(AuthServiceController::new(Arc::clone(&platform), probe)),
        Registration::new(DatabaseInstanceController::new(Arc::clone(&platform))),
        Registration::new(CacheInstanceController::new(platform)),
    ]
}
