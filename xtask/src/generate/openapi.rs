//! The OpenAPI document of the auth service, as the service itself prints it.

use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use crate::{paths, shell};

/// The document.
pub(super) const FILE: &str = "runtime-services/auth-service/openapi.json";

pub(super) fn document() -> anyhow::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--bin", "auth-service", "--", "openapi"]).current_dir(paths::repository());
    let printed = shell::capture(&mut command)?;
    let document: Value = serde_json::from_str(&printed).context("`auth-service openapi` did not print JSON")?;
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}
