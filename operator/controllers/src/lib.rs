//! The controllers: one folder a kind, each the same pipeline.
//!
//! `inputs` is the only step that reads other objects; `validate` and `build` are pure, every failure lives in the
//! former and the latter returns no `Result`; applying and publishing are done by `portico-operator-core`. The two
//! instance kinds differ only in their specs, so they share one pipeline in [`instance`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

pub mod access_grant;
pub mod auth_service;
pub mod broker_instance;
pub mod cache_instance;
pub mod database_instance;
pub mod graph;
pub mod instance;
pub mod object_store;
pub mod platform;
mod pods;
mod rbac;
#[cfg(test)]
mod testing;
mod verdict;

pub use access_grant::AccessGrantController;
pub use auth_service::AuthServiceController;
pub use auth_service::probe::{DependencyProbe, FailingCheck, HttpProbe};
pub use broker_instance::BrokerInstanceController;
pub use cache_instance::CacheInstanceController;
pub use database_instance::DatabaseInstanceController;
pub use object_store::ObjectStoreController;
pub use platform::{Images, Platform};
pub use rbac::{lease_rules, rbac_rules};

use portico_operator_admin::{Administration, CertificateProbe};
use portico_operator_core::run::Registration;
use std::sync::Arc;

/// How the controllers reach what runs: pods that say what they lack, and engines.
#[derive(Clone)]
pub struct Reach {
    /// Asks unready pods.
    pub probe: Arc<dyn DependencyProbe>,
    /// Finds the admin ports of engines.
    pub administration: Arc<dyn Administration>,
    /// Asks engines for their certificates.
    pub certificates: Arc<dyn CertificateProbe>,
}

/// All controllers, ready to run.
pub fn registrations(platform: Platform, reach: Reach) -> Vec<Registration> {
    let platform = Arc::new(platform);
    vec![
        Registration::new(AuthServiceController::new(Arc::clone(&platform), Arc::clone(&reach.probe))),
        Registration::new(DatabaseInstanceController::new(Arc::clone(&platform), reach.clone())),
        Registration::new(CacheInstanceController::new(Arc::clone(&platform), reach.clone())),
        Registration::new(BrokerInstanceController::new(Arc::clone(&platform), reach.clone())),
        Registration::new(ObjectStoreController::new(platform, reach.clone())),
        Registration::new(AccessGrantController::new(reach.administration)),
    ]
}
