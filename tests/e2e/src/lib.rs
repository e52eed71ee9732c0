//! Harness of the end-to-end tests: they run against a real cluster with the operator installed by its chart, as a
//! user would: the API server, `kubectl`, `helm` and HTTP. Nothing of the operator's or the services' code is used.
//!
//! The tests are three programs. `platform` (4 tests at once) gives each test a namespace of its own. `node` is in two
//! halves, between which the node is restarted. `operator` (one test at a time) disturbs the operator itself. `cargo
//! xtask e2e` starts a cluster and runs all; against a cluster that runs already, what needs neither the image of the
//! load client nor volumes that can be filled:
//!
//! ```sh
//! export KUBECONFIG=$(cargo xtask kubeconfig --cluster portico-test)
//! export PORTICO_AUDIT_LOG=/var/lib/portico/clusters/portico-test/logs/audit.log
//! cargo test -p portico-e2e --test platform -- --test-threads=4
//! cargo test -p portico-e2e --test operator -- --test-threads=1
//! ```
//!
//! `PORTICO_E2E_KEEP=1` keeps the namespaces of failed tests.
//!
//! Rules: a test waits for what it needs by a watch with a deadline ([`wait`]), never by sleeping; only where nothing
//! tells of a change, such as a network policy coming into force, it asks again within a deadline. What must *not*
//! happen is watched for a bounded time, with a reason. A failure says everything that is known about the namespace.

pub mod audit;
pub mod auth;
pub mod cluster;
pub mod diagnosis;
pub mod engine;
pub mod fixtures;
pub mod forward;
pub mod http;
pub mod inventory;
pub mod load;
pub mod namespace;
pub mod operator;
pub mod probe;
pub mod shell;
pub mod volume;
pub mod wait;

pub use namespace::{Outcome, TestNamespace, with_namespace, with_namespace_for};

use std::fmt::Debug;
use std::time::Duration;

use ::serde::Serialize;
use ::serde::de::DeserializeOwned;
use kube::core::NamespaceResourceScope;

/// Until a platform with engines of its own is up, four of them starting at once on two cores.
pub const PLATFORM: Duration = Duration::from_secs(150);
/// Until something that needs a pod to start or to end has happened.
pub const POD: Duration = Duration::from_secs(90);
/// Until the operator has answered a change by API calls alone.
pub const REACTION: Duration = Duration::from_secs(20);
/// How long something that must not happen is watched for.
pub const WINDOW: Duration = Duration::from_secs(5);

/// An object that can be watched.
pub trait Object: kube::Resource + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<K> Object for K where K: kube::Resource + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}

/// A namespaced kind that is known at compile time.
pub trait Kind: Object + kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> {}

impl<K> Kind for K where K: Object + kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> {}
