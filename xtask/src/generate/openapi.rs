//! The OpenAPI document of the auth service, as the service itself prints it.

use anyhow::Context as _;
use serde_json::Value;

use crate::{cargo, shell};

/// The document.
pub(super) const FILE: &str = "runtime-services/auth-service/openapi.json";

pub(super) fn document() -> anyhow::Result<String> {
    let mut command = cargo::command(&["run", "--quiet", "--bin", "auth-service", "--", "openapi"]);
    let printed = shell::capture(&mut command)?;
    let document: Value = serde_json::from_str(&printed).context("`auth-service openapi` did not print JSON")?;
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}
