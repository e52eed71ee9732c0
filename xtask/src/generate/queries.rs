//! The data that lets sqlx check its queries when no database is there: what its macros write down about each query
//! when they are compiled beside a database with the migrations applied.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::Files;
use crate::{cargo, paths, shell};

/// Where sqlx looks for it.
pub(super) const FOLDER: &str = "runtime-services/auth-service/.sqlx";
/// The root of the crate whose queries are checked.
const ROOT: &str = "runtime-services/auth-service/src/lib.rs";
/// What the database has to look like.
const MIGRATIONS: &str = "runtime-services/auth-service/migrations";

/// How often to try: another Cargo at work in the same folder may compile the service first, without the database.
const ATTEMPTS: usize = 3;

pub(super) fn data() -> anyhow::Result<Files> {
    let output = tempfile::tempdir().context("no temporary folder")?;
    for _ in 0..ATTEMPTS {
        // Cargo would not compile again what it takes for up to date. It is the build that everything else uses, so
        // nothing is compiled twice.
        shell::run(shell::command("touch", ["--no-create", ROOT]).current_dir(paths::repository()))?;
        shell::capture(&mut compile(output.path()))?;
        let files = read(output.path())?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    bail!("sqlx wrote nothing: does {ROOT} still use its macros?")
}

fn read(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.insert(Path::new(FOLDER).join(entry.file_name()), std::fs::read_to_string(entry.path())?);
    }
    Ok(files)
}

/// Compiles the service beside a database, so that its macros write to `output`.
fn compile(output: &Path) -> Command {
    let mut command = cargo::command(&["run", "--quiet", "--example", "with_postgres", "--", MIGRATIONS]);
    let program = command.get_program().to_owned();
    command
        .arg(program)
        .args(["build", "--quiet", "--bin", "auth-service"])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", output);
    command
}
