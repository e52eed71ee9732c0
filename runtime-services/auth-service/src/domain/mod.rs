//! The rules of accounts and sessions. Pure: no clock, no database, no HTTP.

pub mod account;
pub mod email;
pub mod password;
pub mod session;
