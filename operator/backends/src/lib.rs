//! Who runs an engine, and how: one module an engine and backend. Pure: from a description to objects, from an object
//! to a verdict, from a Secret to a binding. Nothing here talks to the API server or decides when something happens.
//!
//! Adding an engine means one folder under [`builtin`] that implements [`builtin::Engine`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking"))]

pub mod binding;
pub mod builtin;
pub mod certificates;
pub mod delegated;
pub mod digest;
pub mod external;
pub mod network;
pub mod pods;
