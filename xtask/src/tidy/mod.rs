//! `cargo xtask tidy`: what the compiler does not check. Arrows between crates, sizes, generated files.

mod arrows;
mod sizes;

use anyhow::bail;

use crate::{generate, ui};

/// Runs every check, and fails with all that was found.
pub(crate) fn command() -> anyhow::Result<()> {
    let mut complaints = ui::step("arrows between crates", arrows::complaints)?;
    complaints.extend(ui::step("sizes of files and functions", sizes::complaints)?);
    if let Err(error) = generate::command(true) {
        complaints.push(format!("{error:#}"));
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        bail!("{} to put right:\n  {}", complaints.len(), complaints.join("\n  "))
    }
}
