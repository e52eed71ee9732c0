//! `/api/v1/auth`

pub mod login;
pub mod logout;
pub mod me;
pub mod refresh;
pub mod register;
