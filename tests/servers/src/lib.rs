//! Real servers for tests, on free loopback ports, gone with the test process.
//!
//! May start processes and write to a temporary folder; may not know anything of Portico's own kinds or services.
//! The binaries come from the cache that `cargo xtask setup` fills.

mod authority;
pub mod dynamodb;
mod engine;
pub mod garage;
pub mod kubernetes;
pub mod managed;
pub mod mariadb;
pub mod postgres;
pub mod process;
pub mod rabbitmq;
mod script;
pub mod valkey;
