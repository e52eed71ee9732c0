//! `cargo xtask setup` and `cargo xtask doctor`: what has to be on the machine before a cluster or a test can run.
//!
//! Setting up changes the machine only by installing Debian packages; all else goes into the cache. Nothing is done that
//! is done already, so every command that needs the tools calls [`ensure`] first.

mod doctor;
mod go;
mod packages;

pub(crate) use self::doctor::doctor;
use crate::images;

/// `cargo xtask setup`: all that the other commands need.
pub(crate) fn setup() -> anyhow::Result<()> {
    ensure()?;
    images::unpack_engines()
}

/// The Debian packages and the Kubernetes programs: what a cluster needs. Quick when all of it is there.
pub(crate) fn ensure() -> anyhow::Result<()> {
    packages::install()?;
    go::build()
}
