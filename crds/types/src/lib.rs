//! The custom resources of Portico: types, schemas and validation rules.
//!
//! One module a kind; what kinds share is in [`common`]. This crate knows no client and no runtime, so that the
//! operator, the tests and the tools all read the same definitions. Documentation comments on fields become the texts
//! of `kubectl explain`, validation rules run inside the API server.
//!
//! Defaults are documented on each field and applied by the operator, never written into the schema: what stands in
//! Git stays equal to what the API server stores.
#![expect(unreachable_pub, reason = "the derive of KubeSchema repeats each public struct inside a function")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

pub mod access_grant;
pub mod auth_service;
pub mod broker_instance;
pub mod cache_instance;
pub mod common;
pub mod database_instance;
pub mod object_store;
mod schema;

pub use access_grant::AccessGrant;
pub use auth_service::AuthService;
pub use broker_instance::BrokerInstance;
pub use cache_instance::CacheInstance;
pub use database_instance::DatabaseInstance;
pub use object_store::ObjectStore;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// The API group of every kind.
pub const GROUP: &str = "portico.dev";
/// The one version that is served and stored.
pub const VERSION: &str = "v1alpha1";

/// Every kind's definition, as it is installed. Generation, access rights, documentation and tests read this one list.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        schema::definition::<AuthService>(),
        schema::definition::<DatabaseInstance>(),
        schema::definition::<CacheInstance>(),
        schema::definition::<BrokerInstance>(),
        schema::definition::<ObjectStore>(),
        schema::definition::<AccessGrant>(),
    ]
}
