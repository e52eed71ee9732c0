//! Cargo, called from a program that Cargo started.

use std::process::Command;

use crate::{paths, shell};

/// The same Cargo in the repository's root.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = shell::command(cargo, arguments);
    command.current_dir(paths::repository());
    // Cargo tells its children about this package, and build scripts of others would see it change.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs Cargo; its output is shown.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    shell::run(&mut command(arguments))
}
