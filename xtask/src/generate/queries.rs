//! The data that lets sqlx check its queries when no database is there: what its macros write down about each query
//! when they are compiled beside a database with the migrations applied.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Files;
use crate::{paths, shell};

/// Where sqlx looks for it.
pub(super) const FOLDER: &str = "runtime-services/auth-service/.sqlx";
/// The root of the crate whose queries are checked.
const ROOT: &str = "runtime-services/auth-service/src/lib.rs";
/// What the database has to look like.
const MIGRATIONS: &str = "runtime-services/auth-service/migrations";

pub(super) fn data() -> anyhow::Result<Files> {
    let output = tempfile::tempdir().context("no temporary folder")?;
    // Cargo would not compile again what it takes for up to date. It is the build that everything else uses, so
    // nothing is compiled twice.
    shell::run(shell::command("touch", ["--no-create", ROOT]).current_dir(paths::repository()))?;
    shell::capture(&mut compile(output.path()))?;
    let mut files = Files::new();
    for entry in std::fs::read_dir(output.path())? {
        let entry = entry?;
        files.insert(Path::new(FOLDER).join(entry.file_name()), std::fs::read_to_string(entry.path())?);
    }
    ensure!(!files.is_empty(), "sqlx wrote nothing: does {ROOT} still use its macros?");
    Ok(files)
}

/// Compiles the service beside a database, so that its macros write to `output`.
fn compile(output: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = shell::command(&cargo, ["run", "--quiet", "--example", "with_postgres", "--", MIGRATIONS]);
    command
        .arg(cargo)
        .args(["build", "--quiet", "--bin", "auth-service"])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", output)
        .current_dir(paths::repository());
    command
}
